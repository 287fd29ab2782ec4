"""Things seen at moments of a film, and which of its frames each belongs to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ..geometry import Detection, Detections

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
