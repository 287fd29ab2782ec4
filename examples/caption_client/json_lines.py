"""`captions.jsonl`: one line for each caption, merged into the file that is there already."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from qwen3vl_utils.captions.json_lines import JSON_LINES_NAME as NAME
from qwen3vl_utils.captions.json_lines import place_of
from qwen3vl_utils.captions.place import Place
from qwen3vl_utils.captions.policy import OVERWRITE_ALL, SKIP

from .captions import HAS_CAPTION, NOT_THERE, OTHERS, OwnCaptions, Settle, part_path
from .errors import RunError
from .server import Server

MAX_BYTES = 8 * 1024**3


class JsonLines:
    """The same calls as of `SidecarFiles`, with all captions in one file."""

    def __init__(self, folder: Path, mode: str):
        self._folder, self._mode = folder, mode
        self._own = OwnCaptions(folder)
        self._there: dict[Place, bool] = {}  # whether all lines for the place are ours
        self._look()

    def reason_to_keep(self, place: Place) -> str:
        """Why the line that stands there stays; "" if a new one is wanted."""
        if place not in self._there or self._mode == OVERWRITE_ALL:
            return ""
        if self._mode == SKIP:
            return HAS_CAPTION
        return "" if self._there[place] else OTHERS

    async def fetch(self, server: Server, folder: str, places: list[Place], settle: Settle) -> None:
        """Bring the lines of these places from a folder of the server's output."""
        try:
            with part_path(self._folder) as fetched, fetched.open("x+b") as file:
                if not await server.download(folder, NAME, file, MAX_BYTES):
                    raise RunError(NOT_THERE)
                kept, merged = await asyncio.to_thread(self._merge, file, set(places))
        except (RunError, OSError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            for place in places:
                settle(place, f"{NAME} could not be fetched: {why}", False)
            return
        for place in places:
            if place in kept:
                settle(place, "a caption was written here meanwhile", True)
            else:
                settle(place, "" if place in merged else NOT_THERE, False)

    def _merge(self, fetched: BinaryIO, wanted: set[Place]) -> tuple[set[Place], set[Place]]:
        """The places whose lines here stayed, and those that have a new line."""
        self._look()  # again, as a run takes its time
        # Of two lines for one place the later counts.
        last: dict[Place, int] = {}
        fetched.seek(0)
        for number, line in enumerate(fetched):
            place = place_of(line)
            if place in wanted:
                last[place] = number
        kept = {place for place in last if self.reason_to_keep(place)}
        new = last.keys() - kept
        if new:
            with part_path(self._folder) as part:
                with part.open("xb") as file:
                    for line in self._lines():
                        if place_of(line) not in new:
                            file.write(line.rstrip(b"\n") + b"\n")
                    self._add_lines(fetched, {last[place] for place in new}, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._folder / NAME)
        return kept, new

    def _add_lines(self, fetched: BinaryIO, numbers: set[int], file: BinaryIO) -> None:
        fetched.seek(0)
        for number, line in enumerate(fetched):
            place = place_of(line) if number in numbers else None
            if place is not None:
                self._own.add(f"{NAME}:{place.label}", line.strip())
                file.write(line.strip() + b"\n")

    def _look(self) -> None:
        self._there = {}
        for line in self._lines():
            place = place_of(line)
            if place is not None:
                ours = self._own.has(f"{NAME}:{place.label}", line.strip())
                self._there[place] = self._there.get(place, True) and ours

    def _lines(self) -> Iterator[bytes]:
        with contextlib.suppress(FileNotFoundError), (self._folder / NAME).open("rb") as file:
            yield from file
