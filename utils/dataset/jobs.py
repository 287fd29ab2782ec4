"""What a folder run hands on: captions that are wanted, and captions that are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..captions.journal import Mark
from ..captions.recipe import Recipe
from ..files.picture_reader import FileFacts


@dataclass(frozen=True, slots=True)
class Wanted:
    """A caption to be made, and what stood in its place when that was decided.

    `settled` is the picture's mark where all that speaks for a new caption is that the file's
    stamp changed: if its content is still the same, nothing is to be done.
    """

    recipe: Recipe
    seen: bytes | None = None
    settled: Mark | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A picture with the captions that it lacks."""

    picture: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A caption to be written, whole; a word on it, and facts beside its recipe's."""

    picture: str
    wanted: Wanted
    read: FileFacts
    text: str
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
