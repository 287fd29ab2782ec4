"""Small files beside pictures: written whole or not at all, by one run at a time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import InputError

LOCK_NAME = ".qwen3vl.lock"
HOLDER_NAME = ".qwen3vl-running.json"
# Room for the captions of some thousand pictures; a disk with less is about to be full anyway.
MIN_FREE_BYTES = 10_000_000
# What an interrupted write leaves behind; nobody else names files so.
TEMP_SUFFIX = ".qwen3vl-tmp"
OURS = (".txt", ".json", ".jsonl")


def write_whole(path: Path, data: bytes, new: bool = False) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    The rename is durable once the folder is synced, which `sync_folders` does for many at once.

    Args:
        new: only where nothing is yet; what appeared meanwhile is left alone.

    Raises:
        OSError: nothing was changed; FileExistsError where `new` and something was there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMP_SUFFIX)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if new:
            _put_where_nothing_is(temporary, path)
        else:
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _put_where_nothing_is(temporary: Path, path: Path) -> None:
    """Rename, but never over a file; a link that leads nowhere is no file and is replaced."""
    if path.is_symlink() and not path.exists():
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # file systems without hard links: FAT, some network shares
        if path.exists():
            raise FileExistsError(f"{path.name} is there") from None
        temporary.replace(path)
    else:
        temporary.unlink()


def append_whole(path: Path, data: bytes) -> None:
    """Append lines to a file; what could only be written in part is taken back.

    Raises:
        OSError: nothing was added.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        end = file.seek(0, os.SEEK_END)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.truncate(path, end)
            raise


def end_last_line(path: Path) -> None:
    """Give a file of lines that a killed run left without its last line break one."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames in these folders durable; Windows cannot open folders and needs no such call."""
    if os.name == "nt":
        return
    for folder in set(folders):
        # Network and FUSE file systems may refuse; the files are written all the same.
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what killed runs left half written below `folder`."""
    for leftover in folder.rglob(f"*{TEMP_SUFFIX}"):
        if leftover.name.removesuffix(TEMP_SUFFIX).endswith(OURS):
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it is given back even when the process is killed.

    Raises:
        InputError: another run is captioning this folder, or it cannot be written into.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"Another run is captioning {folder}{_holder(folder)}.",
            "Wait for it to end, or interrupt it.",
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        _name_holder(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / HOLDER_NAME).unlink(missing_ok=True)
        lock.release()


def _name_holder(folder: Path) -> None:
    """Say in the folder who holds it; this is also the trial whether it can be written into."""
    holder = {"process": os.getpid(), "computer": socket.gethostname(), "since": now()}
    try:
        write_whole(folder / HOLDER_NAME, json.dumps(holder).encode())
    except OSError as error:
        raise _unwritable(folder, error) from error


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as it can be told."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads((folder / HOLDER_NAME).read_text("utf-8"))
        return f" (process {said['process']} on {said['computer']}, since {said['since']})"
    return ""


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"Captions cannot be written into {folder} ({error.strerror or error}).",
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
