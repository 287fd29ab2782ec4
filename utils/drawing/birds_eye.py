"""3D boxes from above: their footprints before the camera, with a scale in metres."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..detection.boxes import Detections
from ..detection.boxes3d import Box3D, Camera
from ..detection.distances import distance_metres
from ..images.picture import Picture
from ..text.printable import clean_label
from .annotate import RGB, color_of, line_width
from .fonts import label_font

GROUND: RGB = (30, 31, 34)
GRID: RGB = (62, 65, 71)
FAINT: RGB = (150, 154, 162)
VIEW: RGB = (96, 104, 120)
MARGIN = 28
MAX_LINES = 10
TEXT_SIZE = 13
# Without any box there is still a floor to look at.
LEAST_METRES = 1.0


def birds_eye(
    found: Detections, camera: Camera | None = None, labels: bool = True, side: int = 640
) -> Picture:
    """A square picture of `side` pixels: right is right of the camera, up is away from it.

    Args:
        found: only its 3D boxes are drawn.
        camera: whose sides of view are drawn; None: the official guess.
        labels: whether to write each box's label and distance.
    """
    from PIL import Image, ImageDraw

    boxes = found.boxes_3d
    camera = camera or Camera.from_field_of_view(found.width, found.height)
    prints = [footprint(box) for _, box in boxes]
    floor = _Floor.around([corner for outline in prints for corner in outline], side)
    image = Image.new("RGB", (side, side), GROUND)
    draw = ImageDraw.Draw(image)
    font = label_font(TEXT_SIZE)
    _draw_grid(draw, floor, font)
    _draw_view(draw, floor, camera, found.width)
    width = max(2, line_width(side, side))
    for (item, box), outline in zip(boxes, prints, strict=True):
        color = color_of(item.label)
        corners = [floor.pixel(x, z) for x, z in outline]
        if len(corners) > 1:
            draw.line([*corners, corners[0]], fill=color, width=width, joint="curve")
        center = floor.pixel(box.x, box.z)
        draw.ellipse((center[0] - 2, center[1] - 2, center[0] + 2, center[1] + 2), fill=color)
    if labels:
        for item, box in boxes:
            text = clean_label(f"{item.label} {distance_metres(box):.1f} m".strip(), 40)
            x, y = floor.pixel(box.x, box.z)
            shown = font.showable(text)
            right = font.bounds(shown)[2]
            font.write(draw, (max(2, min(x + 6, side - right - 2)), y - 8), shown, (236, 236, 236))
    return Picture(np.array(image))


def footprint(box: Box3D) -> list[tuple[float, float]]:
    """The outline (x, z) in metres of the box seen from above, in order around it."""
    places = sorted({(round(x, 6), round(z, 6)) for x, _, z in box.corners()})
    if len(places) < 3:
        return places
    return [*_half_hull(places), *_half_hull(places[::-1])]


def _half_hull(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """One side of the convex hull, without its last corner (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for place in places:
        while len(hull) > 1 and _turn(hull[-2], hull[-1], place) <= 0:
            hull.pop()
        hull.append(place)
    return hull[:-1]


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


class _Floor:
    """The part of the floor that is shown, and where its places are in the picture."""

    def __init__(self, left: float, near: float, metres: float, side: int):
        self.left, self.near, self.metres, self.side = left, near, metres, side

    @classmethod
    def around(cls, places: Sequence[tuple[float, float]], side: int) -> _Floor:
        """The smallest square that shows the camera and these places (x, z)."""
        xs = [0.0, *(x for x, _ in places)]
        zs = [0.0, *(z for _, z in places)]
        metres = max(LEAST_METRES, max(xs) - min(xs), max(zs) - min(zs)) * 1.08
        left = (max(xs) + min(xs) - metres) / 2
        near = min(zs) - (metres - (max(zs) - min(zs))) * 0.1
        return cls(left, near, metres, side)

    def pixel(self, x: float, z: float) -> tuple[int, int]:
        """(x, y) in the picture of a place (x, z) in metres."""
        scale = (self.side - 2 * MARGIN) / self.metres
        column = MARGIN + (x - self.left) * scale
        row = self.side - MARGIN - (z - self.near) * scale
        # Far outside there is nothing to see, and Pillow would walk there.
        far = 4 * self.side
        return round(max(-far, min(far, column))), round(max(-far, min(far, row)))

    @property
    def step(self) -> float:
        """Metres between two lines: 1, 2 or 5 of some power of ten, at most MAX_LINES of them."""
        least = self.metres / MAX_LINES
        power = 10.0 ** math.floor(math.log10(least))
        return next(n * power for n in (1, 2, 5, 10) if n * power >= least)


def _draw_grid(draw, floor: _Floor, font) -> None:
    step, side = floor.step, floor.side
    digits = max(0, -math.floor(math.log10(step)))
    for number in range(math.ceil(floor.left / step), int((floor.left + floor.metres) / step) + 1):
        x, _ = floor.pixel(number * step, floor.near)
        draw.line((x, MARGIN, x, side - MARGIN), fill=GRID)
        font.write(draw, (x - 8, side - MARGIN + 6), f"{number * step:.{digits}f}", FAINT)
    for number in range(math.ceil(floor.near / step), int((floor.near + floor.metres) / step) + 1):
        _, y = floor.pixel(floor.left, number * step)
        draw.line((MARGIN, y, side - MARGIN, y), fill=GRID)
        font.write(draw, (2, y - 7), f"{number * step:.{digits}f}", FAINT)
    font.write(draw, (side - MARGIN + 4, side - MARGIN + 6), "m", FAINT)


def _draw_view(draw, floor: _Floor, camera: Camera, width: int) -> None:
    """The camera, and the lines between which it sees."""
    at = floor.pixel(0.0, 0.0)
    reach = 2 * (floor.metres + abs(floor.near))
    for column in (0, width):
        draw.line((*at, *floor.pixel((column - camera.cx) / camera.fx * reach, reach)), fill=VIEW)
    draw.polygon([(at[0] - 7, at[1] + 9), (at[0] + 7, at[1] + 9), at], fill=FAINT)
