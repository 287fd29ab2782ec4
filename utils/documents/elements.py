"""What elements of a page say: as plain text, Markdown, clean HTML, and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape

from .html import Element
from .html_names import BLOCKS, COMMENT, EMPTY, LEAVES
from .markdown import escape_markdown, safe_formula
from .tables import CellSpan, Table, TableBuilder

# What the pack writes again of an element.
SHOWN_ATTRIBUTES = ("rowspan", "colspan", "alt", "start")
MAX_SPAN = 1000
_INLINE_MARKS = {
    "b": "**", "strong": "**", "i": "*", "em": "*", "del": "~~", "s": "~~", "code": "`",
}  # fmt: skip


def plain_text(element: Element) -> str:
    """The text in an element: line breaks where it has them, runs of space as one."""
    pieces: list[str] = []
    _collect(element, pieces)
    return tidy("".join(pieces))


def tidy(text: str) -> str:
    """The lines of a text without empty ones, runs of space as one space."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _collect(element: Element, pieces: list[str]) -> None:
    for child in element.children:
        if isinstance(child, str):
            pieces.append(one_line(child))
        elif child.tag == "br":
            pieces.append("\n")
        elif child.tag in BLOCKS or child.tag in LEAVES:
            pieces.append("\n")
            _collect(child, pieces)
            pieces.append("\n")
        elif child.tag != COMMENT:
            _collect(child, pieces)


def one_line(text: str) -> str:
    """A line break of the source is a space of the page."""
    return text.replace("\n", " ") if "\n" in text else text


def clean_html(element: Element) -> str:
    """An element written anew: known names, spans, descriptions; no place, class or style."""
    pieces: list[str] = []
    _write(element, pieces)
    return "".join(pieces).strip()


def _write(element: Element, pieces: list[str]) -> None:
    pieces.append(f"<{element.tag}{_shown(element)}>")
    for child in element.children:
        if isinstance(child, str):
            pieces.append(escape(child, quote=False))
        elif child.tag != COMMENT:
            _write(child, pieces)
    if element.tag not in EMPTY:
        pieces.append(f"</{element.tag}>")


def _shown(element: Element) -> str:
    if not element.attributes:
        return ""
    pairs = ((name, element.attributes.get(name)) for name in SHOWN_ATTRIBUTES)
    return "".join(f' {name}="{escape(value)}"' for name, value in pairs if value)


def read_table(element: Element) -> Table:
    """The table of a `table` element; tables inside its cells are text of the cell.

    Raises:
        ParseError: spans that claim more places than any page has.
    """
    builder = TableBuilder()
    caption = ""
    groups = [e for e in element.elements if e.tag in ("thead", "tbody", "tfoot")]
    for part in element.elements:
        if part.tag == "caption":
            caption = plain_text(part)
    for group in sorted(groups, key=lambda g: g.tag == "tfoot"):
        for row in group.elements:
            if row.tag == "tr":
                cells = [c for c in row.elements if c.tag in ("td", "th")]
                builder.add_row([_span(c, group.tag == "thead") for c in cells])
    return builder.finish(caption)


def _span(element: Element, in_head: bool) -> CellSpan:
    rows = _span_count(element, "rowspan")
    columns = _span_count(element, "colspan")
    return CellSpan(plain_text(element), rows, columns, in_head or element.tag == "th")


def _span_count(element: Element, name: str) -> int:
    digits = element.attributes.get(name, "1").strip()
    count = int(digits) if digits.isdecimal() and len(digits) < 6 else 1
    # 0 rows: to the end of the table, which cuts it anyway.
    return MAX_SPAN if count == 0 and name == "rowspan" else max(1, min(count, MAX_SPAN))


def without_last_row(table: Table) -> Table:
    """A table that was cut off: its last row is not whole."""
    last = table.rows - 1
    cells = tuple(replace(c, rows=min(c.rows, last - c.row)) for c in table.cells if c.row < last)
    columns = max((c.column + c.columns for c in cells), default=0)
    return replace(table, rows=max(0, last), columns=columns, cells=cells, complete=False)


def inline_markdown(element: Element) -> str:
    """The text in an element with its emphasis, line breaks, indices and formulas."""
    pieces: list[str] = []
    _inline(element, pieces)
    return tidy("".join(pieces)).replace("\n", "  \n")


def _inline(element: Element, pieces: list[str]) -> None:
    for child in element.children:
        if isinstance(child, str):
            pieces.append(escape_markdown(one_line(child)))
        elif child.tag == "br":
            pieces.append("\n")
        elif child.tag in ("sub", "sup"):
            pieces.append(f"<{child.tag}>")
            _inline(child, pieces)
            pieces.append(f"</{child.tag}>")
        elif is_formula(child):
            pieces.append("$" + safe_formula(raw_text(child).strip().strip("$").strip()) + "$")
        elif child.tag in _INLINE_MARKS and plain_text(child):
            mark = _INLINE_MARKS[child.tag]
            inner: list[str] = []
            _inline(child, inner)
            words = "".join(inner)
            # The marks stand at the words: a space behind the first mark would undo it.
            pieces.append(words.replace(words.strip(), mark + words.strip() + mark, 1))
        elif child.tag not in (COMMENT, "img", "table"):
            is_block = child.tag in BLOCKS or child.tag in LEAVES
            pieces.append("\n" if is_block else "")
            _inline(child, pieces)
            pieces.append("\n" if is_block else "")


def is_formula(element: Element) -> bool:
    """Whether an element's class calls it a formula."""
    return any(word in element.attributes.get("class", "") for word in ("formula", "equation"))


def raw_text(element: Element) -> str:
    """The text in an element as it stands, line breaks kept: for code and formulas."""
    parts = []
    for child in element.children:
        if isinstance(child, str):
            parts.append(child)
        elif child.tag == "br":
            parts.append("\n")
        elif child.tag != COMMENT:
            parts.append(raw_text(child))
    return "".join(parts)


def all_elements(element: Element, tag: str) -> Iterator[Element]:
    """The outermost elements of a name, in order."""
    for child in element.elements:
        if child.tag == tag:
            yield child
        else:
            yield from all_elements(child, tag)


def without(element: Element, tag: str) -> Element:
    """The element without its direct and nested children of a name."""
    kept = [
        child if isinstance(child, str) else without(child, tag)
        for child in element.children
        if isinstance(child, str) or child.tag != tag
    ]
    return Element(element.tag, element.attributes, kept)


def grid_text(table: Table) -> str:
    """The words of a table: a line for each row, tabs between the cells."""
    return "\n".join("\t".join(row) for row in table.grid(repeat=False))
