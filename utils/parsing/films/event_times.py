"""The times of events in an answer: spans in every form, swapped, beyond the film, unreadable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...video.timeline import Event
from ...video.timestamps import last_pair_as_hundredths, read_seconds

START_KEYS = (
    "start",
    "start_time",
    "starttime",
    "start_timestamp",
    "start_seconds",
    "begin",
    "from",
)
END_KEYS = ("end", "end_time", "endtime", "end_timestamp", "end_seconds", "stop", "to")
# Tells a time from a mere number, as in {"1": "the first event"}.
CLEARLY_TIME = re.compile(r"[:.,]|\d\s*(?:s|m|h|sec|min|\u79d2)", re.IGNORECASE)
BETWEEN = r"\s{0,9}(?:-{1,2}>|[-\u2013\u2014\u2192~\uff5e\u81f3\u5230]|to\b|until\b|and\b)\s{0,9}"
# {"12 - 20": ...} has no mark of time but is a span all the same.
_BARE_SPAN = re.compile(rf"\s*\d{{1,5}}{BETWEEN}\d{{1,5}}\s*", re.IGNORECASE)
_SPAN = re.compile(BETWEEN, re.IGNORECASE)
MAX_NOTES = 50


@dataclass(slots=True)
class TimeReader:
    """Reads the times of one answer; remembers what it changed or could not read."""

    film_seconds: float | None
    notes: list[str] = field(default_factory=list)
    unreadable: int = 0
    mended: bool = False
    _unsaid: int = 0

    def note(self, sentence: str) -> None:
        """Remember a sentence; beyond `MAX_NOTES` only their number."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(sentence)
        else:
            self._unsaid += 1

    def all_notes(self) -> list[str]:
        """The notes, and how many more there were."""
        more = [f"and {self._unsaid} more notes like these"] if self._unsaid else []
        return [*self.notes, *more]

    def event(self, start: Any, end: Any, text: str) -> Iterator[Event]:
        """One event, or a note on why it is none."""
        what = f'"{text[:40]}"' if text else "an event without words"
        if not text:
            self.note(f"{_short(start)} to {_short(end)} left out, nothing is said of it")
            return
        first, last = self.time(start, what), self.time(end, what)
        if first is None or last is None:
            self.unreadable += 1
            self.note(f"{what}: left out, {_short(start)} to {_short(end)} are no times")
            return
        if last < first:
            self.note(f"{what}: start and end swapped, it was {_short(start)} to {_short(end)}")
            first, last = last, first
        film = self.film_seconds
        if film is not None and first >= film:
            self.note(f"{what}: left out, it begins at {first:g} s, after the film's {film:.2f} s")
            return
        if film is not None and last > film:
            if last > film + 0.5:  # what rounding does is nothing to speak of
                self.note(f"{what}: cut to the film's {film:.2f} s, it was to end at {last:g} s")
            last = film
        yield Event(first, last, text)

    def time(self, value: Any, what: str) -> float | None:
        """Seconds; `mm:ss:ff` where the hours it would mean are more than the film has."""
        seconds = read_seconds(value)
        film = self.film_seconds
        if seconds is None or film is None or seconds <= film:
            return seconds
        other = last_pair_as_hundredths(value)
        if other is None or other > film:
            return seconds
        self.mended = True
        self.note(f"{what}: {value} read as minutes, seconds and hundredths")
        return other


def span_of(value: Any, named: bool = False) -> tuple[Any, Any] | None:
    """Start and end out of "a - b", [a, b] or {"start": a, "end": b}; one time is both."""
    if isinstance(value, dict) and named:
        keys = {key.lower(): key for key in value}
        start = next((value[keys[k]] for k in START_KEYS if k in keys), None)
        end = next((value[keys[k]] for k in END_KEYS if k in keys), None)
        return (start, end) if start is not None and end is not None else None
    if isinstance(value, list) and named:
        return (value[0], value[1]) if len(value) == 2 and not isinstance(value[0], list) else None
    if not isinstance(value, str) or len(value) > 80:
        return None
    if not (CLEARLY_TIME.search(value) or _BARE_SPAN.fullmatch(value)):
        return None
    plain = re.sub(r"^\W{0,9}(?:from|between)\s", "", value.strip(), flags=re.IGNORECASE)
    parts = _SPAN.split(plain)
    if len(parts) == 2 and all(read_seconds(part) is not None for part in parts):
        return parts[0], parts[1]
    if len(parts) == 1 and not named and read_seconds(plain) is not None:
        return plain, plain
    return None


def _short(value: Any) -> str:
    return str(value)[:30] if isinstance(value, (str, int, float)) else type(value).__name__
