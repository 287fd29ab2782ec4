"""What a model is shown of a film: chosen frames in their final size, with the second of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..images.picture import Clip
from ..images.resize import resize_picture
from ..images.tensors import pictures_from_tensor
from .ffmpeg import packet_seconds
from .film import Film
from .frame_budget import FrameBudget
from .frames import Decoding, FrameReader
from .moments import FrameChoice, Moments, even_moments, every_nth, scene_moments
from .scene_cuts import THUMB_WH, find_cuts

if TYPE_CHECKING:
    import torch

# Scene changes are looked for so often; in a long film not more than so many times.
_LOOK_SECONDS, _MOST_LOOKS = 0.2, 3000


# (frames read, frames wanted)
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """A clip of a film of so many `seconds`, what reading it cost, and what there is to say.

    On the clock of the clip's times the film begins at second `begins`.
    """

    clip: Clip
    seconds: float
    cost: Decoding
    notes: tuple[str, ...] = ()
    begins: float = 0.0

    @property
    def ends(self) -> float:
        """The second at which the film ends, on the clock of the clip's times."""
        return self.begins + self.seconds


def film_footage(
    film: Film,
    choice: FrameChoice,
    budget: FrameBudget,
    source_times: bool = False,
    told: Told = lambda _done, _count: None,
) -> Footage:
    """The chosen frames of an open film.

    Args:
        film: open until this returns.
        choice: which frames.
        budget: their size.
        source_times: count seconds from the beginning of the file that a trimmed film was cut
            from, not from its own.
        told: called after each frame, those looked at for scene changes included.

    Raises:
        InputError: an empty part, or no frame that can be decoded.
    """
    cost = Decoding()
    moments = moments_of(film, choice, cost, told)
    count = len(moments.seconds)
    reader = FrameReader(
        film, lambda width, height: budget.size_wh(width, height, count), moments.slack, cost
    )
    frames, seconds = _all_of(reader, moments.seconds, told)
    notes = _notes(film, cost, count, len(seconds))
    later = film.file_seconds if source_times else 0.0
    clip = Clip(
        frames,
        film.fps,
        tuple(round(second * film.fps) for second in seconds),
        max(1, round(film.seconds * film.fps)),
        seconds=tuple(second + later for second in seconds),
        keep_size=budget.chosen,
    )
    return Footage(clip, film.seconds, cost, notes, later)


def batch_footage(
    images: torch.Tensor, fps: float, choice: FrameChoice, budget: FrameBudget
) -> Footage:
    """The chosen frames of an IMAGE batch [B, H, W, C] that runs at `fps` frames a second.

    Raises:
        InputError: no batch of images, an impossible rate, or an empty part.
    """
    if not 0 < fps <= 1000:
        raise InputError(f"A film has {fps} frames a second.", "Give the rate of the images.")
    total = int(images.shape[0]) if getattr(images, "ndim", 0) == 4 else 0
    if not total:
        pictures_from_tensor(images)  # says what is wrong with it
    length = total / fps
    if choice.by == "scenes":
        thumbs = ((k / fps, _batch_frame(images, k, THUMB_WH)) for k in range(total))
        moments = scene_moments(choice, find_cuts(thumbs), length, fps)
    elif choice.by == "every":
        moments = every_nth(choice, [k / fps for k in range(total)], fps)
    else:
        moments = even_moments(choice, length, fps)
    numbers = [min(total - 1, max(0, int(second * fps))) for second in moments.seconds]
    size_wh = budget.size_wh(int(images.shape[2]), int(images.shape[1]), len(numbers))
    frames = np.stack([_batch_frame(images, number, size_wh) for number in numbers])
    clip = Clip(frames, fps, tuple(numbers), total, keep_size=budget.chosen)
    return Footage(clip, length, Decoding(decoded=len(numbers), reached=length))


def moments_of(
    film: Film, choice: FrameChoice, cost: Decoding, told: Told = lambda _done, _count: None
) -> Moments:
    """When an open film is looked at; `cost` grows by what finding that out takes."""
    if choice.by == "every":
        times = packet_seconds(film.container, film.stream, film.check)
        inside = [t - film.first_raw for t in times]
        inside = [t for t in inside if -1e-6 <= t < film.seconds]
        return every_nth(choice, inside, film.fps)
    if choice.by == "scenes":
        return scene_moments(choice, _film_cuts(film, choice, cost, told), film.seconds, film.fps)
    return even_moments(choice, film.seconds, film.fps)


def _film_cuts(
    film: Film, choice: FrameChoice, cost: Decoding, told: Told
) -> list[tuple[float, float]]:
    start, end = choice.window(film.seconds)
    step = max(_LOOK_SECONDS, 1 / film.fps, (end - start) / _MOST_LOOKS)
    looks = [start + k * step for k in range(int((end - start) / step) + 1)]
    slack = 0.4 * step if step >= 2.0 else 0.0
    reader = FrameReader(film, lambda width, height: THUMB_WH, slack, cost)

    def thumbs() -> Iterator[tuple[float, np.ndarray]]:
        for number, frame in enumerate(reader.read(looks)):
            told(number + 1, len(looks))
            yield frame.seconds, frame.pixels

    return find_cuts(thumbs())


def _all_of(
    reader: FrameReader, moments: Sequence[float], told: Told
) -> tuple[np.ndarray, list[float]]:
    """One array for all frames, made when the size of the first is known."""
    frames: np.ndarray | None = None
    seconds: list[float] = []
    for frame in reader.read(moments):
        if frames is None:
            frames = np.empty((len(moments), *frame.pixels.shape), np.uint8)
        frames[len(seconds)] = frame.pixels
        seconds.append(frame.seconds)
        told(len(seconds), len(moments))
    assert frames is not None  # noqa: S101 - read() raises where there is none
    return frames[: len(seconds)], seconds


def _notes(film: Film, cost: Decoding, wanted: int, got: int) -> tuple[str, ...]:
    notes = []
    if got < wanted:
        notes.append(
            f"{film.name}: no frame after {cost.reached:.2f} s of {film.seconds:.2f} s; the video "
            "ends there, or the file is cut off"
        )
    if cost.faults:
        notes.append(f"{film.name}: {cost.faults} damaged pieces were passed over")
    return tuple(notes)


def _batch_frame(images: torch.Tensor, number: int, size_wh: tuple[int, int]) -> np.ndarray:
    picture = pictures_from_tensor(images[number : number + 1])[0]
    return resize_picture(picture, size_wh).pixels
