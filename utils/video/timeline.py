"""What happens when in a film: events, and things seen at moments and on which frames."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..detection.boxes import Detection, Detections
from ..errors import InputError
from .timestamps import clock


@dataclass(frozen=True, slots=True)
class Event:
    """What happens from `start` to `end`, in seconds of the film; a moment where they are equal."""

    start: float
    end: float
    text: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.end) and 0 <= self.start <= self.end):
            raise InputError(
                f"An event lasts from {self.start} to {self.end} s.",
                "Give seconds from 0 up, the end not before the start.",
            )

    @property
    def middle(self) -> float:
        """The second half way between start and end."""
        return (self.start + self.end) / 2

    @property
    def when(self) -> str:
        """Start and end as `mm:ss.ff - mm:ss.ff`."""
        return f"{clock(self.start)} - {clock(self.end)}"


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one answer in its order.

    `truncated`: the answer was cut off, later events are missing. `repaired`: it was not JSON of
    the form asked for. `notes` say what was changed or left out.
    """

    items: tuple[Event, ...] = ()
    truncated: bool = False
    repaired: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.items)

    def to_json_values(self) -> list[dict[str, Any]]:
        """For the wire: `[{"start": 1.0, "end": 3.5, "text": "…"}, …]`, seconds."""
        return [
            {"start": round(e.start, 3), "end": round(e.end, 3), "text": e.text} for e in self.items
        ]


# The model reads frames in pairs and gives each pair one time.
FRAMES_OF_A_TIME = 2


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing at one moment, in seconds of the film."""

    seconds: float
    thing: Detection


@dataclass(frozen=True, slots=True)
class Sightings:
    """The sightings of one answer in its order; the flags and notes as in `Events`."""

    items: tuple[Sighting, ...] = ()
    truncated: bool = False
    repaired: bool = False
    notes: tuple[str, ...] = ()


def pair_seconds(frame_seconds: Sequence[float]) -> list[float]:
    """The time that the model is told of each pair of frames: their middle."""
    pairs = range(0, len(frame_seconds), FRAMES_OF_A_TIME)
    return [
        (frame_seconds[k] + frame_seconds[min(k + 1, len(frame_seconds) - 1)]) / 2 for k in pairs
    ]


def by_frame(
    found: Sightings, frame_seconds: Sequence[float], width: int, height: int
) -> list[Detections]:
    """One `Detections` for each frame, of a film of `width` x `height` pixels.

    A sighting belongs to both frames of the pair whose time is nearest. One that is farther
    from it than from the next pair is in no frame: it is left out, and a note of the first frame
    says so.
    """
    times = pair_seconds(frame_seconds)
    items: list[list[Detection]] = [[] for _ in frame_seconds]
    lost: list[float] = []
    for sighting in found.items:
        pair = _nearest(times, sighting.seconds)
        if abs(times[pair] - sighting.seconds) > _reach(times, pair):
            lost.append(sighting.seconds)
            continue
        first = pair * FRAMES_OF_A_TIME
        for frame in range(first, min(first + FRAMES_OF_A_TIME, len(items))):
            items[frame].append(sighting.thing)
    notes = found.notes
    if lost:
        notes = (*notes, f"{len(lost)} left out, at no frame that was shown: {lost[0]:g} s")
    return [
        Detections(
            width, height, tuple(there), found.truncated, found.repaired, () if number else notes
        )
        for number, there in enumerate(items)
    ]


def _nearest(times: Sequence[float], second: float) -> int:
    at = bisect_left(times, second)
    around = [k for k in (at - 1, at) if 0 <= k < len(times)]
    return min(around, key=lambda k: abs(times[k] - second))


def _reach(times: Sequence[float], pair: int) -> float:
    """Half the way to the farther neighbour, and what rounding to a tenth takes."""
    gaps = [abs(times[k] - times[pair]) for k in (pair - 1, pair + 1) if 0 <= k < len(times)]
    return max(gaps, default=1.0) / 2 + 0.06


def seen_spans(found: Sightings, frame_seconds: Sequence[float], film_seconds: float) -> Events:
    """From when to when each thing was seen, by its label, in the order of their starts.

    Pairs of frames that follow each other make one span; it lasts from the first frame of the
    first pair to the frame after the last, or to the end of the film.
    """
    times = pair_seconds(frame_seconds)
    pairs: dict[str, set[int]] = {}
    for sighting in found.items:
        pair = _nearest(times, sighting.seconds)
        if abs(times[pair] - sighting.seconds) <= _reach(times, pair):
            pairs.setdefault(sighting.thing.label, set()).add(pair)
    spans: list[Event] = []
    for label, seen in pairs.items():
        for first in sorted(pair for pair in seen if pair - 1 not in seen):
            last = first
            while last + 1 in seen:
                last += 1
            after = (last + 1) * FRAMES_OF_A_TIME
            end = frame_seconds[after] if after < len(frame_seconds) else film_seconds
            start = frame_seconds[first * FRAMES_OF_A_TIME]
            spans.append(Event(start, max(start, end), label))
    spans.sort(key=lambda event: (event.start, event.end))
    return Events(tuple(spans), found.truncated, found.repaired, found.notes)
