"""A model's answer about what happens when into `Events`.

Formats: the Qwen3-VL cookbook "video_understanding" (`{"mm:ss.ff - mm:ss.ff": "text"}`, or a
list of objects), and what models make of them: other names, seconds, subtitles, lines of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...errors import ParseError
from ...text.json_find import UnfinishedDict, find_json
from ...text.printable import clean_text
from ...text.thinking import answer_of
from ...video.timeline import Event, Events
from ...video.timestamps import read_seconds
from .event_times import BETWEEN, CLEARLY_TIME, END_KEYS, START_KEYS, TimeReader, span_of

_SPAN_KEYS = ("timestamp", "timestamps", "time", "time_range", "timerange", "time_span", "range",
              "interval", "segment", "span", "when", "times")  # fmt: skip
# The first of these that an item has is its text.
_TEXT_KEYS = ("description", "event", "text", "caption", "sentence", "activity", "action", "label",
              "summary", "content", "title", "name")  # fmt: skip
_TIME = (
    r"[<\[(]?(?:\d{1,4}\s?:\s?)?\d{1,4}(?:\s?:\s?\d{1,2})?(?:[.,]\d{1,6})?"
    r"\s?(?:s\b|secs?\b|seconds?\b|\u79d2)?[>\])]?"
)
_SPAN_IN_LINE = re.compile(
    rf"(?<![\d.:])({_TIME}){BETWEEN}({_TIME})(?!\d|\s?:\s?\d|[.,]\d)", re.IGNORECASE
)
_TAIL = " \t-*|_"
# What stands around the times of a line and is no part of what happens.
_EDGES = " \t-\u2013\u2014:\uff1a*\u2022|[]()<>.,;#_"
_BEFORE = re.compile(r"(?:\bfrom|\bbetween|^\s{0,9}\(?\d{1,3}[.)])\s{0,9}$", re.IGNORECASE)


def parse_events(text: str, film_seconds: float | None = None) -> Events:
    """The events of an answer in its order; an answer that names none gives no items.

    Args:
        text: the whole answer; thinking, sentences and fences around the JSON do not matter.
        film_seconds: how long the film is; times beyond it are cut to it, and noted.

    Raises:
        ParseError: the answer names times, but none of them can be read.
    """
    answer, truncated = answer_of(text)
    reader = TimeReader(film_seconds)
    found = find_json(answer)
    items: list[Event] = []
    repaired = False
    for one in found:
        before = len(items)
        items += _events(one.value, reader)
        repaired |= one.repaired and len(items) > before
    truncated |= any(one.truncated for one in found)
    # "[00:01 - 00:02] A" is a line of text, whose bracket only looks like JSON.
    if not (items or truncated or any(_holds_objects(one.value) for one in found)):
        reader = TimeReader(film_seconds)
        items = list(_in_lines(answer, reader))
        repaired = bool(items)
    if reader.unreadable and not items and not truncated:
        raise ParseError(
            f"The answer names times that cannot be read ({reader.notes[0]}); it begins: "
            f"{' '.join(answer[:200].split())}",
            "Ask again with another seed, or look at more frames.",
        )
    return Events(tuple(items), truncated, repaired or reader.mended, tuple(reader.all_notes()))


def _events(value: Any, reader: TimeReader) -> Iterator[Event]:
    """The events in a JSON value, in order; what is cut off is passed over."""
    if isinstance(value, list):
        if (
            len(value) == 3
            and isinstance(value[2], str)
            and _is_time(value[0])
            and _is_time(value[1])
        ):
            yield from reader.event(value[0], value[1], _words(value[2]))
            return
        for part in value:
            if isinstance(part, str):
                yield from _in_lines(part, reader)
            else:
                yield from _events(part, reader)
    elif isinstance(value, dict):
        spans = {key: span for key in value if (span := span_of(key))}
        if spans:
            for key, (start, end) in spans.items():
                if not isinstance(value[key], UnfinishedDict):
                    yield from reader.event(start, end, _words(value[key]))
        else:
            yield from _event(value, reader)


def _event(value: dict[str, Any], reader: TimeReader) -> Iterator[Event]:
    """One object with its times under names, or whatever lies inside."""
    named = {key.strip().lower().replace(" ", "_").replace("-", "_"): key for key in value}
    starts = [named[key] for key in START_KEYS if key in named]
    ends = [named[key] for key in END_KEYS if key in named]
    span_key = next((named[key] for key in _SPAN_KEYS if key in named), None)
    if isinstance(value, UnfinishedDict) and (starts or span_key):
        return
    if starts and ends:
        yield from reader.event(value[starts[0]], value[ends[0]], _text_of(value, named))
    elif span_key is not None and (span := span_of(value[span_key], named=True)):
        yield from reader.event(*span, _text_of(value, named))
    elif span_key is not None and not isinstance(value[span_key], (list, dict)):
        yield from reader.event(value[span_key], value[span_key], _text_of(value, named))
    else:
        for part in value.values():
            if isinstance(part, (list, dict)):
                yield from _events(part, reader)


def _in_lines(text: str, reader: TimeReader) -> Iterator[Event]:
    """Events written as lines: the times, then what happens, on the same line or below."""
    waiting: tuple[str, str] | None = None
    below: list[str] = []
    for line in [*text.splitlines(), ""]:
        match = _SPAN_IN_LINE.search(line, 0, 200)
        if match and not CLEARLY_TIME.search(match.group()):
            match = None
        if waiting and (match or (not line.strip() and below)):
            yield from reader.event(*waiting, _words(" ".join(below)))
            waiting, below = None, []
        if match:
            words = line[match.end() :].lstrip(_EDGES).rstrip(_TAIL)
            if not words:
                words = _BEFORE.sub("", line[: match.start()]).strip(_EDGES)
            if words:
                yield from reader.event(match[1], match[2], _words(words))
            else:
                waiting = (match[1], match[2])
        elif waiting and line.strip():
            below.append(line.strip())


def _text_of(value: dict[str, Any], named: dict[str, str]) -> str:
    key = next((named[k] for k in _TEXT_KEYS if k in named and value[named[k]]), None)
    return _words(value[key]) if key is not None else ""


def _words(value: Any) -> str:
    """What is said of an event: a text, a list of texts, or an object that holds one."""
    if isinstance(value, str):
        return clean_text(" ".join(value.split()))
    if isinstance(value, list):
        return " ".join(filter(None, map(_words, value)))
    if isinstance(value, dict):
        named = {key.lower(): key for key in value}
        return _text_of(value, named) or " ".join(
            filter(None, (_words(part) for part in value.values() if isinstance(part, str)))
        )
    return ""


def _holds_objects(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_objects, value))
    return isinstance(value, dict)


def _is_time(value: Any) -> bool:
    return read_seconds(value) is not None
