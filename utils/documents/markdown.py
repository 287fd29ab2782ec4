"""Markdown as blocks, pipe tables out of it, and text made safe to stand in it.

Source of the format: GitHub Flavored Markdown, of which models write headings, paragraphs, lists,
fences, pipe tables and formulas between `$$`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .tables import MAX_COLUMNS, CellSpan, Table, TableBuilder

BlockKind = Literal[
    "heading", "paragraph", "list item", "code", "formula", "table", "quote", "rule"
]

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|\Z)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)")
_LIST_ITEM = re.compile(r"([ \t]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*))?\Z")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})\Z")
_PIPE_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\Z")
_PIPE = re.compile(r"\\.|\||`[^`\n]*`", re.DOTALL)
# Elements that Markdown may hold and that do nothing but set text.
_HARMLESS = re.compile(
    r"</?(?:br|sub|sup|b|i|u|em|strong|s|del|ins|mark|small)\s*/?>", re.IGNORECASE
)
_BRACKET = re.compile(r"<(?=[a-zA-Z/!?])")
# A link or picture that is fetched, or that runs, when somebody looks at the text.
_TARGET = re.compile(r"(\]\(\s*|\]:\s*|<)(?=(?:javascript|data|vbscript|file)\s*:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MarkdownBlock:
    """One block: its lines as they stood, the text in it, and whether its end was there.

    `level` is 1 to 6 of a heading, the depth of a list item from 0, else 0; `marker` is what
    begins a list item, or the language of a fence.
    """

    kind: BlockKind
    source: str
    text: str
    level: int = 0
    marker: str = ""
    complete: bool = True


def read_blocks(source: str) -> list[MarkdownBlock]:
    """The blocks of a text in order; time grows with its length."""
    lines = source.split("\n")
    blocks: list[MarkdownBlock] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        block, at = _block(lines, at)
        blocks.append(block)
    return blocks


def _block(lines: Sequence[str], at: int) -> tuple[MarkdownBlock, int]:
    """The block that begins at a line, and the line behind it."""
    line = lines[at]
    if fence := _FENCE.match(line):
        return _fenced(lines, at, fence[1], fence[2])
    if line.strip().startswith("$$"):
        return _formula(lines, at)
    if (heading := _HEADING.match(line)) is not None:
        text = line[heading.end() :].strip()
        # Signs at the end close a heading only behind a space.
        bare = text.rstrip("#")
        text = bare.rstrip() if bare != text and bare[-1:] in ("", " ", "\t") else text
        return MarkdownBlock("heading", line, text, len(heading[1])), at + 1
    if _RULE.match(line):
        return MarkdownBlock("rule", line, ""), at + 1
    if is_pipe_table(lines, at):
        end = at + 2
        while end < len(lines) and "|" in lines[end] and lines[end].strip():
            end += 1
        source = "\n".join(lines[at:end])
        return MarkdownBlock("table", source, source), end
    if item := _LIST_ITEM.match(line):
        end = at + 1
        while end < len(lines) and lines[end].strip() and not _begins(lines, end):
            end += 1
        text = "\n".join([item[3] or "", *(part.strip() for part in lines[at + 1 : end])])
        depth = len(item[1].expandtabs(4)) // 2
        block = MarkdownBlock("list item", "\n".join(lines[at:end]), text.strip(), depth, item[2])
        return block, end
    quoted = line.lstrip().startswith(">")
    end = at + 1
    while end < len(lines) and lines[end].strip():
        if quoted != lines[end].lstrip().startswith(">") or _begins(lines, end):
            break
        end += 1
    part = lines[at:end]
    text = "\n".join(p.lstrip().removeprefix(">").strip() if quoted else p.strip() for p in part)
    return MarkdownBlock("quote" if quoted else "paragraph", "\n".join(part), text), end


def _begins(lines: Sequence[str], at: int) -> bool:
    """Whether a line begins a block of its own, also without an empty line before it."""
    line = lines[at]
    return bool(
        _FENCE.match(line)
        or _HEADING.match(line)
        or _LIST_ITEM.match(line)
        or line.strip().startswith("$$")
        or is_pipe_table(lines, at)
    )


def _fenced(lines: Sequence[str], at: int, fence: str, language: str) -> tuple[MarkdownBlock, int]:
    for end in range(at + 1, len(lines)):
        if lines[end].strip().startswith(fence) and not lines[end].strip().strip(fence[0]):
            source, text = "\n".join(lines[at : end + 1]), "\n".join(lines[at + 1 : end])
            return MarkdownBlock("code", source, text, marker=language), end + 1
    text = "\n".join(lines[at + 1 :])
    block = MarkdownBlock("code", "\n".join(lines[at:]), text, marker=language, complete=False)
    return block, len(lines)


def _formula(lines: Sequence[str], at: int) -> tuple[MarkdownBlock, int]:
    first = lines[at].strip()
    if len(first) > 2 and first.endswith("$$") and len(first) > 4:
        return MarkdownBlock("formula", lines[at], first[2:-2].strip()), at + 1
    for end in range(at + 1, len(lines)):
        if lines[end].rstrip().endswith("$$"):
            source = "\n".join(lines[at : end + 1])
            return MarkdownBlock("formula", source, source.strip()[2:-2].strip()), end + 1
    source = "\n".join(lines[at:])
    block = MarkdownBlock("formula", source, source.strip()[2:].strip(), complete=False)
    return block, len(lines)


def is_pipe_table(lines: Sequence[str], at: int) -> bool:
    """Whether a pipe table begins at a line: a row, and a rule with as many columns below it."""
    if at + 1 >= len(lines) or "|" not in lines[at] or "-" not in lines[at + 1]:
        return False
    rule = lines[at + 1].strip()
    if "|" not in rule or not _PIPE_RULE.match(rule):
        return False
    return len(_cells(lines[at])) == len(_cells(rule))


def read_pipe_table(source: str, complete: bool = True) -> Table:
    """The table of pipe rows. A row longer than the heading keeps its cells.

    The format says that a reader leaves them out; here nothing is left out without a word.

    Raises:
        ParseError: more columns or places than any page has.
    """
    lines = [line for line in source.split("\n") if line.strip()]
    builder = TableBuilder()
    heading = _cells(lines[0])[: MAX_COLUMNS + 1]
    builder.add_row([CellSpan(text, heading=True) for text in heading])
    for line in lines[2:]:
        texts = _cells(line)
        texts += [""] * (len(heading) - len(texts))
        builder.add_row([CellSpan(text) for text in texts])
    return builder.finish(complete=complete)


def _cells(line: str) -> list[str]:
    r"""The texts between the pipes of a row, `\|` as a pipe of the text."""
    inner = line.strip().removeprefix("|")
    cells, start = [], 0
    for match in _PIPE.finditer(inner):
        if match[0] == "|":
            cells.append(inner[start : match.start()])
            start = match.end()
    if inner[start:].strip() or not cells:
        cells.append(inner[start:])
    breaks = (re.sub(r"<br\s{0,3}/?>", "\n", cell) for cell in cells)
    return [re.sub(r"\\([|\\])", r"\1", cell).strip() for cell in breaks]


def safe_markdown(source: str) -> str:
    """Markdown without HTML that a reader would take as such; what it shows stays the same.

    Elements that only set text (`<br>`, `<sub>`) stay; links that run or open files lose their
    target. Code between backticks stays as it is: readers show it.
    """
    pieces = re.split(r"(`[^`\n]*`|\$[^$`\n]+\$)", source)
    return "".join(_safe_piece(p) if n % 2 else _safe(p) for n, p in enumerate(pieces))


def _safe_piece(piece: str) -> str:
    return piece if piece[0] == "`" else safe_formula(piece)


def safe_formula(source: str) -> str:
    """A formula in which no bracket begins HTML: a space behind it is not seen there."""
    return _BRACKET.sub("< ", source)


def _safe(source: str) -> str:
    out, position = [], 0
    for match in _HARMLESS.finditer(source):
        out += [_BRACKET.sub("&lt;", source[position : match.start()]), match[0]]
        position = match.end()
    out.append(_BRACKET.sub("&lt;", source[position:]))
    return _TARGET.sub(r"\1unsafe:", "".join(out))


def escape_markdown(text: str) -> str:
    """Plain text that Markdown shows as it is: no emphasis, heading, list, link or HTML."""
    escaped = re.sub(r"([\\`*_\[\]~|])", r"\\\1", text)
    escaped = re.sub(r"&(?=#?\w{1,30};)", "&amp;", escaped)
    escaped = _BRACKET.sub("&lt;", escaped)
    return re.sub(r"^(\s*)(#{1,6}(?=\s|$)|[-+>](?=\s|$)|\d{1,9}(?=[.)](?:\s|$)))", _escape_start,
                  escaped, flags=re.MULTILINE)  # fmt: skip


def _escape_start(match: re.Match[str]) -> str:
    start = match[2]
    # A number keeps its digits: the mark behind it is what makes a list.
    return f"{match[1]}{start}\\" if start[0].isdigit() else f"{match[1]}\\{start}"
