"""Files of lines that grow at their end, such as the journal: a line is whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from ..roots.open_folder import OpenFolder
from .atomic_write import sync_folders, write_all

# The last line of a file is looked for in its last so many bytes first.
_READ_BACK = 16_384


def append_whole(folder: OpenFolder, name: str, data: bytes) -> int:
    """Append lines to a file; what could only be written in part is taken back.

    A disk that failed may have refused that too, so the lines never go on after half a line.

    Returns:
        where they begin.

    Raises:
        OSError: nothing was added.
    """
    # Without a buffer: one that is still full when a disk is not would be written on closing.
    handle = folder.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        end = os.fstat(handle).st_size
        ended = not end or _read_at(handle, end - 1, 1) == b"\n"
        try:
            write_all(handle, data if ended else b"\n" + data)
            failed = sync_folders([folder.path]) if not end else {}
            for error in failed.values():
                raise error
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)
    return end if ended else end + 1


def end_last_line(
    folder: OpenFolder, name: str, is_torn: Callable[[bytes], bool] = lambda _line: False
) -> None:
    """Give a last line without a break one; or drop it, where `is_torn` says it is but a part.

    Such lines are left by killed runs, by disks that failed, and by editors.
    """
    try:
        handle = folder.open(name, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        return
    try:
        start, line = _last_line(handle)
        if not line or line.endswith(b"\n"):
            return
        if is_torn(line):
            os.ftruncate(handle, start)
        else:
            os.write(handle, b"\n")
    finally:
        os.close(handle)


def _last_line(handle: int) -> tuple[int, bytes]:
    """Where the last line begins, and the line; found from the end."""
    end = start = os.fstat(handle).st_size
    line, step = b"", _READ_BACK
    while start and b"\n" not in line[:-1]:
        start, step = max(0, start - step), 2 * step
        line = _read_at(handle, start, end - start)
    begin = line[:-1].rfind(b"\n") + 1
    return start + begin, line[begin:]


def _read_at(handle: int, start: int, count: int) -> bytes:
    """So many bytes from a place on; fewer where the file ends."""
    os.lseek(handle, start, os.SEEK_SET)
    found = b""
    while count > len(found) and (more := os.read(handle, count - len(found))):
        found += more
    return found
