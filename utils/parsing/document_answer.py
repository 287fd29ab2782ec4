"""The answers to the document prompts as layouts: blocks, places and tables of each page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ..documents.layout import Layout
from ..errors import ParseError
from ..text.printable import clean_text
from ..text.thinking import answer_of
from .qwenvl_html import read_page as read_html_page
from .qwenvl_markdown import read_page as read_markdown_page
from .shapes import ShapeReader

AnswerForm = Literal["html", "markdown"]

_FENCE = re.compile(r"^[^\S\n]*```(html|markdown|md)?[^\S\n]*\n", re.IGNORECASE | re.MULTILINE)
_FENCE_END = re.compile(r"^[^\S\n]*```[^\S\n]*$", re.MULTILINE)
_PAGE_MARK = re.compile(
    r"^[ \t]{0,9}<!--[ \t]{0,9}(?:Page|Picture)[ \t]{1,9}(\d{1,6})[ \t]{0,9}-->[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
# Markdown may begin with a table in HTML, but not with a page.
_PAGE_START = re.compile(r"<!doctype html|<html\b|<body\b", re.IGNORECASE)
_TAG_START = re.compile(r"\s*<(?:h[1-6]|p|div|table|ul|ol|img)[\s>]", re.IGNORECASE)


def parse_document(text: str, width: int, height: int, form: AnswerForm) -> Layout:
    """What an answer says is on a picture of `width` x `height` pixels.

    An answer of no markup at all is one paragraph or more. HTML where Markdown was asked for, or
    the other way round, is read as what it is, and noted.

    Raises:
        ParseError: the answer is empty, or markup that no page has.
    """
    answer, cut_in_thinking = answer_of(text)
    reader = ShapeReader(width, height)
    text = clean_text(answer).replace("\r\n", "\n")
    source, fence_open = _without_fence(text, form, reader)
    if not source.strip():
        if cut_in_thinking:
            return Layout(width, height, truncated=True)
        raise ParseError("The answer holds no page: it is empty.", "Ask again with another seed.")
    source, is_html = _page_in(source, form, reader)
    if is_html != (form == "html"):
        reader.note(f"the answer is {'HTML' if is_html else 'Markdown'}, not what was asked for")
    written = ""
    if is_html:
        page = read_html_page(source, reader)
        blocks, cut_off, written = page.blocks, page.cut_off, page.written
    else:
        blocks, cut_off = read_markdown_page(source, reader)
    return Layout(
        width,
        height,
        tuple(blocks),
        html=written,
        truncated=fence_open or cut_off or cut_in_thinking,
        repaired=is_html != (form == "html"),
        notes=reader.all_notes(),
    )


def parse_pages(text: str, sizes_wh: Sequence[tuple[int, int]], form: AnswerForm) -> list[Layout]:
    """One answer about several pages as one layout each, by its marks `<!-- Page 2 -->`.

    Without a mark for each page the whole answer is the first layout, with a note, and without
    places: nobody can say which page they are on. The layouts of the other pages are empty.

    Raises:
        ParseError: as `parse_document`.
    """
    marks = list(_PAGE_MARK.finditer(text))
    numbers = [int(mark[1]) for mark in marks]
    if len(sizes_wh) == 1 or numbers == list(range(1, len(sizes_wh) + 1)):
        return _marked(text, marks, sizes_wh, form)
    whole = parse_document(_PAGE_MARK.sub("", text), *sizes_wh[0], form)
    blocks = tuple(replace(block, box=None) for block in whole.blocks)
    note = (
        f"the answer has {len(marks)} page marks for {len(sizes_wh)} pages: its text is whole, "
        "its places are left out, since nobody can say which page they are on"
    )
    first = replace(whole, blocks=blocks, notes=(*whole.notes, note))
    return [first, *(Layout(w, h, notes=("see the first page",)) for w, h in sizes_wh[1:])]


def _marked(
    text: str, marks: Sequence[re.Match[str]], sizes_wh: Sequence[tuple[int, int]], form: AnswerForm
) -> list[Layout]:
    if not marks:
        return [parse_document(text, *sizes_wh[0], form)]
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    layouts = []
    for mark, end, (width, height) in zip(marks, ends, sizes_wh, strict=True):
        part = text[mark.end() : end]
        if part.strip(" \n`"):
            layouts.append(parse_document(part, width, height, form))
        else:
            layouts.append(Layout(width, height, notes=("the answer says nothing of this page",)))
    return layouts


def _without_fence(answer: str, form: AnswerForm, reader: ShapeReader) -> tuple[str, bool]:
    """The answer without the fence around it, and whether that fence never closed.

    Where HTML was asked for, what stands around the fence is no page: it is left out and noted.
    """
    named = (m for m in _FENCE.finditer(answer) if (m[1] or "").lower() == "html")
    opened = next(named, None) if form == "html" else None
    opened = opened or _FENCE.match(answer)
    if opened is None:
        return answer, False
    ends = list(_FENCE_END.finditer(answer, opened.end()))
    if not ends:
        return answer[opened.end() :], True
    # A page in Markdown may hold fences: the outer one closes last.
    closed = ends[0] if form == "html" else ends[-1]
    around = answer[: opened.start()].strip() or answer[closed.end() :].strip()
    if around and form == "markdown":
        return answer, False
    if around:
        reader.note(f"left out, it stands beside the page: {around[:60]!r}")
    return answer[opened.end() : closed.start()], False


def _page_in(source: str, form: AnswerForm, reader: ShapeReader) -> tuple[str, bool]:
    """The source from where its page begins, and whether that is HTML."""
    start = _PAGE_START.search(source)
    if form == "html" and start is not None:
        before = source[: start.start()].strip()
        if before:
            reader.note(f"left out, it stands before the page: {before[:60]!r}")
        return source[start.start() :], True
    if start is not None and not source[: start.start()].strip():
        return source, True
    return source, form == "html" and bool(_TAG_START.match(source))
