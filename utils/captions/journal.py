"""The journal beside the captions: which of them this pack wrote, and from what."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..files.append_lines import append_whole, end_last_line
from ..files.atomic_write import write_in
from ..files.fingerprint import DIGEST_BYTES
from ..roots.allowed_folders import Folder

JOURNAL_NAME = ".qwen3vl.jsonl"
# A journal with so many lines that say nothing any more is written anew.
_STALE_LINES = 1_000
# Of some million captions; who has more begins a new folder.
_MOST_BYTES = 2 * 1024**3
# What a line that is not ours may do to who reads it: [[[[..., 1e999, a number, no such key.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


# A digest in hex has 32.
MOST_MAKING = 64


@dataclass(frozen=True, slots=True)
class Mark:
    """What a caption of ours was made from.

    Digests of its recipe (see `Recipe`) and of the picture file, the file's stamp by which an
    unchanged one is known without reading it, and whether somebody else's words are
    in the caption too, so that it is not ours to overwrite. `making` is the recipe's, of the
    model's files; "" in the lines of older releases.
    """

    recipe: bytes
    picture: bytes
    stamp: str
    mixed: bool = False
    making: str = ""


# One line: the caption's name, the digest of its content, and its mark.
JournalLine = tuple[str, bytes, Mark]


class Journal:
    """Remembers marks by caption and content: a caption that was edited since is not ours.

    The file has one JSON line for each caption written, and grows by lines alone. In memory is
    what earlier runs wrote; a run meets each caption once and need not remember its own.
    """

    def __init__(self, folder: Folder):
        self._folder = folder
        self._adding = threading.Lock()  # or one thread takes back what another one appended
        self._marks: dict[tuple[str, bytes], Mark] = {}
        self._by_making: dict[tuple[bytes, bytes], list[tuple[str, bytes]]] = {}
        self._captions: set[str] = set()
        recipes: dict[bytes, bytes] = {}  # one object for each, not one for each line
        makings: dict[str, str] = {}
        lines = 0
        for caption, content, said in self._read():
            lines += 1
            recipe = recipes.setdefault(said.recipe, said.recipe)
            making = makings.setdefault(said.making, said.making)
            mark = Mark(recipe, said.picture, said.stamp, said.mixed, making)
            key = (caption, content)
            self._marks[key] = mark
            self._captions.add(caption)
            if not mark.mixed:
                self._by_making.setdefault((recipe, mark.picture), []).append(key)
        self._stale = lines - len(self._marks)

    def _read(self) -> Iterator[JournalLine]:
        try:
            with self._folder.open_real() as folder:
                file = folder.read(JOURNAL_NAME, _MOST_BYTES)
        except FileNotFoundError:
            return
        with file:
            for line in file:
                # A killed run may leave its last line cut off: that caption counts as not ours.
                with contextlib.suppress(*_UNREADABLE):
                    yield _read_line(json.loads(line))

    def knows(self, caption: str) -> bool:
        """Whether this pack ever wrote a caption of this name."""
        return caption in self._captions

    def mark(self, caption: str, content: bytes) -> Mark | None:
        """What a caption with content of this digest was made from; None: it is not ours."""
        return self._marks.get((caption, content))

    def made_alike(self, recipe: bytes, picture: bytes) -> list[tuple[str, bytes]]:
        """(caption, digest of its content) of those made from this picture by this recipe."""
        return self._by_making.get((recipe, picture), [])

    def add(self, lines: Iterable[JournalLine]) -> None:
        """Remember captions, on disk; to be called before they are written.

        In this order a crash between the two leaves a line for a text that is nowhere, which
        harms nobody; the other way round it would leave a caption that nobody owns.

        Raises:
            OSError: nothing was remembered.
        """
        data = "".join(map(_written, lines)).encode()
        if data:
            with self._adding, self._folder.open_real() as folder:
                append_whole(folder, JOURNAL_NAME, data)

    def tidy(self) -> None:
        """Before a run: end a line that was cut off, and leave out what later lines repeat."""
        try:
            opened = self._folder.open_real()
        except FileNotFoundError:
            return
        with opened as folder:
            end_last_line(folder, JOURNAL_NAME)
            if self._stale > max(_STALE_LINES, len(self._marks)):
                lines = [_written((*key, mark)) for key, mark in self._marks.items()]
                write_in(folder, JOURNAL_NAME, "".join(lines).encode())
                self._stale = 0


def _written(line: JournalLine) -> str:
    caption, content, mark = line
    said = {
        "caption": caption,
        "content": content.hex(),
        "recipe": mark.recipe.hex(),
        "picture": mark.picture.hex(),
        "stamp": mark.stamp,
    }
    # In ASCII: a name in another encoding than UTF-8 cannot be written otherwise.
    said |= {"making": mark.making} if mark.making else {}
    return json.dumps(said | ({"mixed": True} if mark.mixed else {})) + "\n"


def _read_line(said: dict) -> JournalLine:
    content, recipe, picture = (bytes.fromhex(said[k]) for k in ("content", "recipe", "picture"))
    if {len(content), len(recipe), len(picture)} != {DIGEST_BYTES}:
        raise ValueError("a digest of another length")
    making = str(said.get("making", ""))[:MOST_MAKING]
    mark = Mark(recipe, picture, str(said["stamp"]), bool(said.get("mixed")), making)
    return str(said["caption"]), content, mark
