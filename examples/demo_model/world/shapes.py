"""Outlines of the eight shapes, their exact boxes, and anti-aliased drawing."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

Point = tuple[float, float]
Box = tuple[float, float, float, float]
_OVERSAMPLE = 4


def _regular(corners: int, start_degrees: float) -> list[Point]:
    turn = 2 * math.pi / corners
    start = math.radians(start_degrees)
    return [(math.cos(start + k * turn), math.sin(start + k * turn)) for k in range(corners)]


def _star() -> list[Point]:
    outer, inner = _regular(5, -90), _regular(5, -54)
    return [p for o, i in zip(outer, inner, strict=False) for p in (o, (i[0] * 0.45, i[1] * 0.45))]


def _heart() -> list[Point]:
    points = []
    for k in range(48):
        t = 2 * math.pi * k / 48
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((16 * math.sin(t) ** 3 / 16, -y / 16))
    return points


_ARM = 0.34
OUTLINES: dict[str, list[Point]] = {
    "circle": _regular(64, 0),
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -0.9), (1, 0.9), (-1, 0.9)],
    "star": _star(),
    "cross": [
        (-_ARM, -1),
        (_ARM, -1),
        (_ARM, -_ARM),
        (1, -_ARM),
        (1, _ARM),
        (_ARM, _ARM),
        (_ARM, 1),
        (-_ARM, 1),
        (-_ARM, _ARM),
        (-1, _ARM),
        (-1, -_ARM),
        (-_ARM, -_ARM),
    ],
    "heart": _heart(),
    "diamond": [(0, -1), (0.72, 0), (0, 1), (-0.72, 0)],
    "rectangle": [(-1, -0.48), (1, -0.48), (1, 0.48), (-1, 0.48)],
}


def outline(shape: str, center: Point, side: float, degrees: float) -> list[Point]:
    """Corner points in pixels of a shape whose longest side (before turning) is `side`."""
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    points = OUTLINES[shape]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    scale = side / max(max(xs) - min(xs), max(ys) - min(ys))
    turned = [((x * cos - y * sin) * scale, (x * sin + y * cos) * scale) for x, y in points]
    left, top, right, bottom = bounds(turned)
    dx, dy = center[0] - (left + right) / 2, center[1] - (top + bottom) / 2
    return [(x + dx, y + dy) for x, y in turned]


def bounds(points: list[Point]) -> Box:
    """The smallest upright box (x1, y1, x2, y2) around points."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs), max(ys)


def coverage(points: list[Point], size_wh: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """Anti-aliased mask of a polygon and the pixel at which it is pasted."""
    x1, y1, x2, y2 = bounds(points)
    left, top = math.floor(x1), math.floor(y1)
    width, height = math.ceil(x2) - left + 1, math.ceil(y2) - top + 1
    k = _OVERSAMPLE
    mask = Image.new("L", (width * k, height * k))
    corners = [((x - left) * k - 0.5, (y - top) * k - 0.5) for x, y in points]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask.reduce(k), (left, top)


def paint(picture: Image.Image, points: list[Point], colour: tuple[int, int, int]) -> None:
    """Fill a polygon on the picture with soft edges."""
    mask, corner = coverage(points, picture.size)
    picture.paste(colour, (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)
