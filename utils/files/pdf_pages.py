"""PDFs in the allowed folders: a menu of them, and their pages read one at a time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..documents.pdf_file import MAX_PDF_BYTES, PdfFile, open_pdf
from ..errors import InputError
from ..images.picture import Picture
from ..roots.allowed_folders import AllowedFolders, Folder
from ..roots.safe_paths import names_in
from ..text.natural_sort import natural_key
from .fingerprint import file_stamp

MAX_NAMES = 1000
MENU_SECONDS = 0.5
SUFFIX = ".pdf"


@dataclass(frozen=True, slots=True)
class PdfPages:
    """Chosen pages of a PDF, read when they are asked for.

    Args:
        folder: the allowed folder that the file lies in; checked again at every opening.
        name: the file's name in that folder.
        numbers: pages, counted from 1, in the order in which they come.
        turn: degrees clockwise beyond what the file says.
        password: kept for later openings, never shown.
    """

    folder: Folder
    name: str
    numbers: tuple[int, ...]
    dpi: float = 144.0
    turn: int = 0
    password: str = field(default="", repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def labels(self) -> list[str]:
        """`file.pdf page 3` for each page."""
        return [f"{self.name} page {number}" for number in self.numbers]

    def pictures(self) -> Iterator[Picture]:
        """The pages one by one; only the one in hand is in memory.

        Raises:
            InputError: the file is gone, damaged, or another one than was looked at.
        """
        with opened(self.folder, self.name, self.password) as document:
            yield from document.pages(list(self.numbers), self.dpi, self.turn)


@contextmanager
def opened(folder: Folder, name: str, password: str = "") -> Iterator[PdfFile]:
    """A PDF of an allowed folder.

    Raises:
        InputError: outside, no ordinary file, no PDF, damaged, or another password is needed.
    """
    path = folder.check(folder.path / name)
    # A pipe or device must neither be waited for nor touched: looked at before and after.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        _check(path.stat(), name)
        handle = os.open(path, flags)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{name} cannot be opened ({reason}).", "Check that it is there and readable."
        ) from None
    with os.fdopen(handle, "rb") as file:
        _check(os.fstat(file.fileno()), name)
        with open_pdf(file, name, password) as document:
            yield document


def stamp_of(folder: Folder, name: str) -> str:
    """By which an unchanged file is known; empty where it cannot be looked at."""
    try:
        return file_stamp(folder.check(folder.path / name).stat())
    except (OSError, InputError):
        return ""


def located(folders: AllowedFolders, file: str) -> tuple[Folder, str]:
    """The folder and the name of a file as a workflow names it, such as `input/a/b.pdf`.

    Raises:
        InputError: no such name, outside the allowed folders, or no PDF by its name.
    """
    names = names_in(file)
    if len(names) < 2 or not names[-1].lower().endswith(SUFFIX):
        raise InputError(
            f"{file[:80]!r} names no PDF in a folder.", "Choose one from the menu: input/a.pdf."
        )
    return folders.locate("/".join(names[:-1])), names[-1]


def pdf_menu(folders: AllowedFolders) -> list[str]:
    """Names of the PDFs in the allowed folders, as many as are found in half a second."""
    found: list[str] = []
    until = time.monotonic() + MENU_SECONDS
    for folder in folders.menu():
        if len(found) >= MAX_NAMES or time.monotonic() > until:
            break
        try:
            place = folders.locate(folder).path
            with os.scandir(place) as entries:
                names = [e.name for e in entries if e.name.lower().endswith(SUFFIX)]
        except (OSError, InputError):  # a menu leaves out what cannot be looked into
            continue
        found += [f"{folder}/{name}" for name in sorted(names, key=natural_key)]
    return found[:MAX_NAMES]


def _check(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is no ordinary file.", "Put a PDF in its place.")
    if not 0 < status.st_size <= MAX_PDF_BYTES:
        raise InputError(f"{name} has {status.st_size} bytes.", "Replace it by a sound PDF.")
