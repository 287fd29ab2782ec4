"""Opens the bytes of a picture in the formats that are allowed, and tells which way is up."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .guards import can_shrink, check_pixels, exif_orientation

if TYPE_CHECKING:
    from PIL.Image import Image

# What is tried. An MPO is opened as JPEG, an APNG as PNG.
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIC")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_PLANAR, _BITS_PER_SAMPLE = 284, 258


def open_picture(data: bytes, name: str) -> Image:
    """The picture, opened but not decoded; the caller closes it.

    Raises:
        InputError: a format that the packages installed here cannot read, with what to do.
        PIL.UnidentifiedImageError, and whatever else Pillow raises on a broken header.
    """
    from PIL import Image

    Image.init()
    # A Pillow without AVIF would stumble over the name.
    known = [name for name in PICTURE_FORMATS if name in Image.OPEN]
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand == b"avif" and "AVIF" not in known:
        raise InputError(
            f"{name} is an AVIF picture, which the Pillow installed here cannot read.",
            "Install pillow 11.3 or newer, or save the picture as PNG.",
        )
    if brand in _HEIC_BRANDS and b"avif" not in data[8:64]:
        return _open_heic(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=known)
    except Image.DecompressionBombError:
        if not can_shrink(data):
            raise
        from PIL.JpegImagePlugin import JpegImageFile

        image = JpegImageFile(io.BytesIO(data))  # without Pillow's ceiling, as it is read smaller
    if image.format == "TIFF":
        _check_layers(image, name)
    # Pillow turns the inks of every CMYK JPEG; only Adobe's need it.
    image.info["inks_as_stored"] = image.format in ("JPEG", "MPO") and "adobe" not in image.info
    return image


def _open_heic(data: bytes, name: str) -> Image:
    """A HEIC picture, decoded by pillow-heif, which turns it upright itself."""
    try:
        import pillow_heif  # type: ignore[import-not-found]
    except ImportError:
        raise InputError(
            f"{name} is a HEIC picture, which Pillow alone cannot read.",
            "Run `pip install pillow-heif`, or save the picture as JPEG.",
        ) from None
    opened = pillow_heif.open_heif(io.BytesIO(data))
    check_pixels(opened.size, name)  # decoding is next
    image = opened.to_pillow()
    image.info.pop("exif", None)
    image.info.pop("xmp", None)
    return image


def _check_layers(image: Image, name: str) -> None:
    """Pillow reads uncompressed 16-bit colours in separate layers as noise, without a word."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (8,))
    layered = tags.get(_PLANAR) == 2 and len(bits) > 1
    if layered and max(bits) > 8 and image.info.get("compression") == "raw":
        raise InputError(
            f"{name} is a TIFF with 16-bit colours in separate layers.",
            "Save it with interleaved channels, or with 8 bits.",
        )


def has_sixteen_bits(image: Image) -> bool:
    """Whether an opened, not yet loaded, picture has more bits a channel than Pillow will keep."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))


def orientation_of(image: Image) -> int:
    """How a loaded picture is to be turned: the Exif number, 1 to 8.

    Read without Pillow's `getexif`, which loads every entry of a block that may be hostile.
    """
    if image.format == "TIFF":  # Pillow has turned it
        return 1
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):
        exif = _exif_in_text(image.info.get("Raw profile type exif"))
    found = exif_orientation(exif)
    if found != 1:
        return found
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    match = _XMP_ORIENTATION.search(xmp.encode() if isinstance(xmp, str) else bytes(xmp))
    return int(match[1]) if match else 1


def _exif_in_text(text: object) -> bytes:
    """Exif in a PNG's text, as ImageMagick wrote it: a name, a length, then hexadecimal lines."""
    try:
        return bytes.fromhex("".join(str(text or "").split("\n")[3:]))
    except ValueError:
        return b""


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [height, width, 3] turned as the Exif `orientation` wants; 5 to 8 swap the sides."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
