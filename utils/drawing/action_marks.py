"""Draws what an agent would do on a copy of its screenshot: clicks, swipes, typed text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..agents.actions import Action
from ..images.picture import Picture
from ..text.printable import clean_label
from .annotate import RGB, line_width, text_size
from .fonts import LabelFont, label_font

# The same for every action: what matters is that it is seen on any screen.
MARK: RGB = (255, 48, 88)
RIM: RGB = (255, 255, 255)
INK: RGB = (255, 255, 255)
PLATE: RGB = (24, 24, 28)
REFUSED: RGB = (255, 196, 64)
MAX_MARKS = 20
MAX_CHARACTERS = 80


def draw_actions(picture: Picture, actions: Sequence[Action]) -> Picture:
    """A new picture with every action on it; the given one is not painted on.

    A click is a ring with a dot, a swipe an arrow; each has its sentence on a plate beside it.
    What has no place, such as a typed text or a refused call, is written along the lower edge.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture.pixels.copy())
    draw = ImageDraw.Draw(image)
    width, height = image.size
    line, font = max(2, line_width(width, height)), label_font(text_size(width, height))
    floor = height
    for action in actions[:MAX_MARKS]:
        text = clean_label(action.sentence(width, height), MAX_CHARACTERS)
        if action.start is None:
            floor = _write_plate(draw, font, text, (0, floor), (width, height), action.valid)
            continue
        at = action.start.to_pixels(width, height)
        if action.end is not None:
            _draw_arrow(draw, at, action.end.to_pixels(width, height), line)
        _draw_ring(draw, at, line)
        beside = (at[0] + 6 * line, at[1] - 4 * line)
        _write_plate(draw, font, text, beside, (width, height), action.valid)
    return Picture(np.array(image))


def _draw_ring(draw, at: tuple[int, int], line: int) -> None:
    x, y = at
    for radius, color, width in ((5 * line, RIM, 2 * line), (5 * line - 1, MARK, line)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=width)
    for radius, color in ((line + 1, RIM), (line, MARK)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _draw_arrow(draw, start: tuple[int, int], end: tuple[int, int], line: int) -> None:
    for color, width in ((RIM, 3 * line), (MARK, line)):
        draw.line((*start, *end), fill=color, width=width)
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    for size, color in ((8 * line, RIM), (7 * line, MARK)):
        wings = [
            (end[0] - size * math.cos(angle + turn), end[1] - size * math.sin(angle + turn))
            for turn in (-0.45, 0.45)
        ]
        draw.polygon([end, *wings], fill=color)


def _write_plate(
    draw,
    font: LabelFont,
    text: str,
    corner: tuple[int, int],
    size_wh: tuple[int, int],
    valid: bool,
) -> int:
    """The text on a dark plate above `corner`, moved inside the picture; the plate's upper edge."""
    shown = font.showable(text)
    margin = max(2, font.size // 4)
    while len(shown) > 2 and font.bounds(shown)[2] + 2 * margin > size_wh[0]:
        shown = shown[:-2].rstrip() + "\u2026"
    left, top, right, bottom = font.bounds(shown)
    plate_w, plate_h = right - left + 2 * margin, bottom - top + 2 * margin
    x = max(0, min(corner[0], size_wh[0] - plate_w))
    y = max(0, min(corner[1] - plate_h, size_wh[1] - plate_h))
    draw.rectangle((x, y, x + plate_w - 1, y + plate_h - 1), fill=PLATE)
    font.write(draw, (x + margin - left, y + margin - top), shown, INK if valid else REFUSED)
    return y
