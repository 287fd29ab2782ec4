"""Which pixels to cut out around a box."""

from __future__ import annotations

from .boxes import Box

RegionXYXY = tuple[int, int, int, int]


def crop_region(
    box: Box, width: int, height: int, padding: float = 0.0, square: bool = False
) -> RegionXYXY:
    """(x1, y1, x2, y2) in pixels, x2 and y2 exclusive, inside the picture, at least one pixel.

    Args:
        padding: added on each side, as a part of the box's own width and height (0.1 = 10 %).
        square: widen the shorter side. Near an edge the square moves inwards; it is smaller
            than asked only where the picture is.
    """
    x1, y1, x2, y2 = box.to_pixels(width, height)
    wanted_w, wanted_h = (x2 - x1) * (1 + 2 * padding), (y2 - y1) * (1 + 2 * padding)
    if square:
        wanted_w = wanted_h = min(max(wanted_w, wanted_h), width, height)
        # The box itself is never cut to make the crop square.
        wanted_w, wanted_h = max(wanted_w, x2 - x1), max(wanted_h, y2 - y1)
    left, right = _span((x1 + x2) / 2, wanted_w, width, keep_size=square)
    top, bottom = _span((y1 + y2) / 2, wanted_h, height, keep_size=square)
    return left, top, right, bottom


def grown_region(box: Box, width: int, height: int, factor: float) -> RegionXYXY:
    """The box made `factor` times as large about its centre and moved inside the picture."""
    x1, y1, x2, y2 = box.to_pixels(width, height)
    left, right = _span((x1 + x2) / 2, (x2 - x1) * factor, width, keep_size=True)
    top, bottom = _span((y1 + y2) / 2, (y2 - y1) * factor, height, keep_size=True)
    return left, top, right, bottom


def _span(center: float, size: float, side: int, keep_size: bool) -> tuple[int, int]:
    """Start and end of `size` pixels about `center` within 0..side."""
    length = max(1, min(side, round(size)))
    start = round(center - length / 2)
    if keep_size:
        start = max(0, min(start, side - length))
        return start, start + length
    # Padding that would lie outside is left out, and the other side keeps its own.
    half = size / 2
    start = max(0, min(round(center - half), side - 1))
    return start, max(start + 1, min(round(center + half), side))
