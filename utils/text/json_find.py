"""Finds the JSON in a model's answer: strict first, repaired second, and says which it was."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .json_lenient import (
    MAX_NESTING,
    MAX_PIECES,
    Lenient,
    UnfinishedDict,
    UnfinishedList,
    read_lenient,
    too_deep,
    too_many_pieces,
)

__all__ = ["JsonFound", "UnfinishedDict", "UnfinishedList", "find_json"]


@dataclass(frozen=True, slots=True)
class JsonFound:
    """One JSON list or object of an answer.

    `repaired`: it was not valid JSON. `truncated`: its end is missing; `value` holds what was
    complete, in `UnfinishedDict` and `UnfinishedList`. Numbers may be NaN or infinite: the
    reader of the value checks its range.
    """

    value: Any
    repaired: bool = False
    truncated: bool = False


# An answer holds one list, or an object for each thing; more separate ones are no answer.
MAX_VALUES = 20_000

# A fence opens at the start of a line. It closes at the start of a line or right behind a
# bracket: a label may hold three backticks, but no raw line break.
_FENCE = re.compile(
    r"^[ \t]*```[\w+-]*(.*?)(?:^[ \t]*```|(?<=[\]}])[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
# A bracket that can begin JSON, not one like "[see below]" in a sentence.
_BEGIN = re.compile(
    r"""\[(?=\s*(?:[\[{\]"'\u201c\-\d]|\Z))|\{(?=\s*(?:["'\u201c}]|\w+\s*[:\uff1a]|\Z))"""
)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def find_json(text: str) -> list[JsonFound]:
    """Every list and object in `text`, in order; an empty list if there is none.

    Fenced blocks go before the text around them. Time grows with the length of the text.

    Raises:
        ParseError: nested deeper than 64 brackets, or too many pieces to be an answer.
    """
    bare = text.strip()
    if not bare.startswith(("[", "{")):
        search = _Search()
        for match in _FENCE.finditer(text):
            search.look(match.group(1).strip())
        if search.found:
            return search.found
    search = _Search()
    search.look(bare)
    return search.found


class _Search:
    """What was found in the blocks of one answer; the bounds count all of them together."""

    def __init__(self) -> None:
        self.found: list[JsonFound] = []
        self.pieces = 0
        self.strict = _StrictReader()

    def look(self, text: str) -> None:
        """Add what is in `text`."""
        if text.startswith(("[", "{")) and text.endswith(("]", "}")):
            _check_depth(text)
            whole = self.strict.read(text)
            if whole is not None:
                self.found.append(whole)
                return
        position = 0
        while begin := _BEGIN.search(text, position):
            if len(self.found) >= MAX_VALUES:
                raise too_many_pieces()
            read = read_lenient(text, begin.start(), MAX_PIECES - self.pieces)
            position = read.end
            self.pieces += read.pieces
            self.found.append(self._judge(read, text[begin.start() : position]))

    def _judge(self, read: Lenient, source: str) -> JsonFound:
        """The value as strict JSON if its source is that, and otherwise as it was repaired."""
        if read.unfinished:
            so_far = self.strict.read(read.complete)
            repaired = bool(read.complete) and (so_far is None or so_far.repaired)
            return JsonFound(read.value, repaired, truncated=True)
        return self.strict.read(source) or JsonFound(read.value, repaired=True)


class _StrictReader:
    """Reads JSON, and notes keys that come twice; one for an answer, as it is slow to make."""

    def __init__(self) -> None:
        self._repeated = False
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def read(self, text: str) -> JsonFound | None:
        """The text as JSON, or None; its nesting has been bounded by the caller."""
        self._repeated = False
        try:
            value = self._decoder.decode(text)
        except ValueError:  # not JSON, or an integer of thousands of digits
            return None
        return JsonFound(value, repaired=self._repeated)

    def _object(self, pairs: list[tuple[str, Any]]) -> Any:
        whole = dict(pairs)
        if len(whole) == len(pairs):
            return whole
        self._repeated = True
        return _split_at_repeats(pairs)


def _split_at_repeats(pairs: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Objects that ran together: json would keep the last value of a key and lose the others."""
    objects: list[dict[str, Any]] = [{}]
    for key, value in pairs:
        if key in objects[-1]:
            objects.append({})
        objects[-1][key] = value
    return objects


def _check_depth(text: str) -> None:
    """Refuse deep nesting before json sees it: its reader recurses."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = match.group()[0]
        if first in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise too_deep()
        elif first in "]}":
            depth -= 1
