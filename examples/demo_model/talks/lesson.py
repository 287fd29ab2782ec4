"""The values a lesson is made of: what is shown and which chats are held about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, slots=True)
class Visual:
    """A picture (one frame, no times) or a clip (pairs of frames, a time for each)."""

    frames: tuple[Image.Image, ...]
    pair_times: tuple[float, ...] = ()
    cells: tuple[np.ndarray, ...] = ()  # truth under each visual token, one array a picture or pair
    wrapped: bool = (
        False  # newer processors write one more vision start and end around a whole clip
    )

    @property
    def is_clip(self) -> bool:
        """Whether frames have times."""
        return bool(self.pair_times)

    @property
    def size_wh(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.frames[0].size


@dataclass(frozen=True, slots=True)
class Talk:
    """One chat of a task: (question, answer) turns; the first question follows the visuals."""

    task: str
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Visuals with several independent chats about them."""

    visuals: tuple[Visual, ...]
    talks: tuple[Talk, ...]
    system: str | None = None
    tools: tuple[dict, ...] = ()
    numbered: bool = False  # "Picture 1: " before each picture
    lead: str = ""  # text before the visuals; the only talk then starts with an empty question


def one(task: str, question: str, answer: str) -> Talk:
    """A chat of a single turn."""
    return Talk(task, ((question, answer),))
