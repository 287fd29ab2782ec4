"""What every place for captions offers, whatever a caption looks like there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import InputError
from ..files.fingerprint import digest
from .place import Place
from .record import Record

# Stands for the content of what is no caption; in no caption of ours.
NO_CAPTION = b"\0"


class CaptionStore(Protocol):
    """What every kind of place offers; names are the journal's."""

    def name(self, place: Place) -> str:
        """The caption's name in the journal."""
        ...

    def owns(self, name: str) -> bool:
        """Whether a name of the journal, which runs in other formats write too, is of this kind."""
        ...

    def exists(self, name: str) -> bool:
        """Whether a caption, or what is none, stands at a name; what is blank does not count."""
        ...

    def content(self, name: str) -> bytes | None:
        """What stands at a name; None where nothing does."""
        ...

    def is_blank(self, content: bytes) -> bool:
        """Whether there is nothing in a content that could be lost."""
        ...

    def encode(self, place: Place, text: str, facts: dict[str, Any]) -> bytes:
        """The content for a caption, with the facts of its making where there is room for them."""
        ...

    def text(self, content: bytes) -> str:
        """The caption in a content.

        Raises:
            InputError: it cannot be told, so nothing may be made of it.
        """
        ...

    def write(self, records: Sequence[Record]) -> list[Exception | None]:
        """Write the contents of several, and say of each whether it went wrong.

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
