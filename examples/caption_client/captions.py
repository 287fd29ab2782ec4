"""Captions beside the pictures: which may be written, and writing them whole."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from qwen3vl_utils.captions.place import Place
from qwen3vl_utils.captions.policy import OVERWRITE_ALL, SKIP
from qwen3vl_utils.captions.sidecars import MAX_CAPTION_BYTES

from .errors import RunError
from .parallel import in_parallel
from .server import Server

HAS_CAPTION = "has a caption"
OTHERS = (
    "its caption was written or edited by others; "
    f"--mode '{OVERWRITE_ALL}' --allow-overwrite-all replaces it"
)
NOT_THERE = "its caption could not be fetched from the server"
_PART_PREFIX, _PART_SUFFIX = ".caption_folder-", ".part"
_STALE_SECONDS = 3600
# Called with each place: what went wrong, and whether it was left alone for what stands there.
Settle = Callable[[Place, str, bool], None]


class OwnCaptions:
    """Remembers what this client wrote into a folder: a caption that was edited is not ours."""

    def __init__(self, folder: Path):
        self._path = folder / ".caption_folder_client.jsonl"
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                # A killed run may leave its last line cut off: that caption counts as not ours.
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    name, digest = json.loads(line)
                    self._known.add((str(name), str(digest)))

    def has(self, name: str, content: bytes) -> bool:
        """Whether this client wrote this content there."""
        return (name, _digest(content)) in self._known

    def add(self, name: str, content: bytes) -> None:
        """To be called before a caption is written: the other way round could lose its mark."""
        key = (name, _digest(content))
        with self._lock:
            if key in self._known:
                return
            with self._path.open("a", encoding="ascii") as file:
                # Begun with a line break, as a killed run may have left half a line.
                file.write(f"\n{json.dumps(key)}")
            self._known.add(key)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


class SidecarFiles:
    """`a.txt` or `a.json` beside `a.png`."""

    def __init__(self, folder: Path, ending: str, mode: str):
        self._folder, self._ending, self._mode = folder, ending, mode
        self._own = OwnCaptions(folder)

    def reason_to_keep(self, place: Place) -> str:
        """Why the caption that stands there stays; "" if a new one is wanted."""
        path = self._folder / self._name(place)
        if not os.path.lexists(path) or self._mode == OVERWRITE_ALL:
            return ""
        return HAS_CAPTION if self._mode == SKIP else self._reason_not_ours(path, place)

    def _reason_not_ours(self, path: Path, place: Place) -> str:
        with contextlib.suppress(OSError):
            if path.stat().st_size <= MAX_CAPTION_BYTES:
                ours = self._own.has(self._name(place), path.read_bytes())
                return "" if ours else OTHERS
        return OTHERS

    def _name(self, place: Place) -> str:
        return f"{place.stem}.{self._ending}"

    async def fetch(self, server: Server, folder: str, places: list[Place], settle: Settle) -> None:
        """Bring the captions from a folder of the server's output, some at a time."""

        async def fetch_one(place: Place) -> None:
            try:
                kept = await self._fetch_one(server, folder, place)
                settle(place, "a caption was written here meanwhile" if kept else "", kept)
            except RunError as error:
                settle(place, str(error), False)
            except OSError as error:
                why = error.strerror or str(error)
                settle(place, f"its caption could not be written here: {why}", False)

        await in_parallel(fetch_one, places)

    async def _fetch_one(self, server: Server, folder: str, place: Place) -> bool:
        """Whether a caption that came to stand here meanwhile was left alone."""
        below, _, name = self._name(place).rpartition("/")
        got = io.BytesIO()
        where = f"{folder}/{below}" if below else folder
        if not await server.download(where, name, got, MAX_CAPTION_BYTES):
            raise RunError(NOT_THERE)
        return not await asyncio.to_thread(self._write, place, got.getvalue())

    def _write(self, place: Place, content: bytes) -> bool:
        if self.reason_to_keep(place):  # told again, as a run takes its time
            return False
        path = self._folder / self._name(place)
        self._own.add(self._name(place), content)
        with part_path(path.parent) as part:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            return put_in_place(part, path, replace=os.path.lexists(path))


@contextlib.contextmanager
def part_path(folder: Path) -> Iterator[Path]:
    """A name for a file that is being written, beside its later place; gone at the end."""
    part = folder / f"{_PART_PREFIX}{uuid.uuid4().hex[:12]}{_PART_SUFFIX}"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def put_in_place(part: Path, path: Path, replace: bool) -> bool:
    """Give a written file its name, whole or not at all.

    Without `replace` only where nothing is: False if something came to be there meanwhile.
    """
    if replace:
        part.replace(path)
        return True
    try:
        if os.name == "nt":
            part.rename(path)  # which fails there if the name is taken
        else:
            os.link(part, path)
        return True
    except FileExistsError:
        return False
    except OSError:  # a file system without links, as on USB sticks
        if os.path.lexists(path):
            return False
        part.replace(path)
        return True


def sweep(folder: Path) -> None:
    """Remove what killed runs left half written in one folder, not what another run is writing."""
    for left in folder.glob(f"{_PART_PREFIX}*{_PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()
