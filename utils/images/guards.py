"""Checks the bytes of a picture file for what would hang or flood a decoder, before one runs."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice

from ..errors import InputError

MAX_SOURCE_PIXELS = 100_000_000
# A JPEG of more pixels is decoded at a half or a quarter of its size.
SHRINKS = (1, 2, 4)

# Real files have some thousands of segments; each costs Pillow microseconds.
MAX_SEGMENTS = 300_000
# Encoders write about ten; each goes over the whole picture once more.
MAX_JPEG_SCANS = 100
MAX_JPEG_FILL_BYTES = 1_000_000
MAX_EXIF_BYTES = 16_000_000
MAX_EXIF_BLOCKS = 20
# The format allows one; each may unpack to a megabyte.
MAX_PNG_PROFILES = 4
# A strip for every row of the tallest picture that anyone has.
MAX_TIFF_VALUES = 1_000_000
# Tiles may reach over the edge of a small picture, and are decoded whole.
MAX_TIFF_TILE_PIXELS = 4096 * 4096

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Codes that begin a JPEG's frame, and those of frames whose one scan is all there is.
_FRAMES, _SEQUENTIAL = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}, (0xC0, 0xC1)
_EXIF_BLOCK = re.compile(rb"II\*\0|MM\0\*")
_TIFF_MAGIC = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_TIFF_UNITS = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_SUB_DIRECTORIES = (34665, 34853, 40965)
_TIFF_FAULT = "is a TIFF whose directory asks for more than the file holds"


def check_header(data: bytes, name: str) -> None:
    """Refuse a file that costs its decoder far more than a picture may.

    Args:
        data: the whole file.
        name: the file's name, for the error.

    Raises:
        InputError: more than 100 million pixels, or one of the limits above is passed.
    """
    fault = None
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        check_pixels(_webp_size_wh(data), name)
    elif data.startswith(b"\xff\xd8"):
        fault = _jpeg_fault(data)
    elif data.startswith(b"\x89PNG"):
        fault = _png_fault(data)
    elif data[:4] in _TIFF_MAGIC:
        fault = tiff_fault(data)
    elif data[4:8] == b"ftyp":
        fault = _boxes_fault(data)
    if fault:
        raise InputError(f"{name} {fault}.", "Save it again with another program, or remove it.")


def check_pixels(size_wh: tuple[int, int], name: str) -> None:
    """Raise InputError for a picture of more than `MAX_SOURCE_PIXELS`."""
    width, height = size_wh
    if width * height > MAX_SOURCE_PIXELS:
        raise too_large(name, f" ({width} x {height})")


def can_shrink(data: bytes) -> bool:
    """Whether a file is a JPEG that can be decoded smaller, with only the small picture's memory.

    Those of one scan can; of progressive ones, and of several scans, the coefficients of the
    whole picture are held at once.
    """
    if not data.startswith(b"\xff\xd8"):
        return False
    codes, place = [], 2
    while len(codes) < MAX_SEGMENTS and (match := _MARKER.search(data, place)):
        codes.append(data[match.start() + 1])
        place = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    frames = [code for code in codes if code in _FRAMES]
    return len(frames) == 1 and frames[0] in _SEQUENTIAL and codes.count(0xDA) == 1


def too_large(name: str, size: str = "") -> InputError:
    """The error for too many pixels; `size` is added as it is."""
    most = MAX_SOURCE_PIXELS // 1_000_000
    return InputError(f"{name} has more than {most} million pixels{size}.", "Make it smaller.")


def _webp_size_wh(data: bytes) -> tuple[int, int]:
    """The canvas; Pillow allocates two of them before it says how large they are."""
    kind = data[12:16]
    if len(data) < 30:
        return 0, 0
    if kind == b"VP8X":
        packed = int.from_bytes(data[24:30], "little")
        return (packed & 0xFFFFFF) + 1, (packed >> 24) + 1
    if kind == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_fault(data: bytes) -> str | None:
    scans = fill = place = 0
    exif: list[bytes] = []
    for count in range(MAX_SEGMENTS + 2):
        match = _MARKER.search(data, place)
        if match is None:
            break
        code, start = data[match.start() + 1], match.end()
        fill += 0 if scans else match.start() - place
        place = start
        if code == 0xD9:
            break
        if code in (0x01, 0xD8):
            continue
        length = int.from_bytes(data[start : start + 2], "big")
        if code == 0xE1 and data[start + 2 : start + 8] == b"Exif\0\0":
            exif.append(data[start + 8 : start + length])
        place += length
        scans += code == 0xDA
        if scans > MAX_JPEG_SCANS:
            return f"is a JPEG of more than {MAX_JPEG_SCANS} scans"
        if count > MAX_SEGMENTS or fill > MAX_JPEG_FILL_BYTES:
            return "is a JPEG whose header does not end"
    if sum(map(len, exif)) > MAX_EXIF_BYTES:
        return f"has more than {MAX_EXIF_BYTES // 1_000_000} MB of Exif"
    return tiff_fault(b"".join(exif))


def _png_fault(data: bytes) -> str | None:
    place = 8
    profiles = 0
    for _ in range(MAX_SEGMENTS):
        kind = data[place + 4 : place + 8]
        if len(kind) < 4 or kind == b"IEND":
            return None
        profiles += kind == b"iCCP"
        if profiles > MAX_PNG_PROFILES:
            return f"is a PNG with more than {MAX_PNG_PROFILES} colour profiles"
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return f"is a PNG of more than {MAX_SEGMENTS:,} chunks"


def _boxes_fault(data: bytes) -> str | None:
    """AVIF and HEIC: the place of the Exif block is deep in the boxes, so it is searched."""
    places = [match.start() for match in islice(_EXIF_BLOCK.finditer(data), MAX_EXIF_BLOCKS + 1)]
    if len(places) > MAX_EXIF_BLOCKS:
        return f"has more than {MAX_EXIF_BLOCKS} blocks of Exif"
    faults = (tiff_fault(data[place : place + MAX_EXIF_BYTES]) for place in places)
    return next((fault for fault in faults if fault), None)


def tiff_fault(data: bytes) -> str | None:
    """What is wrong with a TIFF, or an Exif block, that Pillow is about to load; None if nothing.

    Entries may all point to the same bytes: 65,535 of them at a block of 1 MB would become 64 GB.
    """
    places = [0]
    total = 0
    for depth in range(8):  # the picture's own directory, and those for camera and place
        if depth >= len(places):
            break
        sizes: dict[int, int] = {}
        for tag, unit, count, value in _tiff_entries(data, places[depth]):
            held = unit * count if unit * count <= len(data) else 0
            total += held
            if unit > 1 and held and count > MAX_TIFF_VALUES:
                return _TIFF_FAULT
            sizes[tag] = value
            if tag in _SUB_DIRECTORIES:
                places.append(value)
        fault = None if depth else _tile_fault(sizes)
        if fault or total > 2 * len(data):
            return fault or _TIFF_FAULT
    return None


def _tile_fault(sizes: dict[int, int]) -> str | None:
    picture = sizes.get(_WIDTH, 0) * sizes.get(_HEIGHT, 0)
    tile = sizes.get(_TILE_WIDTH, 0) * sizes.get(_TILE_HEIGHT, 0)
    if tile > max(MAX_TIFF_TILE_PIXELS, 2 * min(picture, MAX_SOURCE_PIXELS)):
        return f"is a TIFF with tiles of {tile // 1_000_000} million pixels"
    return None


def _tiff_entries(data: bytes, place: int) -> Iterator[tuple[int, int, int, int]]:
    """(tag, bytes per value, number of values, first value) of a directory; place 0: the first.

    The first value is 0 unless it is one whole number. Stops where the data stops.
    """
    order = _TIFF_MAGIC.get(data[:4])
    if order is None:
        return
    big = b"+" in data[2:4]
    offset = "Q" if big else "I"
    try:
        if not place:
            (place,) = struct.unpack_from(order + offset, data, 8 if big else 4)
        (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, place)
        step, place = (20, place + 8) if big else (12, place + 2)
        for _ in range(min(entries, 65_536)):
            tag, kind, count = struct.unpack_from(f"{order}HH{offset}", data, place)
            letter = _TIFF_INTEGERS.get(kind, offset) if count == 1 else "x"
            value = struct.unpack_from(order + letter, data, place + (12 if big else 8))
            yield tag, _TIFF_UNITS.get(kind, 1), count, value[0] if value else 0
            place += step
    except (struct.error, OverflowError):  # beyond the data, or beyond any file
        return


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an Exif block tells; 1 where it tells none."""
    for tag, _, _, value in _tiff_entries(exif.removeprefix(b"Exif\0\0"), 0):
        if tag == 0x0112:
            return value if 1 <= value <= 8 else 1
    return 1
