"""Pixels as values: a picture, and frames of a film with what tells their seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One RGB picture: `pixels` uint8 [height, width, 3]."""

    pixels: np.ndarray

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, 3, "A picture is uint8 [height, width, 3]")

    @property
    def size_wh(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames sampled from a video, with what is needed to know the second of each.

    `frames` uint8 [count, height, width, 3]; frame k is number `indices[k]` of a source that
    has `total_frames` frames at `source_fps` frames a second. Where that rate varies, or the
    source was trimmed, `seconds` has the second of each frame. With `keep_size` the frames have
    the size that the model is to see already, sides multiples of 32.
    """

    frames: np.ndarray
    source_fps: float
    indices: tuple[int, ...]
    total_frames: int
    seconds: tuple[float, ...] = ()
    keep_size: bool = False

    def __post_init__(self) -> None:
        _check_pixels(self.frames, 4, "A clip is uint8 [frames, height, width, 3]")
        if len(self.indices) != len(self.frames):
            raise InputError(
                f"A clip of {len(self.frames)} frames has {len(self.indices)} frame numbers.",
                "Give one source frame number for each frame.",
            )
        if not (math.isfinite(self.source_fps) and self.source_fps > 0):
            raise InputError(
                f"A clip has {self.source_fps} frames a second.", "Give the source's frame rate."
            )
        if self.seconds:
            self._check_seconds()

    def _check_seconds(self) -> None:
        rising = all(a <= b for a, b in zip(self.seconds, self.seconds[1:], strict=False))
        sound = all(math.isfinite(second) and second >= 0 for second in self.seconds)
        if not (rising and sound and len(self.seconds) == len(self.frames)):
            raise InputError(
                f"The seconds of a clip of {len(self.frames)} frames do not rise one by one.",
                "Give the second of each frame, from 0 up.",
            )

    @property
    def times(self) -> tuple[float, ...]:
        """The second of each frame."""
        return self.seconds or tuple(index / self.source_fps for index in self.indices)


def _check_pixels(array: np.ndarray, dims: int, what: str) -> None:
    ok = isinstance(array, np.ndarray) and array.dtype == np.uint8
    if not ok or array.ndim != dims or array.shape[-1] != 3 or 0 in array.shape:
        found = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
        remedy = "Give numbers of 0 to 255: red, green, blue."
        raise InputError(f"{what}, but this is {found}.", remedy)
