"""The answer to `qwenvl html`: a page as HTML whose elements carry `data-bbox`.

Source of the format: Qwen3-VL cookbook "document_parsing" and the Qwen2.5-VL announcement, which
name the classes of `div`: image, chart, formula, music sheet, chemical formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..detection.boxes import Box
from ..documents import html
from ..documents.elements import (
    all_elements,
    clean_html,
    grid_text,
    inline_markdown,
    plain_text,
    raw_text,
    read_table,
    tidy,
    without,
    without_last_row,
)
from ..documents.html import Element, Markup
from ..documents.html_names import BLOCKS, COMMENT, INLINE, LEAVES
from ..documents.layout import Block, LayoutKind
from ..documents.markdown import escape_markdown, safe_formula
from .shapes import ShapeReader

# The first of these words in a class says what an element is.
_CLASSES: dict[str, LayoutKind] = {
    "formula": "formula", "equation": "formula", "chemical": "chemistry", "music": "music",
    "chart": "chart", "image": "image", "figure": "image", "picture": "image", "code": "code",
    "caption": "caption", "title": "title", "header": "header", "footer": "footer",
    "footnote": "footnote", "table": "table",
}  # fmt: skip
_TAGS: dict[str, LayoutKind] = {
    "p": "paragraph", "blockquote": "quote", "pre": "code", "figcaption": "caption", "h1": "title",
    "caption": "caption", "header": "header", "footer": "footer", "address": "paragraph",
    "hr": "rule", "li": "list item", "dt": "paragraph", "dd": "paragraph", "center": "paragraph",
}  # fmt: skip
_HOLDERS = frozenset(
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
        "form",
        "ul",
        "ol",
        "dl",
        "body",
        "center",
    )
)
_NUMBER = re.compile(r"-?\d{1,6}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Page:
    """What an answer in HTML holds; `written` has no place, class, style or address."""

    blocks: list[Block]
    cut_off: bool
    written: str


def read_page(source: str, reader: ShapeReader) -> Page:
    """The blocks of a page in order, its clean HTML, and whether its markup was cut off.

    Args:
        reader: knows the picture, and takes the notes on places that were changed.

    Raises:
        ParseError: markup that is no page, see `read_html`.
    """
    markup = html.read_html(source)
    blocks = list(_Reader(reader).blocks(markup.body))
    written = clean_html(markup.body).removeprefix("<body>").removesuffix("</body>").strip()
    return Page(_ended(blocks, markup), markup.cut_off, written)


def _ended(blocks: list[Block], markup: Markup) -> list[Block]:
    """The blocks, the last one marked where the source ended inside it."""
    if not (markup.cut_off and markup.open_end and blocks):
        return blocks
    last = replace(blocks[-1], complete=False)
    if last.table is not None:
        whole = without_last_row(last.table)
        words = grid_text(whole)
        last = replace(last, table=whole, text=words, markdown=whole.to_markdown())
    return [*blocks[:-1], last]


class _Reader:
    """Walks a tree and turns elements into blocks."""

    def __init__(self, reader: ShapeReader):
        self.reader = reader

    def blocks(self, parent: Element, depth: int = 0) -> Iterator[Block]:
        """The blocks of what is in an element; loose text between elements is a paragraph."""
        loose: list[Element | str] = []
        for child in parent.children:
            if isinstance(child, str) or child.tag in INLINE or child.tag == "br":
                loose.append(child)
                continue
            yield from self._paragraph(loose)
            loose = []
            yield from self._block(child, parent, depth)
        yield from self._paragraph(loose)

    def _paragraph(self, loose: list[Element | str]) -> Iterator[Block]:
        element = Element("p", {}, loose)
        if plain_text(element):
            # One element that carries a place of its own, as in `<span data-bbox=…>`.
            only = [e for e in element.elements if e.tag != "br"]
            place = self._box(only[0]) if len(only) == 1 else None
            yield self._text(element, "paragraph", place)

    def _block(self, element: Element, parent: Element, depth: int) -> Iterator[Block]:
        tag, kind = element.tag, _kind(element)
        if tag == COMMENT:
            return
        if tag == "table":
            yield self._table(element, self._box(element))
        elif tag == "img":
            yield self._picture(element, "image")
        elif kind in ("image", "chart", "music", "chemistry"):
            yield from self._shown(element, kind)
        elif kind == "formula":
            yield self._formula(element)
        elif tag in ("ul", "ol"):
            yield from self._items(element, depth)
        elif tag == "li":
            yield from self._item(element, "-", depth)
        elif tag in _HOLDERS and _has_blocks(element):
            for block in self.blocks(element, depth):
                runs = block.kind == "paragraph" and kind in ("header", "footer", "footnote")
                yield replace(block, kind=kind) if runs else block
        elif tag == "p" and _only_picture(element):
            yield self._picture(_only_picture(element) or element, "image", self._box(element))
        elif tag == "pre" or kind == "code":
            yield self._code(element)
        elif tag == "hr":
            yield Block("rule", markdown="---")
        elif plain_text(element):
            yield self._text(element, kind, self._box(element))
            yield from self._inside(element)
        else:
            yield from self._inside(element)

    def _inside(self, element: Element) -> Iterator[Block]:
        """Pictures and tables that stand inside a paragraph."""
        for child in element.elements:
            if child.tag in ("img", "table"):
                yield from self._block(child, element, 0)
            else:
                yield from self._inside(child)

    def _text(self, element: Element, kind: LayoutKind, box: Box | None) -> Block:
        level = int(element.tag[1]) if re.fullmatch("h[1-6]", element.tag) else 0
        text, line = plain_text(element), inline_markdown(element)
        if level:
            line = "#" * level + " " + line.replace("\n", " ")
        elif kind == "title":
            level, line = 1, "# " + line.replace("\n", " ")
        elif kind == "quote":
            line = "\n".join("> " + part for part in line.split("\n"))
        elif kind == "caption":
            line = f"*{line}*" if "*" not in line else line
        return Block(kind, text, line, box, level)

    def _code(self, element: Element) -> Block:
        text = raw_text(element).strip("\n")
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        return Block("code", text, f"{fence}\n{text}\n{fence}", self._box(element))

    def _formula(self, element: Element) -> Block:
        text = raw_text(element).strip()
        bare = text.removeprefix("$$").removesuffix("$$").strip("$").strip()
        bare = bare.removeprefix("\\[").removesuffix("\\]").strip()
        box = self._box(element) or self._first_box(element)
        return Block("formula", bare, f"$$\n{safe_formula(bare)}\n$$" if bare else "", box)

    def _picture(self, element: Element, kind: LayoutKind, box: Box | None = None) -> Block:
        words = tidy(element.attributes.get("alt", ""))
        return _picture_block(kind, self._box(element) or box, words)

    def _shown(self, element: Element, kind: LayoutKind) -> Iterator[Block]:
        """A picture, chart, score or structure: its place, words and what it holds."""
        words = plain_text(without(element, "table"))
        if not words:
            words = next((i.attributes["alt"] for i in all_elements(element, "img") if "alt" in
                          i.attributes), "")  # fmt: skip
        yield _picture_block(kind, self._box(element) or self._first_box(element), words)
        for table in all_elements(element, "table"):
            yield self._table(table, self._box(table))

    def _items(self, element: Element, depth: int) -> Iterator[Block]:
        start = element.attributes.get("start", "1")
        number = int(start) if start.isdecimal() and len(start) < 9 else 1
        for child in element.elements:
            if child.tag == "li":
                yield from self._item(child, f"{number}." if element.tag == "ol" else "-", depth)
                number += 1
            elif child.tag in ("ul", "ol"):
                yield from self._items(child, depth + 1)
            else:
                yield from self._block(child, element, depth)

    def _item(self, element: Element, marker: str, depth: int) -> Iterator[Block]:
        own = Element("li", {}, [c for c in element.children if isinstance(c, str)
                                 or c.tag not in ("ul", "ol", "table")])  # fmt: skip
        text = plain_text(own)
        if text:
            indent = "   " * depth
            line = inline_markdown(own).replace("\n", "\n" + indent + "  ")
            place = self._box(element)
            yield Block("list item", text, f"{indent}{marker} {line}", place, depth)
        for child in element.elements:
            if child.tag in ("ul", "ol"):
                yield from self._items(child, depth + 1)
            elif child.tag == "table":
                yield self._table(child, self._box(child))

    def _table(self, element: Element, box: Box | None) -> Block:
        table = read_table(element)
        words = grid_text(table)
        return Block("table", words, table.to_markdown(), box, 0, table, table.caption)

    def _box(self, element: Element) -> Box | None:
        """The place of an element, None where it has none that can be read."""
        place = element.attributes.get("data-bbox", "").strip()
        if not place:
            return None
        words = plain_text(element)[:40] or element.attributes.get("alt", "")[:40]
        numbers = _NUMBER.findall(place)
        shapes = self.reader.read("bbox_2d", [float(n) for n in numbers], f'"{words}"')
        return shapes[0] if shapes and isinstance(shapes[0], Box) else None

    def _first_box(self, element: Element) -> Box | None:
        for child in element.elements:
            if "data-bbox" in child.attributes:
                return self._box(child)
            found = self._first_box(child)
            if found is not None:
                return found
        return None


def _kind(element: Element) -> LayoutKind:
    """What an element is, by its class where that says something, else by its name."""
    for word in re.findall("[a-z]+", element.attributes.get("class", "").lower()):
        if word in _CLASSES and element.tag in ("div", "figure", "span", "p", "section", "pre"):
            return _CLASSES[word]
    if element.tag == "figure":
        return "image"
    if re.fullmatch("h[2-6]", element.tag):
        return "heading"
    return _TAGS.get(element.tag, "paragraph")


def _picture_block(kind: LayoutKind, box: Box | None, words: str) -> Block:
    # No link: the picture is cut out of the page, and its file is not known here.
    line = f"*[{kind}: {escape_markdown(words)}]*".replace("\n", " ") if words else f"*[{kind}]*"
    return Block(kind, "", line, box, caption=words)


def _has_blocks(element: Element) -> bool:
    return any(
        child.tag in BLOCKS or child.tag in LEAVES or child.tag in ("img", "hr")
        for child in element.elements
    )


def _only_picture(element: Element) -> Element | None:
    """The picture of a paragraph that holds nothing else."""
    pictures = [child for child in element.elements if child.tag == "img"]
    return pictures[0] if len(pictures) == 1 and not plain_text(element) else None
