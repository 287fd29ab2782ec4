"""The size at which the model sees a picture, and bringing pictures and films to it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import InputError
from .guards import MAX_SOURCE_PIXELS
from .picture import Clip, Picture

# Sides are multiples of patch 16 x merge 2; one such square is one visual token.
TOKEN_SIDE = 32
# Beyond this the vision tower cannot place the patches (limit of the official smart_resize).
MAX_ASPECT = 200
# The official cookbook's budget for a picture. The processor's own limit, 16,384 tokens, costs
# minutes and gigabytes on a phone photo; whoever needs it sets max_pixels.
DEFAULT_MAX_PIXELS = 1280 * TOKEN_SIDE * TOKEN_SIDE
# Official video limit per frame.
MAX_FRAME_PIXELS = 768 * TOKEN_SIDE * TOKEN_SIDE


def fit_size_wh(width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The (width, height) the model sees: multiples of 32 inside the pixel budget.

    Keeps the aspect ratio as well as the multiples allow (the official smart_resize).

    Raises:
        InputError: sides more than 200 to 1.
    """
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(
            f"A picture of {width} x {height} pixels is longer than {MAX_ASPECT} times its width.",
            "Crop it, or cut it into pieces.",
        )
    fitted_w = max(TOKEN_SIDE, round(width / TOKEN_SIDE) * TOKEN_SIDE)
    fitted_h = max(TOKEN_SIDE, round(height / TOKEN_SIDE) * TOKEN_SIDE)
    if fitted_w * fitted_h > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        fitted_w = max(TOKEN_SIDE, math.floor(width / shrink / TOKEN_SIDE) * TOKEN_SIDE)
        fitted_h = max(TOKEN_SIDE, math.floor(height / shrink / TOKEN_SIDE) * TOKEN_SIDE)
    elif fitted_w * fitted_h < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        fitted_w = math.ceil(width * grow / TOKEN_SIDE) * TOKEN_SIDE
        fitted_h = math.ceil(height * grow / TOKEN_SIDE) * TOKEN_SIDE
    return fitted_w, fitted_h


def resize_picture(picture: Picture, size_wh: tuple[int, int]) -> Picture:
    """The picture at exactly this (width, height); the same object if it has that size."""
    if picture.size_wh == size_wh:
        return picture
    return Picture(_resize(picture.pixels, size_wh))


def resize_clip(clip: Clip, min_pixels: int, max_pixels: int) -> Clip:
    """The clip with every frame fitted; both budgets count the pixels of all frames together.

    A clip that keeps its size is only made to fit the multiples of 32.
    """
    count, height, width = clip.frames.shape[:3]
    per_frame_max = min(MAX_FRAME_PIXELS, max(1, max_pixels // count))
    per_frame_min = min(per_frame_max, math.ceil(min_pixels / count))
    if clip.keep_size:
        per_frame_min, per_frame_max = 1, MAX_SOURCE_PIXELS
    size_wh = fit_size_wh(width, height, per_frame_min, per_frame_max)
    if size_wh == (width, height):
        return clip
    frames = np.stack([_resize(frame, size_wh) for frame in clip.frames])
    return replace(clip, frames=frames)


def _resize(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    resized = Image.fromarray(pixels).resize(size_wh, Image.Resampling.BICUBIC)
    return np.array(resized)
