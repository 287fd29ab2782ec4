"""Turns a decoded Pillow image of any mode into RGB: depth, colour profile, alpha."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
# What transparency can be laid on. Stored in workflows: append only.
BACKGROUNDS: dict[str, Colour] = {
    "white": WHITE,
    "gray": (128, 128, 128),
    "black": (0, 0, 0),
}
# Whole copies of a 100 MP picture at every step would need gigabytes; strips need megabytes.
STRIP_PIXELS = 1 << 20
# Profiles of presses have one or two megabytes.
MAX_PROFILE_BYTES = 16 * 1024 * 1024
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262


def rgb_pixels(image: Image, background: Colour, sixteen_bits: bool) -> np.ndarray:
    """The loaded `image` as uint8 [height, width, 3] in sRGB.

    More than 8 bits are scaled by the range of the format, an embedded profile is applied where
    it fits the picture (a broken one is ignored), alpha is laid on `background`.

    Args:
        image: any mode; its orientation is not looked at.
        background: red, green, blue, 0 to 255.
        sixteen_bits: the file has 16 bits a channel, of which Pillow kept the upper 8.
    """
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    grey = _grey_scaler(image)
    to_srgb = _profile_transform(image)
    backing = np.array(background, np.uint16)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        colours, alpha = grey(strip) if grey else _split(strip, sixteen_bits)
        values = np.asarray((to_srgb or _plainly)(colours))
        if alpha is not None:
            cover = alpha[..., None].astype(np.uint16)
            # At most 255 x 255 + 127, so 16 bits hold it.
            values = (values * cover + backing * (255 - cover) + 127) // 255
        pixels[top : top + rows] = values
    return pixels


def _plainly(colours: Image) -> Image:
    return colours.convert("RGB")


def _split(strip: Image, sixteen_bits: bool) -> tuple[Image, np.ndarray | None]:
    """Colours as L, RGB or CMYK without alpha, and alpha uint8 [height, width] or None."""
    key = strip.info.get("transparency")
    if strip.mode == "RGB" and isinstance(key, tuple):
        # A 16-bit key is compared with what Pillow kept of the pixels.
        wanted = [value >> 8 if sixteen_bits else value for value in key]
        return strip, _alpha_of((np.asarray(strip) == wanted).all(-1))
    if strip.mode in ("L", "1") and isinstance(key, int):
        levels = strip.convert("L")
        return levels, _alpha_of(np.asarray(levels) == key)
    if strip.mode == "La":
        strip = strip.convert("LA")
    if strip.mode == "LA":
        return strip.getchannel("L"), np.asarray(strip.getchannel("A"))
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
        return strip.convert("RGB"), np.asarray(strip.getchannel("A"))
    if strip.mode == "CMYK":
        return _upright_inks(strip), None
    return strip.convert("L" if strip.mode in ("1", "L") else "RGB"), None


def _alpha_of(clear: np.ndarray) -> np.ndarray:
    return np.where(clear, 0, 255).astype(np.uint8)


def _upright_inks(strip: Image) -> Image:
    """Pillow takes every CMYK JPEG for one of Adobe, which are inverted; the others are not."""
    if strip.info.get("inks_as_stored"):
        from PIL import ImageChops

        return ImageChops.invert(strip)
    return strip


def _grey_scaler(image: Image) -> Callable[[Image], tuple[Image, np.ndarray | None]] | None:
    """For grey of more than 8 bits: a strip to 8-bit grey and alpha; None for other modes.

    Pillow's own convert would cut everything above 255 to white.
    """
    if not (image.mode.startswith("I;16") or image.mode in ("I", "F")):
        return None
    from PIL import Image as PillowImage

    top = _white_level(image)
    key = image.info.get("transparency")
    inverted = _tag(image, _PHOTOMETRIC) == 0  # TIFF's "white is zero", which Pillow passes on

    def scaled(strip: Image) -> tuple[Image, np.ndarray | None]:
        values = np.asarray(strip)
        # Cleared before it is widened: numpy warns of the NaN that would "signal".
        wide = np.where(np.isfinite(values), values, 0).astype(np.float64)
        levels = (wide.clip(0, top) / top * 255).round().astype(np.uint8)
        alpha = _alpha_of(values == key) if isinstance(key, int) else None
        return PillowImage.fromarray(255 - levels if inverted else levels), alpha

    return scaled


def _white_level(image: Image) -> float:
    """The value that is white, in the units of the pixels."""
    bits = _tag(image, _BITS_PER_SAMPLE)
    if image.mode.startswith("I;16"):
        return 4_095.0 if bits == 12 else 65_535.0
    if image.mode == "I" and image.format == "PNG":  # older Pillow opens 16 bits so
        return 65_535.0
    if image.mode == "I" and bits == 16:  # signed
        return 32_767.0
    values = np.asarray(image)
    high = float(values.max(where=np.isfinite(values), initial=0))
    if image.mode == "F":  # 0 to 1, unless the values say otherwise
        return max(high, 1.0)
    # 32 bits are seldom used to their end; the smallest usual range that holds them is meant.
    return next((top for top in (255.0, 65_535.0) if high <= top), max(high, 1.0))


def _tag(image: Image, number: int) -> int | None:
    """The (first) value of a TIFF tag; None in other formats and where it is missing."""
    value = getattr(image, "tag_v2", {}).get(number)
    if isinstance(value, tuple):
        value = value[0] if value else None
    return value if isinstance(value, int) else None


def _profile_transform(image: Image) -> Callable[[Image], Image] | None:
    """From L, RGB or CMYK to sRGB through the embedded profile; None where none is to be used."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 128 <= len(profile) <= MAX_PROFILE_BYTES:
        return None
    try:
        return _transform_from(profile, image.mode)
    # A broken profile, or a Pillow without littleCMS: the picture is still worth reading, and
    # littleCMS's complaints come as several unrelated types.
    except Exception:
        return None


def _transform_from(profile: bytes, mode: str) -> Callable[[Image], Image] | None:
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    is_grey = mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;16")
    # A grey picture in an RGB profile is common; the other mismatches are mistakes.
    wanted = {"RGB": "RGB", "GRAY": "L" if is_grey else None}.get(space)
    if mode in ("CMYK", "LAB"):
        wanted = "CMYK" if mode == space == "CMYK" else None
    if wanted is None:
        return None
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), wanted, "RGB")

    def apply(colours: Image) -> Image:
        # None only where the transform is told to work in place.
        return cast("Image", ImageCms.applyTransform(colours.convert(wanted), transform))

    # Most profiles are sRGB itself; finding that out is cheaper than converting the picture.
    return None if wanted == "RGB" and _changes_nothing(apply) else apply


def _changes_nothing(transform: Callable[[Image], Image]) -> bool:
    from PIL import Image as PillowImage

    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    changed = np.asarray(transform(PillowImage.fromarray(cube)))
    return int(np.abs(changed.astype(int) - cube).max()) <= 1
