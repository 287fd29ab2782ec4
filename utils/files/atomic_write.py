"""Small files beside pictures: written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError
from ..roots.open_folder import OpenFolder

# Room for the captions of some thousand pictures; a disk with less is about to be full anyway.
MIN_FREE_BYTES = 10_000_000
# What an interrupted write leaves behind; nobody else names files so.
TEMP_SUFFIX = ".qwen3vl-tmp"
OURS = (".txt", ".json", ".jsonl", ".caption", ".tags", ".cap", ".md")
_DISK_FAILED = (errno.EIO, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, data: bytes, new: bool = False) -> None:
    """Write a file at a path that nobody else chose; see `write_in`."""
    make_folder(path.parent)
    with OpenFolder.at(path.parent) as folder:
        write_in(folder, path.name, data, new)


def write_in(folder: OpenFolder, name: str, data: bytes, new: bool = False) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    The rename is durable once the folder is synced, which `sync_folders` does for many at once.

    Args:
        new: only where nothing is yet; what appeared meanwhile is left alone.

    Raises:
        OSError: nothing was changed; FileExistsError where `new` and something was there.
    """
    try:
        _write_in(folder, name, data, new)
    except FileNotFoundError:  # a run on a folder around this one began, and swept here
        _write_in(folder, name, data, new)


def _write_in(folder: OpenFolder, name: str, data: bytes, new: bool) -> None:
    # A name of its own, made by this call: two runs may write here, and a link may lie in wait.
    # It does not grow with the file's name, which may be as long as names can be.
    temporary = f".{secrets.token_hex(8)}{Path(name).suffix}{TEMP_SUFFIX}"
    try:
        handle = folder.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(handle, data)
        finally:
            os.close(handle)
        if new:
            _put_where_nothing_is(folder, temporary, name)
        else:
            folder.replace(temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.remove(temporary)
        raise


def _put_where_nothing_is(folder: OpenFolder, temporary: str, name: str) -> None:
    """Rename, but never over a file; a link that leads nowhere is no file and is replaced."""
    if _is_dangling(folder, name):
        folder.replace(temporary, name)
        return
    try:
        folder.link(temporary, name)
    except FileExistsError:
        raise
    except OSError:  # file systems without hard links: FAT, some network shares
        if folder.leads_somewhere(name):
            raise FileExistsError(f"{name} is there") from None
        folder.replace(temporary, name)
    else:
        with contextlib.suppress(OSError):  # a scanner of viruses has it open; it is swept later
            folder.remove(temporary)


def _is_dangling(folder: OpenFolder, name: str) -> bool:
    try:
        is_link = stat.S_ISLNK(folder.facts(name).st_mode)
    except FileNotFoundError:
        return False
    return is_link and not folder.leads_somewhere(name)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it is not there yet.

    Raises:
        NotADirectoryError: a file is in its place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # which would say that the caption is there
        raise NotADirectoryError(errno.ENOTDIR, "Not a folder", str(folder)) from error


def write_all(handle: int, data: bytes) -> None:
    """Write all of it, onto the disk: a write may take only a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
    os.fsync(handle)


def sync_folders(folders: Iterable[Path]) -> dict[Path, OSError]:
    """Make renames in these folders durable; Windows cannot open folders and needs no such call.

    Returns:
        the folders whose disk failed, so that what was renamed there may be lost, and how.
    """
    failed: dict[Path, OSError] = {}
    for folder in set(folders) if os.name != "nt" else ():
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            # Network and FUSE file systems may refuse; the files are written all the same.
            if error.errno in _DISK_FAILED:
                failed[folder] = error
    return failed


def check_own_files(folder: Path, names: Iterable[str]) -> None:
    """Refuse to open files of ours that somebody replaced by a link, a folder or a pipe.

    Raises:
        InputError: naming the one that is no ordinary file.
    """
    for name in names:
        try:
            mode = (folder / name).lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unwritable(folder, error) from error
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{folder / name} is a link, a folder or a pipe, and not a file of this node.",
                "Rename or remove it.",
            )


@contextlib.contextmanager
def naming(folder: Path) -> Iterator[None]:
    """What the disk refuses in the `with` block names the folder and a remedy."""
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: Exception) -> InputError:
    """That captions cannot be kept in a folder, and why."""
    return InputError(
        f"Captions cannot be written into {folder} ({getattr(error, 'strerror', None) or error}).",
        "Allow writing there, or choose another place for them.",
    )


def now() -> str:
    """The time in UTC to the second, as ISO 8601 writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def check_space(folder: Path) -> None:
    """Refuse a run that a nearly full disk would end soon, before the model is loaded for it.

    Raises:
        InputError: less than MIN_FREE_BYTES are free where the captions go.
    """
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise InputError(
            f"The disk of {folder} has {free / 1e6:.1f} MB left; captions and their journal "
            f"want {MIN_FREE_BYTES / 1e6:.0f} MB.",
            "Make room there, or choose another place for the captions.",
        )
