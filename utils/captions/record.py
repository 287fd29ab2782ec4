"""The one record of a caption in a folder run: each step adds what it has found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Qwen3VLError
from ..files.fingerprint import FileFacts
from .journal import Mark
from .place import Place
from .recipe import Recipe

if TYPE_CHECKING:
    from ..chat.requests import Reply


@dataclass(slots=True)
class Question:
    """One request of a caption: its only one, or that of one part of its file, such as a page.

    `reseeded` and `halved` count how often it was asked again, with another seed and with half
    the pixels; `outcome` is what came of it in the end.
    """

    part: int
    seed: int = 0
    reseeded: int = 0
    halved: int = 0
    outcome: Reply | Qwen3VLError | None = None


@dataclass(slots=True)
class Record:
    """One caption on its way from the decision to the ledger, where it ends.

    Decided: `seen` is the digest of what stood at the place then, None for nothing. `settled`
    is the mark of a caption of ours where all that speaks for a new one is that its file's
    stamp changed: if the content is still the same, nothing is to be done.
    Read: `read`, the facts of the file. Asked: `questions`.
    Answered: `text`, the caption whole; `note`, a word on it for the ledger; `told`, facts
    beside the recipe's.
    Composed: `content`, the bytes to write, which may replace `replaces`; None: only where
    nothing is.
    """

    place: Place
    recipe: Recipe
    seen: bytes | None = None
    settled: Mark | None = None
    read: FileFacts | None = None
    questions: list[Question] | tuple[()] = ()
    text: str = ""
    note: str = ""
    told: Mapping[str, Any] | None = None
    content: bytes = b""
    replaces: bytes | None = None

    def facts(self) -> FileFacts:
        """The facts of the file.

        Raises:
            RuntimeError: it has not been read, which is a mistake in the order of steps.
        """
        if self.read is None:
            raise RuntimeError(f"{self.place.file} has not been read")
        return self.read

    def forget(self) -> None:
        """Let go of what a ledger does not need; a run has a hundred thousand of these."""
        self.text, self.content, self.replaces = "", b"", None
        self.questions, self.told = (), None
