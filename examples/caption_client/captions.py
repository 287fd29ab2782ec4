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

from .errors import RunError
from .jobs import OVERWRITE_ALL, SKIP
from .parallel import in_parallel
from .pictures import Slot
from .server import Server

MAX_CAPTION_BYTES = 4 * 1024 * 1024
HAS_CAPTION = "has a caption"
OTHERS = (
    "its caption was written or edited by others; "
    f"--mode '{OVERWRITE_ALL}' --allow-overwrite-all replaces it"
)
NOT_THERE = "its caption could not be fetched from the server"
_PART_PREFIX, _PART_SUFFIX = ".caption_folder-", ".part"
_STALE_SECONDS = 3600
# Called with each slot: what went wrong, and whether it was left alone for what stands there.
Settle = Callable[[Slot, str, bool], None]


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

    def reason_to_keep(self, slot: Slot) -> str:
        """Why the caption that stands there stays; "" if a new one is wanted."""
        place = self._folder / slot.file(self._ending)
        if not os.path.lexists(place) or self._mode == OVERWRITE_ALL:
            return ""
        return HAS_CAPTION if self._mode == SKIP else self._reason_not_ours(place, slot)

    def _reason_not_ours(self, place: Path, slot: Slot) -> str:
        with contextlib.suppress(OSError):
            if place.stat().st_size <= MAX_CAPTION_BYTES:
                ours = self._own.has(slot.file(self._ending), place.read_bytes())
                return "" if ours else OTHERS
        return OTHERS

    async def fetch(self, server: Server, folder: str, slots: list[Slot], settle: Settle) -> None:
        """Bring the captions from a folder of the server's output, some at a time."""

        async def fetch_one(slot: Slot) -> None:
            try:
                kept = await self._fetch_one(server, folder, slot)
                settle(slot, "a caption was written here meanwhile" if kept else "", kept)
            except RunError as error:
                settle(slot, str(error), False)
            except OSError as error:
                why = error.strerror or str(error)
                settle(slot, f"its caption could not be written here: {why}", False)

        await in_parallel(fetch_one, slots)

    async def _fetch_one(self, server: Server, folder: str, slot: Slot) -> bool:
        """Whether a caption that came to stand here meanwhile was left alone."""
        below, _, name = slot.file(self._ending).rpartition("/")
        got = io.BytesIO()
        where = f"{folder}/{below}" if below else folder
        if not await server.download(where, name, got, MAX_CAPTION_BYTES):
            raise RunError(NOT_THERE)
        return not await asyncio.to_thread(self._write, slot, got.getvalue())

    def _write(self, slot: Slot, content: bytes) -> bool:
        if self.reason_to_keep(slot):  # told again, as a run takes its time
            return False
        place = self._folder / slot.file(self._ending)
        self._own.add(slot.file(self._ending), content)
        with part_path(place.parent) as part:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            return put_in_place(part, place, replace=os.path.lexists(place))


@contextlib.contextmanager
def part_path(folder: Path) -> Iterator[Path]:
    """A name for a file that is being written, beside its later place; gone at the end."""
    part = folder / f"{_PART_PREFIX}{uuid.uuid4().hex[:12]}{_PART_SUFFIX}"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def put_in_place(part: Path, place: Path, replace: bool) -> bool:
    """Give a written file its name, whole or not at all.

    Without `replace` only where nothing is: False if something came to be there meanwhile.
    """
    if replace:
        part.replace(place)
        return True
    try:
        if os.name == "nt":
            part.rename(place)  # which fails there if the name is taken
        else:
            os.link(part, place)
        return True
    except FileExistsError:
        return False
    except OSError:  # a file system without links, as on USB sticks
        if os.path.lexists(place):
            return False
        part.replace(place)
        return True


def sweep(folder: Path) -> None:
    """Remove what killed runs left half written in one folder, not what another run is writing."""
    for left in folder.glob(f"{_PART_PREFIX}*{_PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()
