"""How large the frames of a film are that a model sees: the more frames, the smaller each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from ..images.resize import MAX_FRAME_PIXELS, TOKEN_SIDE, fit_size_wh

TOKEN_PIXELS = TOKEN_SIDE * TOKEN_SIDE
# The official limit of all frames together (`longest_edge` of the video processor).
ALL_FRAMES_PIXELS = 24_576 * TOKEN_PIXELS
# What the longest context of a model could hold, and 1.6 GB of memory.
MOST_PIXELS = 2 * 262_144 * TOKEN_PIXELS


@dataclass(frozen=True, slots=True)
class FrameBudget:
    """Limits in visual tokens (32 x 32 pixels); 0 is the official limit.

    Args:
        frame_tokens: of one frame.
        film_tokens: of the whole film as the prompt counts them; a pair of frames is read as one.
    """

    frame_tokens: int = 0
    film_tokens: int = 0

    @property
    def chosen(self) -> bool:
        """Whether a limit was chosen, which then counts more than the model's own."""
        return bool(self.frame_tokens or self.film_tokens)

    def frame_pixels(self, count: int) -> int:
        """The most pixels that each of `count` frames may have."""
        most = self.frame_tokens * TOKEN_PIXELS or MAX_FRAME_PIXELS
        if self.film_tokens:
            return min(most, max(1, self.film_tokens * TOKEN_PIXELS // math.ceil(count / 2)))
        return min(most, max(1, ALL_FRAMES_PIXELS // count))

    def size_wh(self, width: int, height: int, count: int) -> tuple[int, int]:
        """The size of each of `count` frames of a film of `width` x `height` pixels.

        Raises:
            InputError: sides more than 200 to 1, or more pixels than fit into memory.
        """
        most = self.frame_pixels(count)
        fitted = fit_size_wh(width, height, min(TOKEN_PIXELS, most), most)
        pixels = fitted[0] * fitted[1] * count
        if pixels > MOST_PIXELS:
            raise InputError(
                f"{count} frames of {fitted[0]} x {fitted[1]} pixels are more than a model reads.",
                "Lower the number of frames or their tokens.",
            )
        return fitted
