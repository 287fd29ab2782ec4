"""Where captions stand: a .txt or a .json beside each picture, or one .jsonl for all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .caption_slots import Slot
from .digests import digest
from .sidecar_files import append_whole, sync_folders, write_whole

JSON_LINES_NAME = "captions.jsonl"
_LINES_PLACE = f"{JSON_LINES_NAME}:"
# More is no caption; what somebody else put there is then left alone, unread.
MAX_CAPTION_BYTES = 4 * 1024 * 1024
# Maps a place of a caption to the same one with its links followed, once it may be written there.
Checked = Callable[[Path], Path]


@dataclass(frozen=True, slots=True)
class Write:
    """A caption to be written: its content, and whether it may only go where nothing is."""

    slot: Slot
    content: bytes
    new: bool


class CaptionStore(Protocol):
    """What every kind of place offers; names are the journal's."""

    def name(self, slot: Slot) -> str:
        """The caption's name in the journal."""
        ...

    def owns(self, name: str) -> bool:
        """Whether a name of the journal, which runs in other formats write too, is of this kind."""
        ...

    def exists(self, name: str) -> bool:
        """Whether anything stands at a name."""
        ...

    def content(self, name: str) -> bytes | None:
        """What stands at a name; None where nothing does."""
        ...

    def encode(self, slot: Slot, text: str, facts: dict[str, Any]) -> bytes:
        """The content for a caption, with the facts of its making where there is room for them."""
        ...

    def text(self, content: bytes) -> str:
        """The caption in a content of ours."""
        ...

    def write(self, writes: Sequence[Write]) -> list[OSError | None]:
        """Write several, and say of each whether it went wrong."""
        ...

    def tidy(self) -> None:
        """Put in order what earlier writes left; only for who holds the folder's lock."""
        ...


class TextFiles:
    """`a.txt` beside `a.png`, or at the same place below another folder."""

    ending = ".txt"

    def __init__(self, folder: Path, checked: Checked):
        self._folder, self._checked = folder, checked

    def name(self, slot: Slot) -> str:
        """The path of the file below the folder."""
        return slot.stem + self.ending

    def owns(self, name: str) -> bool:
        """Files with our ending; a place in a .jsonl only looks like a path."""
        return name.endswith(self.ending) and not name.startswith(_LINES_PLACE)

    def exists(self, name: str) -> bool:
        """Whether there is such a file; a link that leads nowhere is none."""
        return self._place(name).exists()

    def content(self, name: str) -> bytes | None:
        """The bytes of the file."""
        place = self._place(name)
        if not place.exists():
            return None
        if not place.is_file() or place.stat().st_size > MAX_CAPTION_BYTES:
            return b"\0"  # in no caption of ours
        return place.read_bytes()

    def encode(self, slot: Slot, text: str, facts: dict[str, Any]) -> bytes:
        """The caption alone; what no encoding takes is written as a question mark."""
        return text.encode("utf-8", "replace")

    def text(self, content: bytes) -> str:
        """The caption, also one that somebody else wrote."""
        return content.decode("utf-8-sig", "replace")

    def write(self, writes: Sequence[Write]) -> list[OSError | None]:
        """Each whole or not at all; their folders are synced together."""
        outcomes: list[OSError | None] = []
        folders = []
        for one in writes:
            try:
                place = self._place(self.name(one.slot))
                write_whole(place, one.content, one.new)
                folders.append(place.parent)
                outcomes.append(None)
            except OSError as error:
                outcomes.append(error)
        sync_folders(folders)
        return outcomes

    def tidy(self) -> None:
        """Nothing is left over; `sweep` removes half-written files."""

    def _place(self, name: str) -> Path:
        # Only the folder is followed: a caption that is a link is replaced, not written through.
        wanted = self._folder / name
        return self._checked(wanted.parent) / wanted.name


class JsonFiles(TextFiles):
    """`a.json` beside `a.png`: the caption and how it was made."""

    ending = ".json"

    def encode(self, slot: Slot, text: str, facts: dict[str, Any]) -> bytes:
        """One JSON object, `caption` and `file_name` first, readable by people too."""
        said = {"caption": text, "file_name": slot.picture} | facts
        return _json_bytes(json.dumps(said, ensure_ascii=False, indent=2))

    def text(self, content: bytes) -> str:
        """The caption in it."""
        return str(json.loads(content)["caption"])


class JsonLines:
    """`captions.jsonl`: a line for each caption; of two for one place the later counts.

    Lines that this pack did not write stay as they are.
    """

    def __init__(self, folder: Path, checked: Checked):
        self._path = checked(folder) / JSON_LINES_NAME
        self._spans: dict[
            str, tuple[int, int]
        ] = {}  # name -> where its line begins, how long it is
        self._repeated = False
        self._index()

    def name(self, slot: Slot) -> str:
        """The place in the file, as no path is written."""
        return f"{_LINES_PLACE}{slot.label}"

    def owns(self, name: str) -> bool:
        """Places in the file."""
        return name.startswith(_LINES_PLACE)

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
        return _json_bytes(json.dumps(said, ensure_ascii=False))

    def text(self, content: bytes) -> str:
        """The caption in it."""
        return str(json.loads(content)["caption"])

    def write(self, writes: Sequence[Write]) -> list[OSError | None]:
        """All of them in one go, or none."""
        start = self._path.stat().st_size if self._path.exists() else 0
        try:
            append_whole(self._path, b"".join(one.content for one in writes))
        except OSError as error:
            return [error] * len(writes)
        for one in writes:
            name = self.name(one.slot)
            self._repeated |= name in self._spans
            self._spans[name] = (start, len(one.content))
            start += len(one.content)
        return [None] * len(writes)

    def tidy(self) -> None:
        """Drop a line that was cut off, and leave out the lines that later ones replace."""
        self._drop_torn_end()
        self._index()
        if not self._repeated:
            return
        kept = {start for start, _ in self._spans.values()}
        with self._path.open("rb") as file:
            lines, at = [], 0
            for line in file:
                if at in kept or _named(line) is None:
                    lines.append(line)
                at += len(line)
        write_whole(self._path, b"".join(lines))
        sync_folders([self._path.parent])
        self._index()

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

    def _drop_torn_end(self) -> None:
        """A line that a crash cut off is nobody's; a whole one without a line break gets it."""
        with contextlib.suppress(FileNotFoundError), self._path.open("r+b") as file:
            start, last = 0, b""
            for line in file:
                start, last = start + len(last), line
            if last and not last.endswith(b"\n"):
                file.seek(start)
                if _named(last) is None:
                    file.truncate()
                else:
                    file.write(last + b"\n")


def _json_bytes(text: str) -> bytes:
    """JSON and a line break; half a character, as in a broken name, becomes a JSON escape."""
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _named(line: bytes) -> Slot | None:
    """The place that a line is for; None where it is no caption's."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("file_name"), str) and "caption" in said:
            return Slot(said["file_name"], str(said.get("variant") or ""))
    return None


# Stored in workflows: append only.
FORMATS: dict[str, Callable[[Path, Checked], CaptionStore]] = {
    "txt": TextFiles,
    "json": JsonFiles,
    "jsonl": JsonLines,
}


def content_digest(content: bytes | None) -> bytes | None:
    """The digest by which the journal knows a content; None for none."""
    return None if content is None else digest(content)
