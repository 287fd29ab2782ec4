"""A disk on which one call fails: the calls by which folder runs write, counted, one made to fail."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

CODES = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT)
# Functions of `os`, with how many of their first arguments are paths or handles that count.
_CALLS = {
    "fsync": 1, "replace": 2, "rename": 2, "link": 2, "unlink": 1, "truncate": 1, "mkdir": 1,
    "open": 1, "scandir": 1,
}  # fmt: skip


class FaultyDisk:
    """Calls number `first` to `last` about files in `folder` fail with the error `code`.

    A write that fails is cut short first, as on a disk that is just full: what is left of it
    fails in the next call.
    """

    def __init__(self, folder: Path, first: int, last: int, code: int):
        self._folder = os.path.realpath(folder)
        self._first, self._last, self._code = first, last, code
        self.calls = 0
        self.failed: list[str] = []

    def is_due(self, call: str) -> bool:
        """Count one call; whether it is to fail."""
        self.calls += 1
        due = self._first <= self.calls <= self._last
        if due:
            self.failed.append(call)
        return due

    def error(self) -> OSError:
        return OSError(self._code, os.strerror(self._code))

    def holds(self, place: Any) -> bool:
        """Whether a path or an open handle is of a file in the folder."""
        if isinstance(place, int) or hasattr(place, "fileno"):
            handle = place if isinstance(place, int) else place.fileno()
            place = f"/proc/self/fd/{handle}"
        with suppress(TypeError, ValueError):
            return os.path.realpath(place).startswith(self._folder + os.sep)
        return False


class _Raw(io.FileIO):
    disk: FaultyDisk
    _cut_short = False

    def write(self, data, /):
        if self._cut_short:
            self._cut_short = False
            raise self.disk.error()
        if not self.disk.is_due("write"):
            return super().write(data)
        half = len(memoryview(data).cast("B")) // 2
        if not half:
            raise self.disk.error()
        self._cut_short = True
        return super().write(memoryview(data).cast("B")[:half])

    def truncate(self, size=None, /):
        if self.disk.is_due("ftruncate"):
            raise self.disk.error()
        return super().truncate(size)


@contextmanager
def faulty_disk(folder: Path, first: int, last: int, code: int) -> Iterator[FaultyDisk]:
    """Such a disk, for the length of the `with` block and for this process alone."""
    disk, opened = FaultyDisk(folder, first, last, code), io.open

    def faulty(name: str, call: Callable, paths: int) -> Callable:
        def stand_in(*args, **named):
            if any(map(disk.holds, args[:paths])) and disk.is_due(name):
                raise disk.error()
            return call(*args, **named)

        return stand_in

    def open_file(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **named):
        if isinstance(file, int) or not disk.holds(file):
            return opened(file, mode, buffering, encoding, errors, newline, **named)
        if disk.is_due(f"open {mode}"):
            raise disk.error()
        if not set(mode) & set("wax+"):
            return opened(file, mode, buffering, encoding, errors, newline, **named)
        raw = _Raw(file, mode.replace("b", "").replace("t", ""))
        raw.disk = disk
        if buffering == 0:
            return raw
        binary = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        if "b" in mode:
            return binary
        return io.TextIOWrapper(binary, encoding, errors, newline, line_buffering=buffering == 1)

    stand_ins = {name: faulty(name, getattr(os, name), paths) for name, paths in _CALLS.items()}
    with patch.multiple(os, **stand_ins), patch.object(io, "open", open_file):
        yield disk
