"""Draws boxes, points and wireframes with readable labels on a copy of a picture."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..detection.boxes import Box, Detection, Detections, Point
from ..detection.boxes3d import Box3D, Camera, projected_edges
from ..images.picture import Picture
from ..text.printable import clean_label
from .fonts import LabelFont, label_font
from .line_clipping import clip_line

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

MAX_LABEL_CHARACTERS = 60
SMALLEST_TEXT = 11
RGB = tuple[int, int, int]


def draw_detections(
    picture: Picture, detections: Detections, camera: Camera | None = None, labels: bool = True
) -> Picture:
    """A new picture with every detection drawn; the given one is not painted on.

    Args:
        picture: may have another size than the detections': fractions fit any size.
        camera: how 3D boxes are seen, in pixels of this picture; None: the official guess.
        labels: whether to write labels.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture.pixels.copy())
    draw = ImageDraw.Draw(image)
    width, height = image.size
    camera = camera or Camera.from_field_of_view(width, height)
    line = line_width(width, height)
    font = label_font(text_size(width, height))
    # Shapes first, so that no line crosses a label.
    corners = [_draw_shape(draw, item, camera, line, (width, height)) for item in detections.items]
    if labels:
        for item, corner in zip(detections.items, corners, strict=True):
            if corner is not None and item.label.strip():
                _draw_label(draw, item.label, corner, font, (width, height))
    return Picture(np.array(image))


def color_of(label: str) -> RGB:
    """The same bright color for the same label, in every picture and session."""
    digest = hashlib.blake2b(label.encode("utf-8", "replace"), digest_size=4).digest()
    hue = int.from_bytes(digest[:2], "big") / 0x1_0000
    # Three levels of lightness keep labels apart whose hues happen to be close; none is so dark
    # that blue would vanish in a night scene.
    lightness = (0.5, 0.6, 0.7)[digest[2] % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def line_width(width: int, height: int) -> int:
    """Pixels of a line on a picture of this size: 1 at 256, 3 at 1024, 14 at 4096."""
    return max(1, round(max(width, height) / 300))


def text_size(width: int, height: int) -> int:
    """Pixels of a letter's height on a picture of this size: never below a readable 11."""
    return max(SMALLEST_TEXT, round(max(width, height) / 48))


def _draw_shape(
    draw: ImageDraw, item: Detection, camera: Camera, line: int, size_wh: tuple[int, int]
) -> tuple[int, int] | None:
    """Draw one shape; the upper left corner that its label belongs to, None if unseen."""
    color = color_of(item.label)
    if isinstance(item.shape, Box):
        x1, y1, x2, y2 = item.shape.to_pixels(*size_wh)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=line)
        return x1, y1
    if isinstance(item.shape, Point):
        return _draw_point(draw, item.shape.to_pixels(*size_wh), color, line)
    return _draw_wireframe(draw, item.shape, camera, color, line)


def _draw_point(draw: ImageDraw, center: tuple[int, int], color: RGB, line: int) -> tuple[int, int]:
    x, y = center
    radius = 2 * line + 1
    # A white rim shows the dot on a background of its own color.
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255))
    inner = radius - max(1, line // 2)
    draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=color)
    return x + radius, y - radius


def _draw_wireframe(
    draw: ImageDraw, box: Box3D, camera: Camera, color: RGB, line: int
) -> tuple[int, int] | None:
    width, height = draw.im.size
    seen: list[tuple[float, float]] = []
    for start, end in projected_edges(box, camera):
        # A corner near the camera projects to millions of pixels, which Pillow would walk.
        cut = clip_line(start, end, width, height)
        if cut is not None:
            draw.line((*cut[0], *cut[1]), fill=color, width=line)
            seen.extend(cut)
    if not seen:
        return None
    return round(min(x for x, _ in seen)), round(min(y for _, y in seen))


def _draw_label(
    draw: ImageDraw, label: str, corner: tuple[int, int], font: LabelFont, size_wh: tuple[int, int]
) -> None:
    """The label on a plate of its color, above the corner if there is room, else below it."""
    text = _fitted(font.showable(clean_label(label, MAX_LABEL_CHARACTERS)), font, size_wh[0])
    margin = max(1, font.size // 6)
    left, top, right, bottom = font.bounds(text)
    plate_w, plate_h = right - left + 2 * margin, bottom - top + 2 * margin
    x = max(0, min(corner[0], size_wh[0] - plate_w))
    y = corner[1] - plate_h if corner[1] >= plate_h else corner[1]
    y = max(0, min(y, size_wh[1] - plate_h))
    color = color_of(label)
    draw.rectangle((x, y, x + plate_w - 1, y + plate_h - 1), fill=color)
    ink = (0, 0, 0) if _brightness(color) > 140 else (255, 255, 255)
    font.write(draw, (x + margin - left, y + margin - top), text, ink)


def _fitted(text: str, font: LabelFont, width: int) -> str:
    """The text cut so that its plate is not wider than the picture, at least one letter."""
    room = width - 2 * max(1, font.size // 6)
    while len(text) > 2 and font.bounds(text)[2] > room:
        text = text[:-2].rstrip() + "\u2026"
    return text


def _brightness(color: Sequence[int]) -> float:
    red, green, blue = color
    return 0.299 * red + 0.587 * green + 0.114 * blue
