"""The part of a picture that a box names, as a picture large enough to be read."""

from __future__ import annotations

import math

from ..detection.boxes import Box
from ..images.picture import Picture
from ..images.resize import DEFAULT_MAX_PIXELS, TOKEN_SIDE, fit_size_wh, resize_picture

# What the official tool enlarges a crop to: 256 visual tokens.
MIN_CROP_PIXELS = 256 * TOKEN_SIDE * TOKEN_SIDE
# Narrower crops are widened: the vision tower takes no picture longer than 200 times its width.
MAX_CROP_ASPECT = 100


def crop_region(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """(x1, y1, x2, y2) in whole pixels, inside the picture and never empty.

    A box narrower than a visual token is widened about its middle, as the official tool does.
    """
    x1, y1, x2, y2 = box.to_pixels(width, height)
    least_w = max(TOKEN_SIDE, math.ceil((y2 - y1) / MAX_CROP_ASPECT))
    least_h = max(TOKEN_SIDE, math.ceil((x2 - x1) / MAX_CROP_ASPECT))
    x1, x2 = _widened(x1, x2, least_w, width)
    y1, y2 = _widened(y1, y2, least_h, height)
    return x1, y1, x2, y2


def closer(picture: Picture, region_xyxy: tuple[int, int, int, int]) -> Picture:
    """That region of the picture, enlarged to at least MIN_CROP_PIXELS."""
    x1, y1, x2, y2 = region_xyxy
    crop = Picture(picture.pixels[y1:y2, x1:x2].copy())
    return resize_picture(crop, fit_size_wh(*crop.size_wh, MIN_CROP_PIXELS, DEFAULT_MAX_PIXELS))


def _widened(low: int, high: int, least: int, side: int) -> tuple[int, int]:
    least = min(least, side)
    if high - low >= least:
        return low, high
    low = min(max(0, (low + high - least) // 2), side - least)
    return low, low + least
