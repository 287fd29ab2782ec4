"""Reads a small text file whose place has been checked: regular, bounded, no link followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import InputError

MAX_BYTES = 1_000_000
# Absent on Windows, which has neither kind of file.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read_small_text(path: Path, most_bytes: int = MAX_BYTES) -> str:
    """The file's text, UTF-8 with or without a mark.

    Args:
        path: its real path, as `real_inside` gave it.

    Raises:
        InputError: it is not there, no regular file, too large, or no such text.
    """
    try:
        handle = os.open(path, _FLAGS)
    except OSError as error:
        raise InputError(
            f"{path.name!r} cannot be opened: {error.strerror or error}.",
            "Put the file there, or choose another.",
        ) from error
    # Asked of the open file: the name may have been exchanged since it was checked.
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path.name!r} is no regular file.", "Choose another.")
    with os.fdopen(handle, "rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise InputError(
            f"{path.name!r} has more than {most_bytes:,} bytes.", "Choose a smaller file."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name!r} is no UTF-8 text.", "Save it as UTF-8.") from error
