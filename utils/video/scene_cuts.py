"""Where one scene of a film ends and another begins, by how much the picture changes at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# Sides that frames are compared at: small enough to forgive noise and small motion.
THUMB_WH = (32, 18)
# A cut changes this much of colours or places, and clearly more than the frames around it.
_LEAST_CHANGE = 0.16
_ABOVE_USUAL = 3.0
# Cuts nearer to each other are one: a flash, or a fade seen twice.
_APART_SECONDS = 0.5
_USUAL_OF = 12


def find_cuts(frames: Iterable[tuple[float, np.ndarray]]) -> list[tuple[float, float]]:
    """(second, strength 0 to 1) of every change of scene.

    Args:
        frames: (second, uint8 [height, width, 3]) in order, all of one small size.
    """
    cuts: list[tuple[float, float]] = []
    usual: list[float] = []
    before: np.ndarray | None = None
    for second, pixels in frames:
        if before is not None:
            change = difference(before, pixels)
            recent = float(np.median(usual)) if usual else 0.0
            if change >= max(_LEAST_CHANGE, _ABOVE_USUAL * recent):
                _add(cuts, second, change)
            usual = [*usual[-_USUAL_OF + 1 :], change]
        before = pixels
    return cuts


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """How unlike two small pictures are, 0 to 1: half by their colours, half by what is where."""
    places = float(np.abs(a.astype(np.int16) - b).mean()) / 255.0
    colours = float(np.abs(_histogram(a) - _histogram(b)).sum()) / 2.0
    return min(1.0, places + 0.5 * colours)


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Shares of 64 colours."""
    level = pixels >> 6
    codes = level[..., 0] * 16 + level[..., 1] * 4 + level[..., 2]
    return np.bincount(codes.ravel(), minlength=64) / codes.size


def _add(cuts: list[tuple[float, float]], second: float, change: float) -> None:
    if cuts and second - cuts[-1][0] < _APART_SECONDS:
        if change > cuts[-1][1]:
            cuts[-1] = (second, change)
    else:
        cuts.append((second, change))
