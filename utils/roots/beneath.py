"""Opens folders below a root so that no link that appears meanwhile leads out of it."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Callable
from pathlib import Path

from .open_folder import HAS_HANDLES, OpenFolder

# Linux since 5.6: one call that follows no link and stays below a folder.
# Source: man 2 openat2; the number is the same on every architecture that has it.
_OPENAT2 = 437
_NO_MAGIC_LINKS, _NO_LINKS, _BENEATH = 0x02, 0x04, 0x08
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_beneath(root: Path, path: Path, make: bool = False) -> OpenFolder:
    """The folder at `path`, which is a real path in the real folder `root`.

    Whatever is a link on the way by now was put there after the path was looked at.

    Args:
        make: make it, and those above it, where they are not there yet.

    Raises:
        OSError: it is not there, is no folder, or a link is in the way.
    """
    names = path.relative_to(root).parts
    if make:  # ComfyUI makes its own folders when it needs them
        root.mkdir(parents=True, exist_ok=True)
    if not HAS_HANDLES:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        if Path(os.path.realpath(path)) != path:
            raise OSError(errno.ELOOP, "A link is in the way", str(path))
        return OpenFolder(path, None)
    try:
        return OpenFolder(path, _opened(root, names, make))
    except OSError as error:
        error.filename = str(path)  # for the message: a handle says little
        raise


def _opened(root: Path, names: tuple[str, ...], make: bool) -> int:
    top = os.open(root, _FOLDER)
    if not names:
        return top
    try:
        openat2 = None if make else _openat2()
        if openat2 is not None:
            return openat2(top, "/".join(names))
        return _walked(top, names, make)
    finally:
        os.close(top)


def _walked(top: int, names: tuple[str, ...], make: bool) -> int:
    """Folder by folder, none of which may be a link."""
    handle = os.dup(top)
    for name in names:
        above = handle
        try:
            if make:
                _make(name, above)
            handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
            raise
        finally:
            os.close(above)
    return handle


def _make(name: str, above: int) -> None:
    try:
        os.mkdir(name, dir_fd=above)
    except FileExistsError:
        return


class _How(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]  # noqa: RUF012


@functools.cache
def _openat2() -> Callable[[int, str], int] | None:
    """Opens a folder by its path below an open one; None where the system has no such call."""
    try:
        syscall = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError, TypeError):
        return None
    syscall.restype = ctypes.c_long
    how = _How(_FOLDER, 0, _NO_MAGIC_LINKS | _NO_LINKS | _BENEATH)

    def opened(top: int, path: str) -> int:
        handle = syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(top), ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)),
        )  # fmt: skip
        if handle < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return handle

    top = os.open("/", _FOLDER)
    try:
        os.close(opened(top, "."))
    except OSError:  # older, or forbidden in this container
        return None
    finally:
        os.close(top)
    return opened
