"""Saved chats on disk: written whole, never over anything else, read bounded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..conversation.saved_transcript import FORMAT, MAX_CHAT_BYTES, from_json, to_json
from ..conversation.transcript import Chat
from ..errors import InputError
from ..roots.allowed_folders import Folder
from ..roots.safe_paths import why_no_name
from .atomic_write import sync_folders, write_whole

ENDING = ".json"
# The format stands at the beginning of the file.
_HEAD_BYTES = 200


def save_chat(chat: Chat, folder: Folder, name: str) -> str:
    """Write a chat; what the file is called, with its folder.

    Raises:
        InputError: no such name or place, or something else of that name is there.
    """
    path = folder.check(Path(_file_name(name)), write=True)
    shown = f"{folder.name}/{path.name}"
    if path.exists() and not _is_saved_chat(path):
        raise InputError(
            f"{shown} is there and is no saved chat.", "Choose another name; nothing was changed."
        )
    try:
        write_whole(path, to_json(chat).encode("utf-8"))
        for error in sync_folders([path.parent]).values():
            raise error
    except OSError as error:
        raise InputError(
            f"{shown} cannot be written ({error.strerror or type(error).__name__}).",
            "Check the disk and its rights; an older file of that name is as it was.",
        ) from error
    return shown


def load_chat(folder: Folder, name: str) -> Chat:
    """Read a chat.

    Raises:
        InputError: it is not there, is no ordinary file, too large, or no saved chat.
    """
    path = folder.check(Path(_file_name(name)))
    shown = f"{folder.name}/{path.name}"
    try:
        data = _read(path, MAX_CHAT_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{shown} cannot be opened ({error.strerror or type(error).__name__}).",
            "Check its folder and name.",
        ) from None
    if len(data) > MAX_CHAT_BYTES:
        raise InputError(f"{shown} has more than {MAX_CHAT_BYTES:,} bytes.", "Save a shorter chat.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{shown} is no UTF-8 text.", "Choose a file that Save Chat wrote."
        ) from None
    return from_json(text, shown)


def chat_stamp(folder: Folder, name: str) -> str:
    """By which a saved chat is known to be unchanged; empty while it is not there."""
    try:
        facts = folder.check(Path(_file_name(name))).stat()
    except (OSError, InputError):
        return ""  # said when the node runs
    return f"{facts.st_size:x}-{facts.st_mtime_ns:x}-{facts.st_ino:x}"


def _file_name(name: str) -> str:
    """The file of a name that a workflow gives.

    Raises:
        InputError: a path, or what no file can be called.
    """
    stem = name.strip().removesuffix(ENDING)
    reason = "it is empty" if not stem else why_no_name(stem)
    if reason:
        raise InputError(
            f"{name[:80]!r} is no name for a saved chat: {reason}.", "Choose a plain name."
        )
    return stem + ENDING


def _is_saved_chat(path: Path) -> bool:
    try:
        return f'"{FORMAT}"'.encode() in _read(path, _HEAD_BYTES)
    except OSError:
        return False


def _read(path: Path, most: int) -> bytes:
    """At most so many bytes of an ordinary file; a pipe or a device is never waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0)
    if not stat.S_ISREG(path.stat().st_mode):  # opening some devices has effects
        raise OSError(0, "no ordinary file")
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "no ordinary file")
        return file.read(most)
