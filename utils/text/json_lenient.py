"""Reads what was meant as JSON: other quotes, loose commas, bare words, a missing end.

One pass with an explicit stack: time grows with the length of the text only, and no nesting can
overflow anything. Whoever calls it tries strict JSON first.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import ParseError

# Real answers nest 4 deep; the bound keeps hostile ones away from every recursive reader.
MAX_NESTING = 64
# A list of things in a reply of the longest length, 262,144 tokens, has fewer pieces.
MAX_PIECES = 200_000


class UnfinishedDict(dict[str, Any]):
    """An object whose end is missing: the pairs that were complete."""


class UnfinishedList(list[Any]):
    """A list whose end is missing: the elements that were complete."""


# Comma and colon exist in Chinese typography too, and Chinese answers use them.
_TOKEN = re.compile(
    r"""(?:[\s,\uff0c\u3001]+|//[^\n]*)*  # commas and comments are skipped
    (?:(?P<numbers>\[\s*-?\d+(?:\.\d+)?\s*(?:,\s*-?\d+(?:\.\d+)?\s*)*\])
    |(?P<key>(?:"[^"\\]*"|'[^'\\]*')\s*[:\uff1a])
    |(?P<text>(?:"[^"\\]*"|'[^'\\]*')(?=\s*[,\]}]))  # one that needs no second look
    |(?P<open>[\[{])
    |(?P<close>[\]}])
    |(?P<colon>[:\uff1a])
    |(?P<quote>["'\u201c])
    |(?P<word>[^\[\]{}:\uff1a"\u201c,\uff0c\n]+)
    |(?P<end>\Z))""",
    re.VERBOSE,
)
_CLOSING_QUOTE = {
    '"': re.compile(r'\\.|"', re.DOTALL),
    "'": re.compile(r"\\.|'", re.DOTALL),
    "\u201c": re.compile(r"\\.|\u201d", re.DOTALL),
}
# A quotation mark ends a string only where something can follow a string; otherwise it is an
# apostrophe, or a quotation within.
_AFTER_STRING = re.compile(r"""\s*(?:[,\uff0c\u3001:\uff1a\[\]{}"'\u201c]|//|\Z)""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_INTEGER = re.compile(r"-?\d{1,15}")
_NOTHING = object()


@dataclass(slots=True)
class _Frame:
    """A container being read; `waiting` is a value that may turn out to be a key."""

    container: dict[str, Any] | list[Any]
    key: Any = _NOTHING
    waiting: Any = _NOTHING
    earlier: list[dict[str, Any]] = field(default_factory=list)

    def place(self, value: Any) -> None:
        if isinstance(self.container, list):
            self.container.append(value)
        elif self.key is _NOTHING:
            self.waiting = value
        else:
            if self.key in self.container:
                # The same key again: the border between two objects was forgotten.
                self.earlier.append(self.container)
                self.container = {}
            self.container[self.key] = value
            self.key = _NOTHING

    def value(self) -> Any:
        return [*self.earlier, self.container] if self.earlier else self.container

    def unfinished(self) -> Any:
        if isinstance(self.container, list):
            return UnfinishedList(self.container)
        rest = UnfinishedDict(self.container)
        return [*self.earlier, rest] if self.earlier else rest


class _Containers:
    """The containers that are open at one place of the text, outermost first."""

    def __init__(self) -> None:
        self.frames: list[_Frame] = []
        self.kinds = ""  # their opening brackets
        # Position and depth behind the last container that was closed.
        self.closed_at, self.closed_depth = 0, 0

    def push(self, bracket: str) -> None:
        if len(self.frames) >= MAX_NESTING:
            raise too_deep()
        self.frames.append(_Frame([] if bracket == "[" else {}))
        self.kinds += bracket

    def close(self, bracket: str, position: int) -> bool:
        """Close containers up to the one that `bracket` ends; True if that was the outermost."""
        wanted = "[" if bracket == "]" else "{"
        if wanted not in self.kinds:
            return False  # a bracket too many
        while self.kinds[-1] != wanted:
            self._pop(position)
        if len(self.frames) == 1:
            return True
        self._pop(position)
        return False

    def make_key(self, position: int) -> None:
        """A colon: what was read last is a key."""
        frame = self.frames[-1]
        if isinstance(frame.container, list) and len(self.frames) > 1 and frame.container:
            # `[1, 2, "label": …`: a list has no colons, so its end was forgotten.
            word = frame.container.pop()
            self._pop(position)
            frame = self.frames[-1]
            frame.waiting = word
        if isinstance(frame.container, dict) and isinstance(frame.waiting, str):
            frame.key, frame.waiting = frame.waiting, _NOTHING

    def unfinished(self) -> Any:
        """The outermost value at the end of the text."""
        while len(self.frames) > 1:
            value = self.frames.pop().unfinished()
            self.frames[-1].place(value)
        return self.frames[0].unfinished()

    def _pop(self, position: int) -> None:
        value = self.frames.pop().value()
        self.kinds = self.kinds[:-1]
        self.frames[-1].place(value)
        self.closed_at, self.closed_depth = position, len(self.kinds)


@dataclass(frozen=True, slots=True)
class Lenient:
    """A value that was read leniently: `pieces` brackets, words and strings up to `end`.

    `unfinished`: its end is missing. `complete` is then the text up to its last complete part,
    with the missing brackets; empty if no part was complete.
    """

    value: Any
    end: int
    pieces: int
    unfinished: bool = False
    complete: str = ""


def read_lenient(text: str, start: int, max_pieces: int = MAX_PIECES) -> Lenient:
    """Read the value that begins with the bracket at `start`.

    A value whose end is missing reaches to the end of the text; it and the containers inside
    that lack their end come as `UnfinishedDict` or `UnfinishedList`.

    Raises:
        ParseError: nested deeper than `MAX_DEPTH`, or more than `max_pieces` pieces.
    """
    inside = _Containers()
    position, pieces = start, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            break  # cannot be: every character begins a piece
        pieces += 1
        if pieces > max_pieces:
            raise too_many_pieces()
        kind = match.lastgroup or "end"
        piece, begin, position = match.group(kind), match.start(kind), match.end()
        if kind == "numbers":
            numbers = _numbers(piece)
            if not inside.frames:
                return Lenient(numbers, position, pieces)
            inside.frames[-1].place(numbers)
        elif kind == "key":
            inside.frames[-1].place(piece[1 : piece.rindex(piece[0])])
            inside.make_key(begin)
        elif kind == "text":
            inside.frames[-1].place(piece[1:-1])
        elif kind == "open":
            inside.push(piece)
        elif kind == "close":
            if inside.close(piece, position):
                return Lenient(inside.frames[0].value(), position, pieces)
        elif kind == "colon":
            inside.make_key(begin)
        elif kind == "quote":
            value, position = _string(text, begin)
            if value is not None:
                inside.frames[-1].place(value)
        elif kind == "word" and position < len(text):  # at the end it may be half a word
            inside.frames[-1].place(_word(piece))
    ends = "".join("]" if kind == "[" else "}" for kind in inside.kinds[: inside.closed_depth])
    complete = text[start : inside.closed_at] + ends[::-1] if inside.closed_at else ""
    return Lenient(inside.unfinished(), position, pieces, True, complete)


def too_deep() -> ParseError:
    """The error for nesting beyond `MAX_NESTING`."""
    return ParseError(
        f"The answer is nested more than {MAX_NESTING} brackets deep.",
        "It is not a list of things; ask again or lower the temperature.",
    )


def too_many_pieces() -> ParseError:
    """The error for text beyond `MAX_PIECES`."""
    return ParseError("The answer is longer than any model writes.", "Ask for fewer things.")


def _string(text: str, start: int) -> tuple[str | None, int]:
    """The string that opens at `start` and the position after it; None if it never closes."""
    position = start + 1
    for mark in _CLOSING_QUOTE[text[start]].finditer(text, position):
        if mark.group()[0] != "\\" and _AFTER_STRING.match(text, mark.end()):
            return _ESCAPE.sub(_unescape, text[position : mark.start()]), mark.end()
    return None, len(text)


def _unescape(match: re.Match[str]) -> str:
    code, char = match.groups()
    return chr(int(code, 16)) if code else _ESCAPED.get(char, char)


def _numbers(piece: str) -> list[Any]:
    try:
        return json.loads(piece)
    except ValueError:  # a leading zero, or thousands of digits
        return [_word(number) for number in piece[1:-1].split(",")]


def _word(word: str) -> Any:
    word = word.strip()
    if _INTEGER.fullmatch(word):
        return int(word)
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        return float(word)
    except ValueError:
        return word
