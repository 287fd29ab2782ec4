"""What every place for captions offers, whatever a caption looks like there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError
from ..files.fingerprint import digest
from .recipe import Slot

# Stands for the content of what is no caption; in no caption of ours.
NO_CAPTION = b"\0"
# Maps a place of a caption to the same one with its links followed, once it may be written there.
Checked = Callable[[Path], Path]


@dataclass(frozen=True, slots=True)
class Write:
    """A caption to be written, and what it replaces; None where it may only go where nothing is."""

    slot: Slot
    content: bytes
    replaces: bytes | None


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
        """The caption in a content.

        Raises:
            InputError: it cannot be told, so nothing may be made of it.
        """
        ...

    def write(self, writes: Sequence[Write]) -> list[Exception | None]:
        """Write several, and say of each whether it went wrong.

        FileExistsError says that something else stands there than what is to be replaced.
        """
        ...

    def tidy(self, is_ours: Callable[[str, bytes], bool]) -> None:
        """Put in order what earlier writes left; only for who holds the folder's lock.

        `is_ours` says of a name and a content there whether this pack wrote it.
        """
        ...


def json_bytes(text: str) -> bytes:
    """JSON and a line break; half a character, as in a broken name, becomes a JSON escape."""
    return text.encode("utf-8", "backslashreplace") + b"\n"


def caption_in(content: bytes) -> str:
    """The caption in an object of JSON.

    Raises:
        InputError: there is none.
    """
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        return str(json.loads(content)["caption"])
    raise InputError("Its caption is no JSON of this node.", "Choose another mode.")


def content_digest(content: bytes | None) -> bytes | None:
    """The digest by which the journal knows a content; None for none."""
    return None if content is None else digest(content)
