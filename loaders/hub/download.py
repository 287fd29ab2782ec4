"""Fetches an official checkpoint when the user asked for it: resumable, checked, interruptible.

A file grows as `<name>.incomplete` and gets its name when its size and hash are right; config.json
comes last, so a half download is never taken for a checkpoint.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...utils.errors import LoadError
from ...utils.text.amounts import amount
from .remote import RemoteFile, trusted

ENDING = ".incomplete"
BLOCK_BYTES = 1024 * 1024
# A server that says nothing for so long has to be asked again.
STALL_SECONDS = 30.0
# How often in a row one file may fail without a byte of progress.
TRIES = 5
PAUSE_SECONDS = 1.0
LOOK_SECONDS = 0.1
# Kept free on the disk.
SPARE_BYTES = 1024**3

# (bytes there, bytes in all); whatever it raises ends the download and passes through.
OnReceived = Callable[[int, int], None]


def fetch(files: list[RemoteFile], folder: Path, on_bytes: OnReceived) -> None:
    """Bring every file into `folder`; what is there already stays, what is half goes on.

    Raises:
        LoadError: no room on the disk, or the server fails again and again. What was fetched
            stays for the next time.
    """
    total = sum(file.size_bytes for file in files)
    todo = [file for file in files if not _is_there(file, folder, lambda: on_bytes(0, total))]
    _check_room(todo, folder)
    folder.mkdir(parents=True, exist_ok=True)
    done = total - sum(file.size_bytes for file in todo)
    for file in sorted(todo, key=lambda f: (f.name == "config.json", f.size_bytes)):
        _fetch_one(file, folder, lambda there, before=done: on_bytes(before + there, total))
        done += file.size_bytes
    on_bytes(total, total)


def _is_there(file: RemoteFile, folder: Path, look: Callable[[], None]) -> bool:
    """By size, and by hash where the hub gives one: a damaged file has the right size too."""
    path = folder / file.name
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    return not file.sha256 or _sha256(path, look) == file.sha256


def _check_room(todo: list[RemoteFile], folder: Path) -> None:
    there = sum(_size(folder / (file.name + ENDING)) for file in todo)
    needed = sum(file.size_bytes for file in todo) - there
    nearest = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free = shutil.disk_usage(nearest).free
    if needed and needed + SPARE_BYTES > free:
        raise LoadError(
            f"The download needs {amount(needed)}, but {nearest} has {amount(free)} free.",
            "Make room, or put the models folder on another disk (extra_model_paths.yaml).",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _fetch_one(file: RemoteFile, folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Fetch in a thread of its own, so that an interrupt never waits for the network."""
    partial = folder / (file.name + ENDING)
    if _size(partial) > file.size_bytes:
        partial.unlink()
    failures, last = 0, _size(partial)
    while _size(partial) < file.size_bytes or not partial.exists():
        gate, problem = _Gate(), []
        thread = threading.Thread(
            target=_append, args=(file, partial, gate, problem), name="qwen3vl-fetch", daemon=True
        )
        thread.start()
        try:
            while thread.is_alive():
                thread.join(LOOK_SECONDS)
                on_bytes(_size(partial))
        finally:
            gate.close()
        if not problem:
            continue
        failures = 0 if _size(partial) > last else failures + 1
        last = _size(partial)
        if failures >= TRIES or _is_final(problem[0]):
            raise LoadError(
                f"{file.name} could not be downloaded ({problem[0]}).",
                "Check the network and try again: it goes on where it stopped.",
            )
        _pause(lambda there=last: on_bytes(there))
    _finish(file, partial, folder / file.name, lambda: on_bytes(file.size_bytes))


class _TooMuchError(OSError):
    """A server that sends another file than its list says."""


class _Gate:
    """Once closed, the thread behind it touches no file any more, however late it wakes up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self.closed = False

    def close(self) -> None:
        """Wait for a write under way, and let no further one begin."""
        with self._lock:
            self.closed = True
            if self._file is not None:
                # Windows renames and removes no file that a sleeping thread still holds.
                self._file.close()

    def open(self, path: Path, mode: str) -> BinaryIO | None:
        """The file to write to, closed with the gate at the latest."""
        with self._lock:
            if not self.closed:
                self._file = cast(BinaryIO, path.open(mode))
            return self._file

    def pass_through(self, step: Callable[[], Any]) -> Any:
        """The step's result, or None when the gate is closed."""
        with self._lock:
            return None if self.closed else step()


def _append(file: RemoteFile, partial: Path, gate: _Gate, problem: list[Any]) -> None:
    """Add what is missing to the partial file; a problem is left in `problem`."""
    try:
        have = _size(partial)
        headers = {**file.headers, "User-Agent": "qwen3-vl-nodes"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = urllib.request.Request(file.url, headers=headers)  # noqa: S310 - from hubs
        with _opener().open(request, timeout=STALL_SECONDS) as answer:
            # A server that cannot go on in the middle sends everything again.
            mode = "ab" if answer.status == 206 else "wb"
            out = gate.open(partial, mode)
            if out is None:
                return
            with out:
                left = file.size_bytes - (have if mode == "ab" else 0)
                while chunk := answer.read(BLOCK_BYTES):
                    left -= len(chunk)
                    if left < 0:  # or it would fill the disk, and again at the next try
                        gate.pass_through(partial.unlink)
                        raise _TooMuchError("the server sends more than it promised")
                    if gate.pass_through(lambda data=chunk: _write(out, data)) is None:
                        return
        gate.pass_through(lambda: _check_length(file, partial, problem))
    except (OSError, http.client.HTTPException) as error:
        problem.append(error)


def _write(out: BinaryIO, data: bytes) -> int:
    out.write(data)
    out.flush()  # a buffer would be written when the file closes, behind a closed gate
    return len(data)


def _check_length(file: RemoteFile, partial: Path, problem: list[Any]) -> None:
    size = _size(partial)
    if size < file.size_bytes:
        problem.append("the server ended early")
    elif size > file.size_bytes:
        partial.unlink()
        problem.append("the server sent more than it promised")


def _is_final(problem: Any) -> bool:
    """Asking again will not help."""
    if isinstance(problem, _TooMuchError):
        return True
    return isinstance(problem, urllib.error.HTTPError) and problem.code in (401, 403, 404, 410)


def _pause(look: Callable[[], None]) -> None:
    until = time.monotonic() + PAUSE_SECONDS
    while time.monotonic() < until:
        look()
        time.sleep(LOOK_SECONDS)


def _finish(file: RemoteFile, partial: Path, path: Path, look: Callable[[], None]) -> None:
    if file.sha256 and _sha256(partial, look) != file.sha256:
        partial.unlink()
        raise LoadError(
            f"{file.name} arrived damaged: its hash is not the one that the hub gives.",
            "Try again; if it happens again, choose the other download source.",
        )
    partial.replace(path)


def _sha256(path: Path, look: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(16 * BLOCK_BYTES):
            digest.update(chunk)
            look()
    return digest.hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the hub only, not to the storage that it redirects to."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and _origin(new.full_url) != _origin(req.full_url):
            new.headers.pop("Authorization", None)
        return new


def _origin(url: str) -> tuple[str, str]:
    """Scheme, host and port: on http all between may read along."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _opener() -> Any:
    return urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=trusted()))
