"""Bytes of a picture file into pixels: checked before they are decoded, upright, sRGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .color import WHITE, Colour, rgb_pixels
from .formats import PICTURE_FORMATS, has_sixteen_bits, open_picture, orientation_of, upright
from .guards import (
    MAX_SOURCE_PIXELS,
    SHRINKS,
    can_shrink,
    check_header,
    check_pixels,
    too_large,
)
from .picture import Picture
from .quiet_pillow import quiet_pillow

if TYPE_CHECKING:
    from PIL.Image import Image


def decode(data: bytes, name: str, background: Colour = WHITE) -> tuple[Picture, int]:
    """One picture as sRGB: upright, 16 bit scaled to 8, first frame or page.

    And how many times smaller than the file says: 1, but for a JPEG beyond the bounds.

    Args:
        data: the file; its format is told by its content.
        name: what errors call it.
        background: red, green, blue (0 to 255) that alpha is laid on.

    Raises:
        InputError: naming the file, what is wrong with it, and what to do.
    """
    try:
        check_header(data, name)
        with quiet_pillow():
            pixels, shrunk = _decoded(data, name, background)
            return Picture(pixels), shrunk
    except InputError:
        raise
    # Pillow's decoders raise almost anything on a broken file, MemoryError included.
    except Exception as error:
        problem = _why_unreadable(error, name)
    raise problem  # outside the `except`, whose error holds the half-decoded picture


def _decoded(data: bytes, name: str, background: Colour) -> tuple[np.ndarray, int]:
    """uint8 [height, width, 3]; called with Pillow's warnings off."""
    with open_picture(data, name) as image:
        shrunk = _shrink(image, data)
        check_pixels(image.size, name)
        sixteen_bits = has_sixteen_bits(image)
        image.load()
        pixels = rgb_pixels(image, background, sixteen_bits)
        return np.ascontiguousarray(upright(pixels, orientation_of(image))), shrunk


def _shrink(image: Image, data: bytes) -> int:
    """Have a JPEG of too many pixels decoded smaller; how many times."""
    width, height = image.size
    fitting = (times for times in SHRINKS if width * height <= MAX_SOURCE_PIXELS * times**2)
    times = next(fitting, SHRINKS[-1])
    if times == 1 or not can_shrink(data):
        return 1
    image.draft(None, (width // times, height // times))
    return times


def _why_unreadable(error: Exception, name: str) -> InputError:
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    if isinstance(error, DecompressionBombError):  # Pillow's own ceiling came first
        return too_large(name)
    if isinstance(error, UnidentifiedImageError):
        kinds = f"{', '.join(PICTURE_FORMATS[:-1])} or {PICTURE_FORMATS[-1]}"
        return InputError(f"{name} is no {kinds} picture.", "Replace or remove the file.")
    detail = f"{type(error).__name__}: {str(error)[:300]}"
    return InputError(
        f"{name} cannot be read as a picture ({detail}).", "Replace or remove the file."
    )
