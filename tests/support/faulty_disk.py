"""A disk that refuses: the k-th change of anything below a folder raises what a disk raises.

Changes are counted where the pack makes them: opening for writing, writing, syncing, renaming,
linking, cutting, removing, making folders, by paths and below open folders. What Python's own
buffers still hold after a failure is written on closing, as on a real disk.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

FAULTS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EROFS", "EDQUOT")}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# By name: whether the write that fails takes a half first, and how many changes in a row fail.
PLANS = {
    "once": (False, 1),
    "in half": (True, 1),
    "thrice": (True, 3),
    "for good": (False, 1 << 30),
}


class FaultyDisk:
    """Use it with `breaking`.

    Args:
        folder: nothing outside it is counted or refused.
        call: the number of the change that fails, from 1; 0 for none.
        error: the errno it fails with.
        plan: one of PLANS.
    """

    def __init__(self, folder: Path, call: int, error: int, plan: str = "once"):
        self.folder = folder.resolve()
        self.call, self.error = call, error
        self._in_half, self._in_a_row = PLANS[plan]
        self.calls, self.refused = 0, 0
        self._half = False
        self._lock = threading.Lock()

    def touch(self, path: int | str | os.PathLike[str], what: str = "") -> bool:
        """Count one change, or raise; True where a write is to take only a half."""
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        if not Path(path).absolute().is_relative_to(self.folder):
            return False
        with self._lock:
            if self._half and what == "write":
                self._half = False
                self._refuse(path)
            self.calls += 1
            if not 0 < self.call <= self.calls < self.call + self._in_a_row:
                return False
            if not self._in_half or what != "write" or self.calls > self.call:
                self._refuse(path)
            self._half = True
            return True

    def _refuse(self, path: object) -> None:
        self.refused += 1
        raise OSError(self.error, os.strerror(self.error), str(path))


@contextmanager
def breaking(disk: FaultyDisk):
    """Patches what changes files, for as long as the `with` block."""

    class Raw(io.FileIO):
        def write(self, data):
            if disk.touch(self.fileno(), "write"):
                return super().write(memoryview(data).cast("B")[: max(1, len(data) // 2)])
            return super().write(data)

        def truncate(self, size=None):
            disk.touch(self.fileno())
            return super().truncate(size)

    def opened(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None):
        if mode in ("r", "rb"):
            return open(path, mode, buffering, encoding, errors, newline)  # noqa: PTH123
        if not isinstance(path, int):  # else its opening has been counted
            disk.touch(path)
        raw = Raw(path, mode.replace("b", ""))
        if buffering == 0:
            return raw
        file = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return file
        return io.TextIOWrapper(file, encoding, errors, newline, line_buffering=buffering == 1)

    def os_open(path, flags, *more, **named):
        if flags & WRITING:
            disk.touch(whole(path, named))
        return real_open(path, flags, *more, **named)

    def os_write(handle, data):
        if disk.touch(handle, "write"):
            return real_write(handle, memoryview(data).cast("B")[: max(1, len(data) // 2)])
        return real_write(handle, data)

    def counted(real):
        def call(path, *more, **named):
            disk.touch(whole(path, named))
            return real(path, *more, **named)

        return call

    real_open, real_write = os.open, os.write
    with ExitStack() as stack:
        put = mock.patch.object
        stack.enter_context(put(os, "open", os_open))
        stack.enter_context(put(os, "write", os_write))
        stack.enter_context(put(os, "fdopen", opened))
        stack.enter_context(put(Path, "open", opened))
        for name in ("fsync", "link", "truncate", "ftruncate", "replace", "unlink", "mkdir"):
            stack.enter_context(put(os, name, counted(getattr(os, name))))
        for name in ("replace", "unlink", "mkdir"):
            stack.enter_context(put(Path, name, counted(getattr(Path, name))))
        yield disk


def whole(path, named):
    """A path that may be below an open folder."""
    folder = named.get("dir_fd", named.get("src_dir_fd"))
    if folder is None or isinstance(path, int):
        return path
    return Path(f"/proc/self/fd/{folder}").readlink() / path
