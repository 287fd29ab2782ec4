"""Events as subtitle files: SRT and WebVTT."""

from __future__ import annotations

from collections.abc import Iterable

from .timeline import Event
from .timestamps import long_clock

# A cue without length is never shown.
SHORTEST_CUE_SECONDS = 1.0
# Characters that end a line for some reader or other; a cue's text ends at an empty line.
_BREAKS = dict.fromkeys(map(ord, "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"), "\n")
_CONTROL = dict.fromkeys([*range(9), *range(14, 28), 31, 127, 0xFEFF], None)


def to_srt(events: Iterable[Event]) -> str:
    """SubRip text, cues by start; empty for no events."""
    cues = [
        f"{number}\n{_span(event, ',')}\n{_lines(event.text)}\n"
        for number, event in enumerate(_by_start(events), 1)
    ]
    return "\n".join(cues)


def to_vtt(events: Iterable[Event]) -> str:
    """WebVTT text, cues by start; its header alone for no events."""
    cues = [f"{_span(event, '.')}\n{_escaped(_lines(event.text))}\n" for event in _by_start(events)]
    return "\n".join(["WEBVTT\n", *cues])


def _by_start(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.start, event.end))


def _span(event: Event, decimal: str) -> str:
    end = (
        max(event.end, event.start + SHORTEST_CUE_SECONDS)
        if event.end <= event.start
        else event.end
    )
    return f"{long_clock(event.start, decimal)} --> {long_clock(end, decimal)}"


def _lines(text: str) -> str:
    """The text without empty lines, and without the arrow that a reader takes for a time line."""
    plain = text.translate(_BREAKS).translate(_CONTROL).replace("-->", "\u2192")
    return "\n".join(line.strip() for line in plain.split("\n") if line.strip()) or "\u2026"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
