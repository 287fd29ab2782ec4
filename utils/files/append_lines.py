"""Files of lines that grow at their end, such as the journal: a line is whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .atomic_write import make_folder, sync_folders, write_all

# The last line of a file is looked for in its last so many bytes first.
_READ_BACK = 16_384


def append_whole(path: Path, data: bytes) -> int:
    """Append lines to a file; what could only be written in part is taken back.

    A disk that failed may have refused that too, so the lines never go on after half a line.

    Returns:
        where they begin.

    Raises:
        OSError: nothing was added.
    """
    make_folder(path.parent)
    # Without a buffer: one that is still full when a disk is not would be written on closing.
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        ended = not end or (file.seek(end - 1), file.read(1))[1] == b"\n"
        try:
            write_all(file, data if ended else b"\n" + data)
            failed = sync_folders([path.parent]) if not end else {}
            for error in failed.values():
                raise error
        except BaseException:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise
    return end if ended else end + 1


def end_last_line(path: Path, is_torn: Callable[[bytes], bool] = lambda _line: False) -> None:
    """Give a last line without a break one; or drop it, where `is_torn` says it is but a part.

    Such lines are left by killed runs, by disks that failed, and by editors.
    """
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        start, line = _last_line(file)
        if not line or line.endswith(b"\n"):
            return
        if is_torn(line):
            file.truncate(start)
        else:
            file.write(b"\n")


def _last_line(file: BinaryIO) -> tuple[int, bytes]:
    """Where the last line begins, and the line; found from the end. The file is left there."""
    end = start = file.seek(0, os.SEEK_END)
    line, step = b"", _READ_BACK
    while start and b"\n" not in line[:-1]:
        start, step = max(0, start - step), 2 * step
        file.seek(start)
        line = file.read(end - start)
    begin = line[:-1].rfind(b"\n") + 1
    return start + begin, line[begin:]
