"""The sorts of files that a folder run captions: which, how one is read, what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..captions.recipe import Recipe
from ..chat.requests import Reply, Request
from ..errors import InputError, Qwen3VLError
from ..files.fingerprint import FileFacts
from ..files.read_ahead import READ_AHEAD
from ..roots.allowed_folders import FolderFile


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What captions are made of: a file as it was read.

    Args:
        media: what was read, as the kinds of captions of its medium understand it.
        facts: those of the file.
        parts: how many requests each of its captions takes, such as one for every page.
        note: a word on it for the ledger.
        close: called when all of them have been asked.
    """

    media: Any
    facts: FileFacts
    parts: int = 1
    note: str = ""
    close: Callable[[], None] = lambda: None


class Kind(Protocol):
    """One kind of captions of a medium: what is asked, and what becomes of the answers."""

    @property
    def recipe(self) -> Recipe:
        """What tells its captions from others."""
        ...

    def request(self, media: Any, part: int, seed: int, halvings: int) -> Request:
        """The request for a part (from 0) of a subject; with half its pixels for each halving.

        Called in the run's own thread, a little before the answer is needed.
        """
        ...

    def seed_for(self, digest: bytes, attempt: int) -> int:
        """The seed of a file of this content; another one for every attempt."""
        ...

    def misfit(self, answer: str) -> InputError | None:
        """Why the answer about a part is not what was asked for; it is then asked once more."""
        ...

    def answer(self, outcomes: Sequence[Reply | Qwen3VLError]) -> str:
        """The text of a caption from what came of its parts, in order.

        Raises:
            Qwen3VLError: there is none, as a part has no good answer.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """One sort of files.

    Args:
        noun: what a message calls one of them, such as "picture".
        endings: of the names of these files, small letters with a dot.
        read: reads one file, in a thread, through its `open`; raises InputError for one that
            cannot be read.
        kinds: what is asked, by the variant of the captions.
        ahead: so many files are read before they are needed.
    """

    noun: str
    endings: tuple[str, ...]
    read: Callable[[FolderFile], Subject]
    kinds: Mapping[str, Kind]
    ahead: int = READ_AHEAD

    @property
    def recipes(self) -> list[Recipe]:
        """Those of its captions."""
        return [kind.recipe for kind in self.kinds.values()]


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """All the sorts of files of a run; no two of them share an ending."""

    sorts: tuple[Medium, ...]

    @property
    def endings(self) -> tuple[str, ...]:
        """Of the files that are meant."""
        return tuple(ending for sort in self.sorts for ending in sort.endings)

    @property
    def nouns(self) -> str:
        """What a message calls the files, such as "picture or film"."""
        return " or ".join(sort.noun for sort in self.sorts)

    @property
    def ahead(self) -> int:
        """How many files of any sort are read before they are needed."""
        return min(sort.ahead for sort in self.sorts)

    def of(self, file: str) -> Medium:
        """The sort that a file is of, by its ending.

        Raises:
            InputError: none of them.
        """
        name = file.lower()
        for sort in self.sorts:
            if name.endswith(sort.endings):
                return sort
        raise InputError(f"{file} is no {self.nouns}.", "Rename it, or leave it out.")

    def recipes(self, file: str) -> list[Recipe]:
        """How the captions of a file are made."""
        return self.of(file).recipes
