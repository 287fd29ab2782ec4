"""Printed text without font files: two built-in faces in several cuts, with exact ink boxes."""

from __future__ import annotations

import functools
import random

from PIL import Image, ImageDraw, ImageFont

# cut -> (pixel face?, stroke as a fraction of the height, slant, horizontal stretch)
CUTS: dict[str, tuple[bool, float, float, float]] = {
    "regular": (False, 0.0, 0.0, 1.0),
    "bold": (False, 0.03, 0.0, 1.0),
    "italic": (False, 0.0, 0.22, 1.0),
    "narrow": (False, 0.0, 0.0, 0.8),
    "wide": (False, 0.015, 0.0, 1.25),
    "pixel": (True, 0.0, 0.0, 1.0),
}
_WEIGHTS = (0.34, 0.2, 0.14, 0.1, 0.1, 0.12)


@functools.lru_cache(maxsize=256)
def _face(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(height)


@functools.lru_cache(maxsize=1)
def _pixel_face() -> ImageFont.ImageFont:
    return ImageFont.load_default_imagefont()


def random_cut(rng: random.Random) -> str:
    """A cut of the type, the plain one most often."""
    return rng.choices(tuple(CUTS), _WEIGHTS)[0]


@functools.lru_cache(maxsize=128)  # a line is measured, set and printed in a row
def ink(text: str, height: int, cut: str) -> Image.Image:
    """Mask of one printed line, trimmed to its ink; `height` is the type size in pixels."""
    pixel, stroke, slant, stretch = CUTS[cut]
    if pixel:
        raw = _pixel_face().getmask(text, mode="L")
        mask = Image.frombytes("L", raw.size, bytes(raw))
        scale = height / 11
        mask = mask.resize((round(raw.size[0] * scale), round(raw.size[1] * scale)), Image.BILINEAR)
    else:
        face, width = _face(height), stroke * height
        left, top, right, bottom = face.getbbox(text, stroke_width=width)
        pad = 2
        mask = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
        ImageDraw.Draw(mask).text((pad - left, pad - top), text, 255, face, stroke_width=width)
    if slant:
        extra = round(slant * mask.height)
        mask = mask.transform(
            (mask.width + extra, mask.height),
            Image.AFFINE,
            (1, slant, -extra, 0, 1, 0),
            Image.BILINEAR,
        )
    if stretch != 1.0:
        mask = mask.resize((max(1, round(mask.width * stretch)), mask.height), Image.BILINEAR)
    return mask.crop(mask.getbbox())


@functools.lru_cache(maxsize=512)
def advance(letter: str, pixel: bool) -> float:
    """Width of a letter in one of the faces, in parts of any common unit."""
    return 1.0 if pixel else _face(40).getlength(letter)


def rough_width(text: str, height: int, cut: str) -> float:
    """About how wide a printed line will be, without printing it."""
    pixel, _, slant, stretch = CUTS[cut]
    widths = 6 * len(text) / 11 if pixel else sum(advance(c, False) for c in text) / 40
    return (widths * stretch + slant) * height
