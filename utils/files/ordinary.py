"""Opens ordinary files alone: never one that blocks, or does not end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..roots.open_folder import NotOrdinaryError

# Windows has no such files and no such flag.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_ordinary(path: Path, buffering: int = -1) -> BinaryIO:
    """The open file; links are followed, as the hubs' caches are made of them.

    Raises:
        OSError: it is not there or may not be read; a NotOrdinaryError, where it is no file.
    """
    # Opening some devices has effects, so they are told apart before and, as the path may
    # meanwhile lead elsewhere, again after.
    _check(path.stat(), path)
    handle = os.open(path, _FLAGS)
    try:
        _check(os.fstat(handle), path)
        return os.fdopen(handle, "rb", buffering)  # type: ignore[return-value]
    except BaseException:
        os.close(handle)
        raise


def _check(facts: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotOrdinaryError(path)
