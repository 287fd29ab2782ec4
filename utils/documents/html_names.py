"""Elements and attributes of HTML that a document may keep, by how they nest."""

# The rest is dropped, its text is kept.
BLOCKS = frozenset(
    (
        "div",
        "section",
        "article",
        "header",
        "footer",
        "main",
        "aside",
        "nav",
        "figure",
        "figcaption",
        "blockquote",
        "pre",
        "ul",
        "ol",
        "dl",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "address",
        "center",
        "form",
        "html",
        "body",
    )
)
# These end when the next of their kind begins, so nobody has to close them.
LEAVES = frozenset(("p", "li", "dt", "dd", "tr", "td", "th"))
INLINE = frozenset(
    (
        "b",
        "strong",
        "i",
        "em",
        "u",
        "s",
        "del",
        "ins",
        "small",
        "sub",
        "sup",
        "code",
        "kbd",
        "mark",
        "span",
        "a",
        "q",
        "cite",
        "var",
        "label",
        "font",
    )
)
EMPTY = frozenset(("br", "hr", "img", "input"))
# Their text is no text of a page.
SILENT = frozenset(
    ("script", "style", "template", "noscript", "title", "head", "iframe", "object", "svg", "math")
)
ATTRIBUTES = frozenset(
    (
        "data-bbox",
        "data-polygon",
        "class",
        "rowspan",
        "colspan",
        "alt",
        "format",
        "type",
        "checked",
        "start",
    )
)

COMMENT = "comment"
