"""Where captions stand: a .txt or a .json beside each picture, or one .jsonl for all."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic_write import sync_folders, write_whole
from .json_lines import JsonLines
from .recipe import Slot
from .store import NO_CAPTION, CaptionStore, Checked, Write, caption_in, json_bytes

# More is no caption; what somebody else put there is then left alone, unread.
MAX_CAPTION_BYTES = 4 * 1024 * 1024
# So many files are written at once: a disk syncs several in hardly more time than one.
WRITERS = 8


class TextFiles:
    """`a.txt` beside `a.png`, or at the same place below another folder."""

    ending = ".txt"

    def __init__(self, folder: Path, checked: Checked):
        self._folder, self._checked = folder, checked
        self._last = ("", checked(folder))  # names come folder by folder

    def name(self, slot: Slot) -> str:
        """The path of the file below the folder."""
        return slot.stem + self.ending

    def owns(self, name: str) -> bool:
        """Files with our ending."""
        return name.endswith(self.ending)

    def exists(self, name: str) -> bool:
        """Whether there is such a file; a link that leads nowhere is none."""
        return self._place(name).exists()

    def content(self, name: str) -> bytes | None:
        """The bytes of the file."""
        place = self._place(name)
        try:
            facts = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(facts.st_mode):  # never ours, and it may lead to what nobody may read
            return NO_CAPTION if place.exists() else None
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_CAPTION_BYTES:
            return NO_CAPTION
        return place.read_bytes()

    def encode(self, slot: Slot, text: str, facts: dict[str, Any]) -> bytes:
        """The caption alone; what is no text, or ends it for others, becomes a question mark."""
        return text.replace("\0", "?").encode("utf-8", "replace")

    def text(self, content: bytes) -> str:
        """The caption, also one that somebody else wrote."""
        with contextlib.suppress(UnicodeDecodeError):
            text = content.decode("utf-8-sig")
            if "\0" not in text:
                return text
        raise InputError(
            "Its caption is no file of text in UTF-8, or is too large.",
            "Save it as UTF-8, or choose a mode that adds nothing to it.",
        )

    def write(self, writes: Sequence[Write]) -> list[Exception | None]:
        """Each whole or not at all; their folders are synced together."""
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="qwen3vl-write") as pool:
            outcomes = list(pool.map(self._write, writes))
        folders = [(self._folder / self.name(one.slot)).parent for one in writes]
        failed = sync_folders(folders)
        return [
            outcome or failed.get(folder) for outcome, folder in zip(outcomes, folders, strict=True)
        ]

    def _write(self, one: Write) -> Exception | None:
        name = self.name(one.slot)
        try:
            place = self._checked_place(name)
            if self.content(name) != one.replaces:
                return FileExistsError(f"{name} is there")
            write_whole(place, one.content, new=one.replaces is None)
        except (OSError, InputError) as error:
            return error
        return None

    def tidy(self, is_ours: Callable[[str, bytes], bool]) -> None:
        """Nothing is left over; `sweep` removes half-written files."""

    def _place(self, name: str) -> Path:
        folder, _, file = name.rpartition("/")
        last = self._last
        if folder != last[0]:
            last = self._last = (folder, self._checked_place(name).parent)
        return last[1] / file

    def _checked_place(self, name: str) -> Path:
        # Only the folder is followed: a caption that is a link is replaced, not written through.
        wanted = self._folder / name
        return self._checked(wanted.parent) / wanted.name


class JsonFiles(TextFiles):
    """`a.json` beside `a.png`: the caption and how it was made."""

    ending = ".json"

    def encode(self, slot: Slot, text: str, facts: dict[str, Any]) -> bytes:
        """One JSON object, `caption` and `file_name` first, readable by people too."""
        said = {"caption": text, "file_name": slot.picture} | facts
        return json_bytes(json.dumps(said, ensure_ascii=False, indent=2))

    def text(self, content: bytes) -> str:
        """The caption in it."""
        return caption_in(content)


# Stored in workflows: append only.
FORMATS: dict[str, Callable[[Path, Checked], CaptionStore]] = {
    "txt": TextFiles,
    "json": JsonFiles,
    "jsonl": JsonLines,
}
