"""The pictures and clips of a chat as JSON values, each stored once and lossless."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from ..chat.messages import Part
from ..images.picture import Clip, Picture


class PictureShelf:
    """Takes the parts of messages; `pictures` and `clips` are what they refer to by number."""

    def __init__(self) -> None:
        self.pictures: list[dict[str, str]] = []
        self.clips: list[dict[str, Any]] = []
        self._known: dict[bytes, int] = {}

    def part(self, part: Part) -> dict[str, Any]:
        """A part of a message as JSON."""
        if isinstance(part, str):
            return {"text": part}
        if isinstance(part, Picture):
            return {"picture": self._place(part.pixels, (), self.pictures, self._picture(part))}
        facts = (part.source_fps, part.indices, part.total_frames, part.seconds, part.keep_size)
        return {"clip": self._place(part.frames, facts, self.clips, self._clip(part))}

    def _place(self, pixels: np.ndarray, facts: Sequence[Any], shelf: list, make: Any) -> int:
        hashed = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
        hashed.update(repr((pixels.shape, facts)).encode())
        key = hashed.digest()
        if key not in self._known:
            self._known[key] = len(shelf)
            shelf.append(make())
        return self._known[key]

    @staticmethod
    def _picture(picture: Picture) -> Any:
        return lambda: {"png": _png(picture.pixels)}

    @staticmethod
    def _clip(clip: Clip) -> Any:
        return lambda: {
            "frames": [_png(frame) for frame in clip.frames],
            "source_fps": clip.source_fps,
            "indices": list(clip.indices),
            "total_frames": clip.total_frames,
            "seconds": list(clip.seconds),
            "keep_size": clip.keep_size,
        }


def _png(pixels: np.ndarray) -> str:
    from PIL import Image

    held = BytesIO()
    Image.fromarray(pixels).save(held, format="PNG", compress_level=1)
    return base64.b64encode(held.getvalue()).decode("ascii")
