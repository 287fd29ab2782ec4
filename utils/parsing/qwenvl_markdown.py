"""The answer to `qwenvl markdown`: Markdown with places in comments and tables in LaTeX.

Source of the format: Qwen3-VL cookbook "document_parsing": `<!-- Image (x1, y1, x2, y2) -->` stands
for a picture, `<!-- Table (x1, y1, x2, y2) -->` before a table.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..detection.boxes import Box
from ..documents import html
from ..documents.elements import all_elements, grid_text, read_table, without_last_row
from ..documents.latex import find_tables, latex_text
from ..documents.layout import Block, LayoutKind
from ..documents.markdown import (
    MarkdownBlock,
    escape_markdown,
    read_blocks,
    read_pipe_table,
    safe_formula,
    safe_markdown,
)
from ..documents.tables import Table
from .shapes import ShapeReader

_COMMENT = re.compile(
    r"<!--[ \t]{0,9}([A-Za-z][A-Za-z ]{0,30}?)?[ \t]{0,9}(?:\(([^()\n]{0,60})\))?[ \t]{0,9}-->"
)
_NUMBER = re.compile(r"-?\d{1,6}(?:\.\d{1,6})?")
_TABLE_WRAP = re.compile(
    r"\\(?:begin|end)\{(?:table|center|adjustbox|threeparttable)\*?\}(?:\[[^\[\]\n]{0,20}\])?(?:\{[^{}\n]{0,60}\})?|"
    r"\\(?:centering|small|footnotesize|label\{[^{}\n]{0,60}\})|\\resizebox\{[^{}\n]{0,40}\}\{[^{}\n]{0,40}\}\{"
)
_CAPTION = re.compile(r"\\caption\*?\{")
_HTML_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_HTML_TABLE_END = re.compile(r"</table\s*>", re.IGNORECASE)
_PICTURE_LINK = re.compile(r"!\[([^\[\]\n]{0,500})\]\([^()\n]{0,2000}\)")
_FENCE_BEFORE = re.compile(r"(?:^|\n)[ \t]*(?:```(?:latex|tex|html)?|\$\$)\Z")
_FENCE_BEHIND = re.compile(r"(?:```|\$\$)[ \t]*(?=\n|\Z)")
_FENCE_LINE = re.compile(r"^[ \t]*```(\w*)[ \t]*$", re.MULTILINE)
_KINDS: dict[str, LayoutKind] = {
    "image": "image", "figure": "image", "picture": "image", "chart": "chart", "table": "table",
    "formula": "formula", "equation": "formula", "title": "title", "header": "header",
    "footer": "footer", "caption": "caption", "code": "code",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """A comment of the answer: what it announces and where that is."""

    kind: LayoutKind
    box: Box | None


def read_page(source: str, reader: ShapeReader) -> tuple[list[Block], bool]:
    """The blocks of a page in order, and whether a table, fence or comment was cut off.

    Args:
        reader: knows the picture, and takes the notes on places that were changed.

    Raises:
        ParseError: a table that no page holds.
    """
    cut_at = source.rfind("<!--")
    in_comment = cut_at >= 0 and source.find("-->", cut_at) < 0
    text = source[:cut_at] if in_comment else source
    page = _Page(reader)
    position = 0
    code = _CodeSpans(text)
    for comment in _COMMENT.finditer(text):
        if comment.start() in code:
            continue
        page.read(text[position : comment.start()])
        page.announce(comment[1] or "", comment[2] or "")
        position = comment.end()
    page.read(text[position:])
    page.announce("", "")
    cut_off = in_comment or any(not block.complete for block in page.blocks)
    return page.blocks, cut_off


class _Page:
    """Collects the blocks between the comments; a place waits for what it announces."""

    def __init__(self, reader: ShapeReader):
        self.reader = reader
        self.blocks: list[Block] = []
        self._waiting: _Place | None = None

    def announce(self, name: str, place: str) -> None:
        """A comment: a picture stands for itself, a table's place waits for the table."""
        kind = _KINDS.get(name.strip().lower())
        if kind not in ("image", "chart") and self._waiting is not None:
            self._give_up()
        if kind is None:
            return
        numbers = [float(n) for n in _NUMBER.findall(place)]
        shapes = self.reader.read("bbox_2d", numbers, f"{kind} comment") if place else []
        box = shapes[0] if shapes and isinstance(shapes[0], Box) else None
        if kind in ("image", "chart"):
            self.blocks.append(_picture(kind, box))
        else:
            self._waiting = _Place(kind, box)

    def read(self, text: str) -> None:
        """The text between two comments."""
        position, fenced = 0, False
        for table, start, end in _tables(text):
            fenced = self._plain(text[position:start], fenced, table_follows=True)
            self._table(table)
            position = end
        self._plain(text[position:], fenced)

    def _plain(self, text: str, fenced: bool, table_follows: bool = False) -> bool:
        """Text without tables in LaTeX or HTML; whether it opened a fence around the next one.

        Args:
            fenced: a fence around the table before it is still open.
        """
        behind_table = bool(self.blocks) and self.blocks[-1].kind == "table"
        caption, text = _unwrapped(text)
        text = text.strip()
        if fenced and (match := _FENCE_BEHIND.match(text)):
            text = text[match.end() :].strip()
        opens = _FENCE_BEFORE.search(text) if table_follows else None
        if opens:
            text = text[: opens.start()]
        if caption and behind_table and not self.blocks[-1].caption:
            self._caption_above(caption)
            caption = ""
        for block in read_blocks(text):
            if block.kind == "table":
                self._table(read_pipe_table(block.source, block.complete))
            elif block.source.strip() not in ("", "}"):
                self.blocks.append(self._placed(_written(block)))
        if caption:
            self.blocks.append(_caption(caption))
        return bool(opens)

    def _caption_above(self, caption: str) -> None:
        """A caption that LaTeX has behind its table."""
        last = self.blocks[-1]
        if last.table is not None:
            table = replace(last.table, caption=caption)
            self.blocks[-1] = replace(
                last, table=table, caption=caption, markdown=table.to_markdown()
            )

    def _placed(self, block: Block) -> Block:
        """The block with the place of a comment that announced its kind."""
        waiting = self._waiting
        if waiting is None or waiting.kind == "table" or block.box is not None:
            return block
        self._waiting = None
        return replace(block, kind=waiting.kind, box=waiting.box)

    def _table(self, table: Table) -> None:
        box = None
        if self._waiting is not None and self._waiting.kind == "table":
            box, self._waiting = self._waiting.box, None
        before = self.blocks[-1] if self.blocks else None
        if not table.caption and before is not None and before.kind == "caption":
            table = replace(table, caption=before.text)
            self.blocks.pop()
        self.blocks.append(
            Block(
                "table",
                grid_text(table),
                table.to_markdown(),
                box,
                0,
                table,
                table.caption,
                table.complete,
            )  # fmt: skip
        )

    def _give_up(self) -> None:
        """A place whose table or text never came is a block of its own."""
        if self._waiting is not None and self._waiting.box is not None:
            self.blocks.append(Block(self._waiting.kind, box=self._waiting.box))
            self.reader.note(f"a {self._waiting.kind} has a place and nothing in it")
        self._waiting = None


