"""Reads picture files: checked before they are decoded, upright, sRGB."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from ..images.color import WHITE, Colour
from ..images.decode import decode
from ..images.picture import Picture
from .fingerprint import digest, file_stamp

MAX_FILE_BYTES = 512 * 1024 * 1024
# Decoding runs this far ahead of the model; more would only fill memory.
READERS = max(2, min(4, (os.cpu_count() or 2) // 2))
READ_AHEAD = 2 * READERS

Item = TypeVar("Item")
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file held when it was read: the digest of its bytes, and its stamp."""

    digest: bytes
    stamp: str


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A picture, and the facts of the file that it was read from."""

    picture: Picture
    facts: FileFacts


def read_picture(path: Path, background: Colour = WHITE) -> Picture:
    """The picture of one file; see `read_file`."""
    return read_file(path, background).picture


def read_file(path: Path, background: Colour = WHITE) -> ReadFile:
    """One picture file as sRGB: upright, 16 bit scaled to 8, first frame or page.

    Args:
        path: the file; the format is told by its content, not by its name.
        background: red, green, blue (0 to 255) that alpha is laid on.

    Raises:
        InputError: naming the file, what is wrong with it, and what to do.
    """
    data, facts = _contents(path)
    picture = decode(data, path.name, background)
    return ReadFile(picture, FileFacts(digest(data), file_stamp(facts)))


def file_facts(path: Path) -> FileFacts:
    """The facts of a file that is not decoded, broken or not.

    Raises:
        InputError: it cannot be opened, is no ordinary file, or is empty or too large.
    """
    data, facts = _contents(path)
    return FileFacts(digest(data), file_stamp(facts))


def _contents(path: Path) -> tuple[bytes, os.stat_result]:
    """The whole file and its facts; a pipe or a device is never waited for."""
    try:
        # Opening some devices has effects, so they are told apart before and, as the path may
        # meanwhile lead elsewhere, again after.
        _check_is_file(path.stat(), path.name)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            _check_is_file(facts, path.name)
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path.name} cannot be opened ({reason}).", "Check that it is there and readable."
        ) from None
    if not 0 < len(data) <= MAX_FILE_BYTES:  # it may have changed since
        raise _wrong_bytes(path.name, len(data))
    return data, facts


def _check_is_file(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is no ordinary file.", "Put a picture file in its place.")
    if not 0 < status.st_size <= MAX_FILE_BYTES:
        raise _wrong_bytes(name, status.st_size)


def _wrong_bytes(name: str, size: int) -> InputError:
    return InputError(f"{name} has {size} bytes.", "Replace it by a sound picture.")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Read]
) -> Generator[tuple[Item, Read | InputError], None, None]:
    """Each item with what `read` makes of it, or what is wrong; done a little ahead, in threads."""
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="qwen3vl-read")
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(read, item)))
            if len(waiting) > READ_AHEAD:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        # An interrupt does not wait for a large picture, or one on a drive that does not answer.
        pool.shutdown(wait=False, cancel_futures=True)


def _result(item: Item, future: Future[Read]) -> tuple[Item, Read | InputError]:
    try:
        return item, future.result()
    except InputError as error:
        return item, error
