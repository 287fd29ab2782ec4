"""Where captions stand: a .txt or a .json beside each picture, or one .jsonl for all."""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic_write import sync_folders, write_in
from ..roots.allowed_folders import Folder
from ..roots.open_folder import NotOrdinaryError, OpenFolder
from .json_lines import JsonLines
from .place import SHORT_NAMES, WHOLE_NAMES, Place
from .record import Record
from .store import NO_CAPTION, CaptionStore, caption_in, json_bytes

# More is no caption; what somebody else put there is then left alone, unread.
MAX_CAPTION_BYTES = 4 * 1024 * 1024
# What is left of a file that is emptied; longer ones are not looked into, as there are many.
_BLANK_BYTES = 8
# So many files are written at once: a disk syncs several in hardly more time than one.
WRITERS = 8


class TextFiles:
    """`a.txt` beside `a.png`, or at the same place below another folder."""

    ending = ".txt"

    def __init__(
        self,
        folder: Folder,
        makes_folders: bool = False,
        ending: str | None = None,
        whole_names: bool = False,
    ):
        self._folder, self._makes_folders = folder, makes_folders
        self.ending, self._whole_names = ending or self.ending, whole_names
        self._last = ("", folder.check(folder.path))  # names come folder by folder

    def name(self, place: Place) -> str:
        """The path of the file below the folder."""
        return (place.whole if self._whole_names else place.stem) + self.ending

    def owns(self, name: str) -> bool:
        """Files with our ending."""
        return name.endswith(self.ending)

    def exists(self, name: str) -> bool:
        """Whether there is such a file; a link that leads nowhere is none, and a blank one."""
        real, file = self._real(name)
        try:
            # For every picture of a folder: a Path would take longer than the disk.
            facts = os.stat(f"{real}{os.sep}{file}")  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return False
        if facts.st_size > _BLANK_BYTES:
            return True
        content = self.content(name)
        return content is not None and not self.is_blank(content)

    def content(self, name: str) -> bytes | None:
        """The bytes of the file."""
        real, file = self._real(name)
        try:
            with self._folder.open_real(real) as folder:
                return _content(folder, file)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_blank(self, content: bytes) -> bool:
        """Nothing but spaces and line breaks."""
        return not content.removeprefix(codecs.BOM_UTF8).strip()

    def encode(self, place: Place, text: str, facts: dict[str, Any]) -> bytes:
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

    def write(self, records: Sequence[Record]) -> list[Exception | None]:
        """Each whole or not at all; their folders are synced together."""
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="qwen3vl-write") as pool:
            outcomes = list(pool.map(self._write, records))
        folders = [(self._folder.path / self.name(one.place)).parent for one in records]
        failed = sync_folders(folders)
        return [
            outcome or failed.get(folder) for outcome, folder in zip(outcomes, folders, strict=True)
        ]

    def _write(self, one: Record) -> Exception | None:
        name = self.name(one.place)
        try:
            real = self._checked(name, write=True)
            file = name.rpartition("/")[2]
            with self._folder.open_real(real, make=self._makes_folders) as folder:
                if _content(folder, file) != one.replaces:
                    return FileExistsError(f"{name} is there")
                write_in(folder, file, one.content, new=one.replaces is None)
        except (OSError, InputError) as error:
            return error
        return None

    def tidy(self, is_ours: Callable[[str, bytes], bool]) -> None:
        """Nothing is left over; `sweep` removes half-written files."""

    def _real(self, name: str) -> tuple[Path, str]:
        """The real path of the folder that a file lies in, and its own name."""
        folder, _, file = name.rpartition("/")
        last = self._last
        if folder != last[0]:
            last = self._last = (folder, self._checked(name))
        return last[1], file

    def _checked(self, name: str, write: bool = False) -> Path:
        # Only the folder is followed: a caption that is a link is replaced, not written through.
        return self._folder.check((self._folder.path / name).parent, write)


def _content(folder: OpenFolder, file: str) -> bytes | None:
    """What stands in a file of an open folder."""
    try:
        with folder.read(file, MAX_CAPTION_BYTES) as opened:
            return opened.read(MAX_CAPTION_BYTES)
    except FileNotFoundError:
        return None
    except NotOrdinaryError:  # never ours, and a link may lead to what nobody may read
        return NO_CAPTION if folder.leads_somewhere(file) else None
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        return NO_CAPTION


class JsonFiles(TextFiles):
    """`a.json` beside `a.png`: the caption and how it was made."""

    ending = ".json"

    def encode(self, place: Place, text: str, facts: dict[str, Any]) -> bytes:
        """One JSON object, `caption` and `file_name` first, readable by people too."""
        said = {"caption": text, "file_name": place.file} | facts
        return json_bytes(json.dumps(said, ensure_ascii=False, indent=2))

    def text(self, content: bytes) -> str:
        """The caption in it."""
        return caption_in(content)


# Makes the place for captions of a folder, whose folders inside it may make.
MakeStore = Callable[[Folder, bool], CaptionStore]
# Stored in workflows: append only.
CAPTION_FORMATS: dict[str, MakeStore] = {"txt": TextFiles, "json": JsonFiles, "jsonl": JsonLines}
# Of files of text, for trainers that look for others. What a browser or a shell would run when
# somebody opens it is not among them.
ENDINGS = (".txt", ".caption", ".tags", ".cap")


def store_maker(kind: str, ending: str = ENDINGS[0], naming: str = SHORT_NAMES) -> MakeStore:
    """What makes the places of a format, by the widgets that say how its files are called.

    Raises:
        InputError: an ending that this format does not have.
    """
    if kind != "txt" and ending != ENDINGS[0]:
        raise InputError(
            f"Captions in {kind} have no ending of their own, such as {ending}.",
            f"Choose the format txt, or the ending {ENDINGS[0]}.",
        )
    if ending not in ENDINGS:
        raise InputError(f"Captions do not end in {ending!r}.", f"Use one of {', '.join(ENDINGS)}.")
    if kind == "jsonl":  # one file for all, in which names cannot clash
        return JsonLines
    made = TextFiles if kind == "txt" else JsonFiles
    own = ending if kind == "txt" else None
    return partial(made, ending=own, whole_names=naming == WHOLE_NAMES)
