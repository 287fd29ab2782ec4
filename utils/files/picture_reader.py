"""Reads picture files: checked before they are decoded, upright, sRGB."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from ..images.color import WHITE, Colour
from ..images.decode import decode
from ..images.picture import Picture
from ..roots.allowed_folders import FolderFile
from ..roots.open_folder import NotOrdinaryError, OpenFolder
from .fingerprint import FileFacts, digest, file_stamp

MAX_FILE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A picture, the facts of the file that it was read from, and how many times smaller it is."""

    picture: Picture
    facts: FileFacts
    shrunk: int = 1

    @property
    def note(self) -> str:
        """What is to be said of it; "" where it is as the file has it."""
        return f"read at 1/{self.shrunk} of its width and height" if self.shrunk > 1 else ""


def read_picture(file: Path | FolderFile, background: Colour = WHITE) -> Picture:
    """The picture of one file; see `read_file`."""
    return read_file(file, background).picture


def read_file(file: Path | FolderFile, background: Colour = WHITE) -> ReadFile:
    """One picture file as sRGB: upright, 16 bit scaled to 8, first frame or page.

    Args:
        file: the format is told by its content, not by its name.
        background: red, green, blue (0 to 255) that alpha is laid on.

    Raises:
        InputError: naming the file, what is wrong with it, and what to do.
    """
    data, facts = _contents(file)
    picture, shrunk = decode(data, file.name, background)
    return ReadFile(picture, FileFacts(digest(data), file_stamp(facts)), shrunk)


def file_facts(file: Path | FolderFile) -> FileFacts:
    """The facts of a file that is not decoded, broken or not.

    Raises:
        InputError: it cannot be opened, is no ordinary file, or is empty or too large.
    """
    data, facts = _contents(file)
    return FileFacts(digest(data), file_stamp(facts))


def _contents(file: Path | FolderFile) -> tuple[bytes, os.stat_result]:
    """The whole file and its facts; a pipe or a device is never waited for."""
    try:
        with _opened(file) as opened:
            facts = os.fstat(opened.fileno())
            # The size is bounded before the reading, and again after: the file may grow.
            data = opened.read(MAX_FILE_BYTES + 1) if facts.st_size <= MAX_FILE_BYTES else b""
    except NotOrdinaryError:
        raise InputError(
            f"{file.name} is no ordinary file.", "Put a picture file in its place."
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{file.name} cannot be opened ({reason}).", "Check that it is there and readable."
        ) from None
    if not 0 < len(data) <= MAX_FILE_BYTES:
        size = max(len(data), facts.st_size)
        raise InputError(f"{file.name} has {size} bytes.", "Replace it by a sound picture.")
    return data, facts


def _opened(file: Path | FolderFile) -> BinaryIO:
    if not isinstance(file, Path):
        return file.open()
    real = file.resolve()
    with OpenFolder.at(real.parent) as folder:
        return folder.read(real.name)
