"""Shows what was read: texts on their places, or numbered boxes beside a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..detection.boxes import Detections
from ..images.picture import Picture
from ..text.printable import clean_label
from .annotate import color_of, line_width, text_size
from .fonts import LabelFont, label_font
from .text_wrap import text_width, wrapped

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageDraw import ImageDraw

MAX_LETTERS = 400
MAX_LISTED = 400
SMALLEST, LARGEST = 8, 200
PAPER, INK = (255, 255, 255), (0, 0, 0)
LIST_WIDTH = 320


def draw_texts(picture: Picture, found: Detections) -> Picture:
    """A new picture with each label written over its box, as large as it fits there.

    A box higher than wide gets its text turned, unless it is a single short word.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture.pixels.copy())
    draw = ImageDraw.Draw(image)
    for item, box in found.boxes:
        x1, y1, x2, y2 = box.to_pixels(*image.size)
        text = clean_label(item.label, MAX_LETTERS)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=PAPER, outline=color_of(item.label))
        if not text:
            continue
        upright = y2 - y1 <= 1.5 * (x2 - x1) or len(text) < 3
        size_wh = (x2 - x1, y2 - y1) if upright else (y2 - y1, x2 - x1)
        plate = _plate(text, size_wh)
        image.paste(plate if upright else plate.rotate(-90, expand=True), (x1, y1))
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color_of(item.label))
    return Picture(np.array(image))


def draw_numbered(picture: Picture, found: Detections) -> Picture:
    """A new picture with a number at each box, and a list of the texts on its right side."""
    from PIL import Image, ImageDraw

    boxes = found.boxes
    shown = Image.fromarray(picture.pixels.copy())
    draw = ImageDraw.Draw(shown)
    line = line_width(*shown.size)
    number_font = label_font(text_size(*shown.size))
    for number, (item, box) in enumerate(boxes, 1):
        x1, y1, x2, y2 = box.to_pixels(*shown.size)
        color = color_of(item.label)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=line)
        _number(draw, str(number), (x1, y1), number_font, color, shown.size)
    font = label_font(max(12, min(20, shown.height // 32)))
    width = max(LIST_WIDTH, shown.width // 2)
    lines = _list([item.label for item, _ in boxes], font, width - 2 * font.size)
    step = round(font.size * 1.4)
    height = max(shown.height, (len(lines) + 1) * step)
    made = Image.new("RGB", (shown.width + width, height), PAPER)
    made.paste(shown, (0, 0))
    pen = ImageDraw.Draw(made)
    for row, text in enumerate(lines):
        font.write(pen, (shown.width + font.size, step // 2 + row * step), text, INK)
    return Picture(np.array(made))


def _plate(text: str, size_wh: tuple[int, int]) -> Image.Image:
    """The text alone on a plate of this size, in the largest letters that fit it."""
    from PIL import Image, ImageDraw

    width, height = size_wh
    plate = Image.new("RGB", size_wh, PAPER)
    low, high = SMALLEST, max(SMALLEST, min(LARGEST, height))
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(text, label_font(middle), width, height):
            low = middle
        else:
            high = middle - 1
    font = label_font(low)
    shown = font.showable(text)
    left, top, right, bottom = font.bounds(shown)
    # What does not fit in the smallest letters is pressed together: never cut.
    if right - left > width:
        high = max(1, bottom - top)
        whole = Image.new("RGB", (right - left, high), PAPER)
        font.write(ImageDraw.Draw(whole), (-left, -top), shown, INK)
        pressed = whole.resize((width, min(high, height)), Image.Resampling.LANCZOS)
        plate.paste(pressed, (0, (height - pressed.height) // 2))
        return plate
    place = (-left + (width - (right - left)) // 2, -top + (height - (bottom - top)) // 2)
    font.write(ImageDraw.Draw(plate), place, shown, INK)
    return plate


def _fits(text: str, font: LabelFont, width: int, height: int) -> bool:
    left, top, right, bottom = font.bounds(font.showable(text))
    return right - left <= width and bottom - top <= height


def _number(
    draw: ImageDraw,
    text: str,
    corner: tuple[int, int],
    font: LabelFont,
    color: tuple[int, int, int],
    size_wh: tuple[int, int],
) -> None:
    left, top, right, bottom = font.bounds(text)
    wide, high = right - left + 4, bottom - top + 4
    x = max(0, min(corner[0], size_wh[0] - wide))
    y = max(0, min(corner[1] - high, size_wh[1] - high))
    draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=color)
    font.write(draw, (x + 2 - left, y + 2 - top), text, INK)


def _list(labels: list[str], font: LabelFont, width: int) -> list[str]:
    """The texts with their numbers in lines of this width; how many more there are is said."""
    lines: list[str] = []
    for number, label in enumerate(labels[:MAX_LISTED], 1):
        text = font.showable(f"{number}  {clean_label(label, MAX_LETTERS)}")
        lines += wrapped(text, font, width, most=4) if text_width(text, font) > width else [text]
    if len(labels) > MAX_LISTED:
        lines.append(f"and {len(labels) - MAX_LISTED} more")
    return lines
