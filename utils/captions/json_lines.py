"""One captions.jsonl for a folder: a line of JSON for each caption."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..files.append_lines import append_whole, end_last_line
from ..files.atomic_write import sync_folders, write_in
from ..files.fingerprint import digest, file_stamp
from ..roots.allowed_folders import Folder
from .place import Place
from .record import Record
from .store import caption_in, json_bytes

JSON_LINES_NAME = "captions.jsonl"
_PLACE = f"{JSON_LINES_NAME}:"
_MOST_BYTES = 8 * 1024**3
# The places in the files of so many folders, by the stamps that the files had.
_REMEMBERED = 2
_remembered: dict[Path, tuple[str, dict[str, tuple[int, int]], bool]] = {}
_BEGINNING = b'{"file_name": "'


class JsonLines:
    """`captions.jsonl`: a line for each caption; of two for one place the later counts.

    Lines that this pack neither wrote nor replaced stay as they are.
    """

    def __init__(self, folder: Folder, makes_folders: bool = False):
        self._folder, self._makes_folders = folder, makes_folders
        # By name: where its line begins, and how long it is.
        self._spans: dict[str, tuple[int, int]] = {}
        self._repeated = False
        self._replaced: set[bytes] = set()  # digests of lines
        self._index()

    def name(self, place: Place) -> str:
        """The place in the file, as no path is written."""
        return f"{_PLACE}{place.label}"

    def owns(self, name: str) -> bool:
        """Places in the file."""
        return name.startswith(_PLACE)

    def exists(self, name: str) -> bool:
        """Whether there is such a line."""
        return name in self._spans

    def content(self, name: str) -> bytes | None:
        """The line."""
        if name not in self._spans:
            return None
        start, length = self._spans[name]
        with self._folder.open_real() as folder, folder.read(JSON_LINES_NAME) as file:
            file.seek(start)
            return file.read(length)

    def is_blank(self, content: bytes) -> bool:
        """A line never is."""
        return False

    def encode(self, place: Place, text: str, facts: dict[str, Any]) -> bytes:
        """One line of JSON."""
        said = {"file_name": place.file, "variant": place.variant, "caption": text} | facts
        return json_bytes(json.dumps(said, ensure_ascii=False))

    def text(self, content: bytes) -> str:
        """The caption in it."""
        return caption_in(content)

    def write(self, records: Sequence[Record]) -> list[Exception | None]:
        """All of them in one go, or none."""
        try:
            with self._folder.open_real(make=self._makes_folders) as folder:
                # As a failed write or an editor left it meanwhile.
                end_last_line(folder, JSON_LINES_NAME, _is_torn)
                lines = b"".join(one.content for one in records)
                start = append_whole(folder, JSON_LINES_NAME, lines)
        except OSError as error:
            return [error] * len(records)
        for one in records:
            name = self.name(one.place)
            self._spans[name] = (start, len(one.content))
            if one.replaces is not None:
                self._repeated = True
                self._replaced.add(digest(one.replaces))
            start += len(one.content)
        return [None] * len(records)

    def tidy(self, is_ours: Callable[[str, bytes], bool]) -> None:
        """Drop a line that was cut off, and lines of ours that later ones replace."""
        with self._folder.open_real() as folder:
            end_last_line(folder, JSON_LINES_NAME, _is_torn)
            self._index()
            if not self._repeated:
                return
            with folder.read(JSON_LINES_NAME) as file:
                lines, at, all_lines = [], 0, 0
                for all_lines, line in enumerate(file, 1):  # noqa: B007 - the last one counts
                    if not self._is_stale(line, at, is_ours):
                        lines.append(line)
                    at += len(line)
            if len(lines) < all_lines:
                write_in(folder, JSON_LINES_NAME, b"".join(lines))
                sync_folders([folder.path])
                self._index()

    def _is_stale(self, line: bytes, at: int, is_ours: Callable[[str, bytes], bool]) -> bool:
        place = place_of(line)
        if place is None or self._spans.get(self.name(place), (at, 0))[0] == at:
            return False
        return digest(line) in self._replaced or is_ours(self.name(place), line)

    def _index(self) -> None:
        self._spans, self._repeated = {}, False
        try:
            with self._folder.open_real() as folder:
                file = folder.read(JSON_LINES_NAME, _MOST_BYTES)
        except FileNotFoundError:
            return
        with file:
            stamp = file_stamp(os.fstat(file.fileno()))
            last = _remembered.get(self._folder.path)
            if last is not None and last[0] == stamp:
                self._spans, self._repeated = dict(last[1]), last[2]
                return
            at = 0
            for line in file:
                place = place_of(line)
                if place is not None:
                    name = self.name(place)
                    self._repeated |= name in self._spans
                    self._spans[name] = (at, len(line))
                at += len(line)
        _remember(self._folder.path, stamp, self._spans, self._repeated)


def _remember(folder: Path, stamp: str, spans: dict[str, tuple[int, int]], repeated: bool) -> None:
    """So that a queue of prompts on one folder reads a file that stays the same but once."""
    _remembered.pop(folder, None)
    _remembered[folder] = (stamp, dict(spans), repeated)
    for old in list(_remembered)[:-_REMEMBERED]:
        _remembered.pop(old, None)


def _is_torn(line: bytes) -> bool:
    """Whether a line without a break is one of ours that was cut off, by its beginning."""
    begins_so = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
    return begins_so and not line.rstrip().endswith(b"}") and place_of(line) is None


def place_of(line: bytes) -> Place | None:
    """The place that a line is for; None where it is no caption's."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("file_name"), str) and "caption" in said:
            return Place(said["file_name"], str(said.get("variant") or ""))
    return None
