"""`captions.jsonl`: one line for each caption, merged into the file that is there already."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .captions import HAS_CAPTION, NOT_THERE, OTHERS, OwnCaptions, Settle, part_path
from .errors import RunError
from .jobs import OVERWRITE_ALL, SKIP
from .pictures import Slot
from .server import Server

NAME = "captions.jsonl"
MAX_BYTES = 8 * 1024**3


class JsonLines:
    """The same calls as of `SidecarFiles`, with all captions in one file."""

    def __init__(self, folder: Path, mode: str):
        self._folder, self._mode = folder, mode
        self._own = OwnCaptions(folder)
        self._there: dict[Slot, bool] = {}  # whether all lines for the place are ours
        self._look()

    def reason_to_keep(self, slot: Slot) -> str:
        """Why the line that stands there stays; "" if a new one is wanted."""
        if slot not in self._there or self._mode == OVERWRITE_ALL:
            return ""
        if self._mode == SKIP:
            return HAS_CAPTION
        return "" if self._there[slot] else OTHERS

    async def fetch(self, server: Server, folder: str, slots: list[Slot], settle: Settle) -> None:
        """Bring the lines of these places from a folder of the server's output."""
        try:
            with part_path(self._folder) as fetched, fetched.open("x+b") as file:
                if not await server.download(folder, NAME, file, MAX_BYTES):
                    raise RunError(NOT_THERE)
                kept, merged = await asyncio.to_thread(self._merge, file, set(slots))
        except (RunError, OSError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            for slot in slots:
                settle(slot, f"{NAME} could not be fetched: {why}", False)
            return
        for slot in slots:
            if slot in kept:
                settle(slot, "a caption was written here meanwhile", True)
            else:
                settle(slot, "" if slot in merged else NOT_THERE, False)

    def _merge(self, fetched: BinaryIO, wanted: set[Slot]) -> tuple[set[Slot], set[Slot]]:
        """The places whose lines here stayed, and those that have a new line."""
        self._look()  # again, as a run takes its time
        # Of two lines for one place the later counts.
        last: dict[Slot, int] = {}
        fetched.seek(0)
        for number, line in enumerate(fetched):
            slot = slot_of(line)
            if slot in wanted:
                last[slot] = number
        kept = {slot for slot in last if self.reason_to_keep(slot)}
        new = last.keys() - kept
        if new:
            with part_path(self._folder) as part:
                with part.open("xb") as file:
                    for line in self._lines():
                        if slot_of(line) not in new:
                            file.write(line.rstrip(b"\n") + b"\n")
                    self._add_lines(fetched, {last[slot] for slot in new}, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._folder / NAME)
        return kept, new

    def _add_lines(self, fetched: BinaryIO, numbers: set[int], file: BinaryIO) -> None:
        fetched.seek(0)
        for number, line in enumerate(fetched):
            slot = slot_of(line) if number in numbers else None
            if slot is not None:
                self._own.add(f"{NAME}:{slot.label}", line.strip())
                file.write(line.strip() + b"\n")

    def _look(self) -> None:
        self._there = {}
        for line in self._lines():
            slot = slot_of(line)
            if slot is not None:
                ours = self._own.has(f"{NAME}:{slot.label}", line.strip())
                self._there[slot] = self._there.get(slot, True) and ours

    def _lines(self) -> Iterator[bytes]:
        with contextlib.suppress(FileNotFoundError), (self._folder / NAME).open("rb") as file:
            yield from file


def slot_of(line: bytes) -> Slot | None:
    """The place that a line is for; None where it is no caption's."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("file_name"), str) and "caption" in said:
            return Slot(said["file_name"], str(said.get("variant") or ""))
    return None
