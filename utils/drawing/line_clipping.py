"""Cuts lines at the border of a picture."""

from __future__ import annotations

import math

PixelXY = tuple[float, float]


def clip_line(
    start: PixelXY, end: PixelXY, width: int, height: int
) -> tuple[PixelXY, PixelXY] | None:
    """The part of a line inside a picture of `width` x `height` pixels (Liang-Barsky).

    None if no part is inside, or an end is not finite.
    """
    if not all(map(math.isfinite, (*start, *end))):
        return None
    dx, dy = end[0] - start[0], end[1] - start[1]
    first, last = 0.0, 1.0
    for step, distance in (
        (-dx, start[0]),
        (dx, width - 1 - start[0]),
        (-dy, start[1]),
        (dy, height - 1 - start[1]),
    ):
        if step == 0:
            if distance < 0:
                return None
        elif step < 0:
            first = max(first, distance / step)
        else:
            last = min(last, distance / step)
    if first > last:
        return None
    return (
        (start[0] + first * dx, start[1] + first * dy),
        (start[0] + last * dx, start[1] + last * dy),
    )
