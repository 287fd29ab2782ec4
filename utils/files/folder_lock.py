"""One run at a time writes into a folder and says who it is; what killed ones left is swept."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..roots.beneath import open_beneath
from ..roots.open_folder import OpenFolder
from .atomic_write import OURS, TEMP_SUFFIX, naming, now, unwritable, write_in

LOCK_NAME = ".qwen3vl.lock"
HOLDER_NAME = ".qwen3vl-running.json"
# A run that is just ending is waited for, and one that just began has by then said who it is.
_GRACE_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 0.02
_MOST_HOLDER_BYTES = 10_000
_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK))


@contextlib.contextmanager
def only_writer(folder: Path, root: Path | None = None) -> Iterator[None]:
    """Hold the folder's lock; the system takes it back even when the process is killed.

    Args:
        folder: made where it is not there yet.
        root: a real folder around it, below which no link leads to it.

    Raises:
        InputError: another run is captioning this folder, or it cannot be written into.
    """
    with naming(folder):
        opened = open_beneath(root or folder, folder, make=True)
    with opened:
        with naming(folder):
            handle = opened.open(LOCK_NAME, os.O_RDWR | os.O_CREAT)
        try:
            _take(handle, opened)
            try:
                _name_holder(opened)
                yield
            finally:
                with contextlib.suppress(OSError):
                    opened.remove(HOLDER_NAME)
        finally:
            os.close(handle)  # with which the lock is given back


def _take(handle: int, folder: OpenFolder) -> None:
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        try:
            _lock(handle)
        except OSError as error:
            if error.errno not in _HELD:  # a file system without locks
                raise unwritable(folder.path, error) from error
        else:
            return
        if time.monotonic() > deadline:
            raise InputError(
                f"Another run is captioning {folder.path}{_holder(folder)}.",
                "Wait for it to end, or interrupt it.",
            )
        time.sleep(_LOOK_AGAIN_SECONDS)


def _lock(handle: int) -> None:
    """Lock an open file for this handle alone; OSError where another one has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _name_holder(folder: OpenFolder) -> None:
    """Say in the folder who holds it; this is also the trial whether it can be written into."""
    holder = {"process": os.getpid(), "computer": socket.gethostname(), "since": now()}
    with naming(folder.path):
        write_in(folder, HOLDER_NAME, json.dumps(holder).encode())


def _holder(folder: OpenFolder) -> str:
    """Who holds the lock, as far as it can be told."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        with folder.read(HOLDER_NAME, _MOST_HOLDER_BYTES) as file:
            said = json.loads(file.read())
        return f" (process {said['process']} on {said['computer']}, since {said['since']})"
    return ""


def sweep(folder: Path, recursive: bool = True, root: Path | None = None) -> None:
    """Remove what killed runs left half written in `folder`, wherever the disk lets us.

    Folders in it that a run of their own is at are left to it; all is left to a run that is at
    a folder around it, up to `root`.
    """
    around = [one for one in folder.parents if root is not None and one.is_relative_to(root)]
    if any(map(_is_held, around)):
        return
    for place, inside, names in os.walk(folder):
        if Path(place) != folder and LOCK_NAME in names and _is_held(Path(place)):
            inside.clear()
            continue
        left = [name for name in names if _is_left_over(name)]
        if left:
            with contextlib.suppress(OSError), OpenFolder.at(Path(place)) as opened:
                for name in left:
                    with contextlib.suppress(OSError):  # in a folder that we may not write into
                        opened.remove(name)
        if not recursive:
            return


def _is_left_over(name: str) -> bool:
    return name.endswith(TEMP_SUFFIX) and name.removesuffix(TEMP_SUFFIX).endswith(OURS)


def _is_held(folder: Path) -> bool:
    """Whether a run is at this folder just now."""
    with contextlib.suppress(OSError), OpenFolder.at(folder) as opened:
        handle = opened.open(LOCK_NAME, os.O_RDWR)
        try:
            _lock(handle)
        except OSError:
            return True
        finally:
            os.close(handle)
    return False
