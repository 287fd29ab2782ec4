"""One captions.jsonl for a folder: a line of JSON for each caption."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..files.append_lines import append_whole, end_last_line
from ..files.atomic_write import sync_folders, write_whole
from ..files.fingerprint import digest
from .recipe import Slot
from .store import Checked, Write, caption_in, json_bytes

JSON_LINES_NAME = "captions.jsonl"
_PLACE = f"{JSON_LINES_NAME}:"
_BEGINNING = b'{"file_name": "'


class JsonLines:
    """`captions.jsonl`: a line for each caption; of two for one place the later counts.

    Lines that this pack neither wrote nor replaced stay as they are.
    """

    def __init__(self, folder: Path, checked: Checked):
        self._path = checked(folder) / JSON_LINES_NAME
        # By name: where its line begins, and how long it is.
        self._spans: dict[str, tuple[int, int]] = {}
        self._repeated = False
        self._replaced: set[bytes] = set()  # digests of lines
        self._index()

    def name(self, slot: Slot) -> str:
        """The place in the file, as no path is written."""
        return f"{_PLACE}{slot.label}"

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
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def encode(self, slot: Slot, text: str, facts: dict[str, Any]) -> bytes:
        """One line of JSON."""
        said = {"file_name": slot.picture, "variant": slot.variant, "caption": text} | facts
        return json_bytes(json.dumps(said, ensure_ascii=False))

    def text(self, content: bytes) -> str:
        """The caption in it."""
        return caption_in(content)

    def write(self, writes: Sequence[Write]) -> list[Exception | None]:
        """All of them in one go, or none."""
        try:
            end_last_line(self._path, _is_torn)  # as a failed write or an editor left it meanwhile
            start = append_whole(self._path, b"".join(one.content for one in writes))
        except OSError as error:
            return [error] * len(writes)
        for one in writes:
            name = self.name(one.slot)
            self._spans[name] = (start, len(one.content))
            if one.replaces is not None:
                self._repeated = True
                self._replaced.add(digest(one.replaces))
            start += len(one.content)
        return [None] * len(writes)

    def tidy(self, is_ours: Callable[[str, bytes], bool]) -> None:
        """Drop a line that was cut off, and lines of ours that later ones replace."""
        end_last_line(self._path, _is_torn)
        self._index()
        if not self._repeated:
            return
        with self._path.open("rb") as file:
            lines, at, all_lines = [], 0, 0
            for all_lines, line in enumerate(file, 1):  # noqa: B007 - the last one counts
                if not self._is_stale(line, at, is_ours):
                    lines.append(line)
                at += len(line)
        if len(lines) < all_lines:
            write_whole(self._path, b"".join(lines))
            sync_folders([self._path.parent])
            self._index()

    def _is_stale(self, line: bytes, at: int, is_ours: Callable[[str, bytes], bool]) -> bool:
        slot = _named(line)
        if slot is None or self._spans.get(self.name(slot), (at, 0))[0] == at:
            return False
        return digest(line) in self._replaced or is_ours(self.name(slot), line)

    def _index(self) -> None:
        self._spans, self._repeated = {}, False
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            at = 0
            for line in file:
                slot = _named(line)
                if slot is not None:
                    name = self.name(slot)
                    self._repeated |= name in self._spans
                    self._spans[name] = (at, len(line))
                at += len(line)


def _is_torn(line: bytes) -> bool:
    """Whether a line without a break is one of ours that was cut off, by its beginning."""
    begins_so = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
    return begins_so and not line.rstrip().endswith(b"}") and _named(line) is None


def _named(line: bytes) -> Slot | None:
    """The place that a line is for; None where it is no caption's."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("file_name"), str) and "caption" in said:
            return Slot(said["file_name"], str(said.get("variant") or ""))
    return None
