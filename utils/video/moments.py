"""Which moments of a film a model is shown: so many a second or in all, every n-th, scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

By = Literal["rate", "count", "every", "scenes"]
# The official limits of a film, and the rate that Qwen3-VL was trained with.
LEAST_FRAMES, MOST_FRAMES, USUAL_RATE = 4, 768, 2.0
# Between samples so far apart a key frame nearby does as well, and costs a hundredth.
_SLACK_FROM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """How the frames of a film are chosen, from second `start` to `end` (None: to its end).

    Args:
        by: which of the next three counts, or the scene changes.
        rate: frames a second.
        count: frames in all.
        every: every so many frames of the film.
        max_frames: more are spread evenly over the same time instead.
    """

    by: By = "rate"
    rate: float = USUAL_RATE
    count: int = 64
    every: int = 10
    start: float = 0.0
    end: float | None = None
    max_frames: int = MOST_FRAMES

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"The {name} is {value} s.", "Give seconds from 0 up.")
        if self.end is not None and self.end <= self.start:
            raise InputError(
                f"The part from {self.start:g} s to {self.end:g} s is empty.",
                "Give an end after the start.",
            )
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"{self.rate} frames a second show nothing.", "Give more than 0.")
        if min(self.count, self.every, self.max_frames) < 1:
            raise InputError("The number of frames is below 1.", "Give 1 or more.")

    def window(self, seconds: float) -> tuple[float, float]:
        """(start, end) of the chosen part of a film of so many seconds.

        Raises:
            InputError: the part begins after the film has ended.
        """
        if self.start >= seconds:
            raise InputError(
                f"The part begins at {self.start:g} s, but the film ends at {seconds:.2f} s.",
                "Give an earlier start.",
            )
        return self.start, min(seconds, self.end) if self.end is not None else seconds


@dataclass(frozen=True, slots=True)
class Moments:
    """Rising `seconds` at which a film is looked at; a frame up to `slack` seconds off will do."""

    seconds: tuple[float, ...]
    slack: float = 0.0


def even_moments(choice: FrameChoice, seconds: float, fps: float) -> Moments:
    """Moments by rate or count, from the first frame of the part to its last.

    They are those of the official sampling: evenly from first to last frame, the nearest frame
    each; an even number, as the model reads frames in pairs. A film has no more frames than it
    has: then each comes once.
    """
    start, end = choice.window(seconds)
    there = max(1, round((end - start) * fps))
    if choice.by == "count":
        wanted = choice.count
    else:
        wanted = max(LEAST_FRAMES, 2 * round((end - start) * choice.rate / 2))
    count = min(wanted, choice.max_frames, there)
    last = max(start, end - 1 / fps)
    step = (last - start) / (count - 1) if count > 1 else 0.0
    # Half a frame later the nearest frame is the one on screen.
    half = 0.5 / fps
    slack = 0.4 * step if step >= _SLACK_FROM_SECONDS else 0.0
    return Moments(tuple(start + k * step + half for k in range(count)), slack)


def every_nth(choice: FrameChoice, times: list[float], fps: float) -> Moments:
    """Moments of every n-th of the frames that stand at `times`; evenly thinned to `max_frames`.

    Raises:
        InputError: no frame in the chosen part.
    """
    start, end = choice.window(times[-1] + 1 / fps if times else 0.0)
    inside = [t for t in times if start - 1e-6 <= t < end]
    if not inside:
        raise InputError(
            f"There is no frame from {start:g} s to {end:g} s.", "Choose a longer part."
        )
    chosen = thinned(inside[:: choice.every], choice.max_frames)
    # A thousandth of a second later, so that rounding of time stamps does not show the one before.
    return Moments(tuple(t + min(0.001, 0.25 / fps) for t in chosen))


# How far apart the two frames of a pair are, where there is room, and the pairs of a scene.
_PAIR_SECONDS, _SCENE_STEP_SECONDS = 0.5, 4.0


def scene_moments(
    choice: FrameChoice, cuts: list[tuple[float, float]], seconds: float, fps: float
) -> Moments:
    """Two moments near each other at the beginning of each scene, and again as it goes on.

    The model reads frames in pairs: a pair never reaches over a cut.

    Args:
        cuts: (second, strength) of each change; the weakest are left out beyond `max_frames`.
    """
    start, end = choice.window(seconds)
    most = max(1, choice.max_frames // 2)
    inside = [c for c in cuts if start + 1 / fps < c[0] < end - 1 / fps]
    strongest = sorted(sorted(inside, key=lambda cut: -cut[1])[: most - 1])
    edges = [start, *(second for second, _ in strongest), end]
    spare = most - (len(edges) - 1)
    step = max(_SCENE_STEP_SECONDS, (end - start) / spare) if spare else math.inf
    half = 0.5 / fps
    moments: list[float] = []
    for begin, stop in zip(edges, edges[1:], strict=False):
        last = max(begin, stop - 1 / fps)
        pairs = 1 + max(0, math.ceil((stop - begin) / step) - 1)
        for number in range(pairs):
            first = begin + number * (stop - begin) / pairs
            moments += [first + half, min(first + _PAIR_SECONDS, (first + last) / 2) + half]
    return Moments(tuple(moments))


def thinned(values: list[float], most: int) -> list[float]:
    """At most `most` of the values, evenly from first to last."""
    if len(values) <= most:
        return values
    if most == 1:
        return values[:1]
    return [values[round(k * (len(values) - 1) / (most - 1))] for k in range(most)]


def around(moment: float, seconds: float, reach: float) -> tuple[float, float]:
    """The part of a film that lies up to `reach` seconds around a moment.

    Raises:
        InputError: the moment is outside the film.
    """
    if not (math.isfinite(moment) and 0 <= moment <= seconds):
        raise InputError(
            f"Second {moment:g} is not in the film, which has {seconds:.2f} s.",
            "Choose a moment of the film.",
        )
    return max(0.0, moment - reach), min(seconds, moment + reach)
