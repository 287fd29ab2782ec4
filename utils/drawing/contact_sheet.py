"""A contact sheet: small pictures in a grid, each with its caption below it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images.picture import Picture
from ..text.printable import clean_label
from .annotate import RGB
from .fonts import LabelFont, label_font
from .text_wrap import ELLIPSIS, text_width, wrapped

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

TILE_WH = (320, 240)
MARGIN = 12
TEXT_SIZE = 15
LINE_HEIGHT = 20
# A caption may go on for pages; the sheet shows its beginning.
CAPTION_LINES = 8
MAX_CHARACTERS = 600
# Browsers do not show pictures of more than 16,384 pixels.
MAX_ROWS = 25
GROUND: RGB = (30, 31, 34)
PAPER: RGB = (46, 48, 53)
INK: RGB = (236, 236, 236)
FAINT: RGB = (150, 154, 162)
AMBER: RGB = (255, 196, 64)
RED: RGB = (255, 120, 110)
WITHOUT_CAPTION = "(no caption)"


@dataclass(frozen=True, slots=True)
class Card:
    """One picture of a sheet.

    Args:
        number: its place in the folder.
        name: its path below the folder; where it is too long, the end is shown.
        picture: any size; None where it cannot be read.
        caption: None where it has none.
        problem: what is wrong with the picture or its caption, if anything is.
    """

    number: int
    name: str
    picture: Picture | None
    caption: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    ink: RGB


def contact_sheet(cards: Sequence[Card], columns: int) -> np.ndarray:
    """The cards in rows from left to right: uint8 [height, width, 3].

    Args:
        cards: one or more.
        columns: cards in a row; more where there would be more than MAX_ROWS rows, and never
            more than there are cards.
    """
    from PIL import Image, ImageDraw

    columns = min(max(columns, math.ceil(len(cards) / MAX_ROWS)), len(cards))
    font = label_font(TEXT_SIZE)
    texts = [list(_lines(card, font)) for card in cards]
    rows = [range(at, min(at + columns, len(cards))) for at in range(0, len(cards), columns)]
    heights = [TILE_WH[1] + LINE_HEIGHT * max(len(texts[i]) for i in row) + MARGIN for row in rows]
    width = columns * (TILE_WH[0] + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN * (len(rows) + 1)), GROUND)
    draw = ImageDraw.Draw(sheet)
    top = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, number in enumerate(row):
            left = MARGIN + column * (TILE_WH[0] + MARGIN)
            draw.rectangle((left, top, left + TILE_WH[0] - 1, top + height - 1), fill=PAPER)
            _put_picture(sheet, cards[number], (left, top), font)
            _write(draw, texts[number], (left, top + TILE_WH[1] + MARGIN // 2), font)
        top += height + MARGIN
    return np.array(sheet)


def tile(picture: Picture) -> Picture:
    """The picture as small as a sheet shows it; a smaller one stays as it is."""
    from PIL import Image

    width, height = picture.size_wh
    scale = min(TILE_WH[0] / width, TILE_WH[1] / height)
    if scale >= 1:
        return picture
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(picture.pixels).resize(size_wh, Image.Resampling.LANCZOS)
    return Picture(np.array(small))


def _lines(card: Card, font: LabelFont) -> Iterator[_Line]:
    """What is written below a picture: its name, then its caption or what is wrong."""
    room = TILE_WH[0] - MARGIN
    yield _Line(_title(card, font, room), FAINT)
    if card.caption is not None and card.caption.strip():
        yield from _wrapped_lines(card.caption, font, room, CAPTION_LINES, INK)
    elif card.caption is not None:
        yield _Line("(its caption is empty)", AMBER)
    elif card.picture is not None and not card.problem:
        yield _Line(WITHOUT_CAPTION, AMBER)
    if card.problem:
        yield from _wrapped_lines(card.problem, font, room, CAPTION_LINES, RED)


def _title(card: Card, font: LabelFont, room: int) -> str:
    name, cut = font.showable(clean_label(card.name, MAX_CHARACTERS)), ""
    while len(name) > 1 and text_width(f"{card.number}  {cut}{name}", font) > room:
        name, cut = name[1:], ELLIPSIS
    return f"{card.number}  {cut}{name}"


def _wrapped_lines(text: str, font: LabelFont, room: int, most: int, ink: RGB) -> list[_Line]:
    shown = font.showable(clean_label(text, MAX_CHARACTERS))
    return [_Line(line, ink) for line in wrapped(shown, font, room, most)]


def _put_picture(sheet: Image, card: Card, corner: tuple[int, int], font: LabelFont) -> None:
    """The picture in the middle of its place, or a crossed-out place."""
    from PIL import Image, ImageDraw

    left, top = corner
    if card.picture is None:
        right, bottom = left + TILE_WH[0] - 1, top + TILE_WH[1] - 1
        draw = ImageDraw.Draw(sheet)
        draw.rectangle((left, top, right, bottom), outline=RED)
        draw.line((left, top, right, bottom), fill=RED)
        draw.line((left, bottom, right, top), fill=RED)
        return
    small = tile(card.picture)
    width, height = small.size_wh
    place = (left + (TILE_WH[0] - width) // 2, top + (TILE_WH[1] - height) // 2)
    sheet.paste(Image.fromarray(small.pixels), place)


def _write(
    draw: ImageDraw, lines: Sequence[_Line], corner: tuple[int, int], font: LabelFont
) -> None:
    left, top = corner
    for number, line in enumerate(lines):
        font.write(draw, (left + MARGIN // 2, top + number * LINE_HEIGHT), line.text, line.ink)