def _tables(text: str) -> Iterator[tuple[Table, int, int]]:
    """LaTeX and HTML tables of a text with where they begin and end."""
    code = _CodeSpans(text)
    found: list[tuple[Table, int, int]] = [
        (one.table, one.start, one.end) for one in find_tables(text) if one.start not in code
    ]
    position = 0
    while begin := _HTML_TABLE.search(text, position):
        end = _HTML_TABLE_END.search(text, begin.end())
        position = end.end() if end else len(text)
        if begin.start() in code:
            position = begin.end()
            continue
        markup = html.read_html(text[begin.start() : position])
        for element in all_elements(markup.body, "table"):
            table = read_table(element)
            found.append((table if end else without_last_row(table), begin.start(), position))
            break
    found.sort(key=lambda one: one[1])
    last = 0
    for table, start, end in found:
        if start >= last:
            yield table, start, end
            last = end


class _CodeSpans:
    """Where a text is code in a fence of another language than LaTeX."""

    def __init__(self, text: str):
        self._starts: list[int] = []
        self._is_code: list[bool] = []
        is_open = False
        for fence in _FENCE_LINE.finditer(text):
            is_open = not is_open
            self._starts.append(fence.start())
            language = fence[1].lower()
            self._is_code.append(is_open and language not in ("latex", "tex", "", "markdown"))

    def __contains__(self, position: int) -> bool:
        before = bisect_left(self._starts, position) - 1
        return before >= 0 and self._is_code[before]


def _unwrapped(text: str) -> tuple[str, str]:
    """A text without the LaTeX around a table, and the caption that stood in it."""
    if "\\" not in text:
        return "", text
    caption = ""
    if match := _CAPTION.search(text):
        end = text.find("}", match.end())
        end = len(text) if end < 0 else end
        caption = latex_text(text[match.end() : end])
        text = text[: match.start()] + text[end + 1 :]
    return caption, _TABLE_WRAP.sub("", text)


def _written(block: MarkdownBlock) -> Block:
    """A block of Markdown as a block of the page."""
    heading: LayoutKind = "title" if block.level == 1 else "heading"
    kind: LayoutKind = heading if block.kind == "heading" else block.kind
    source = block.source.strip("\n")
    if block.kind == "code":
        closed = source if block.complete else f"{source}\n{source.strip()[:3]}"
        return Block(kind, block.text, closed, complete=block.complete)
    if block.kind == "formula":
        shown = safe_formula(source) + ("" if block.complete else "\n$$")
        return Block(kind, block.text, shown, complete=block.complete)
    if match := _PICTURE_LINK.fullmatch(source.strip()):
        return _picture("image", None, match[1])
    # A picture's address in an answer is made up: nobody should fetch it.
    safe = safe_markdown(_PICTURE_LINK.sub(lambda m: f"*[image: {m[1]}]*", source))
    return Block(kind, block.text, safe, level=block.level)


def _picture(kind: LayoutKind, box: Box | None, words: str = "") -> Block:
    line = f"*[{kind}: {escape_markdown(words)}]*" if words.strip() else f"*[{kind}]*"
    return Block(kind, "", line, box, caption=words.strip())


def _caption(text: str) -> Block:
    return Block("caption", text, f"*{escape_markdown(text)}*")
