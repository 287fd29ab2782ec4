"""Places for captions: each picture has one for every kind of caption that is wanted."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..files.fingerprint import digest_of
from .wording import Wording


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of caption is made: equal recipes and pictures make equal captions.

    `variant` is "" for the first kind and a short name for each further one, such as `tags`.
    `facts` are what a caption in JSON tells of its making: model, preset, prompt, options, seed.
    `id` is a digest of all of it, which journals hold: it stays what it was when code changes.
    """

    variant: str
    wording: Wording
    facts: Mapping[str, Any]
    id: bytes = field(init=False)

    def __post_init__(self):
        facts = json.dumps(dict(self.facts), sort_keys=True, default=str)
        object.__setattr__(self, "id", digest_of(self.variant, facts, self.wording.identity))


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one caption: the picture's name (path below its folder) and the variant."""

    picture: str
    variant: str = ""

    @property
    def stem(self) -> str:
        """The caption's name without its ending: `sub/a` of `sub/a.png`, or `sub/a.tags`."""
        stem = self.picture.rpartition(".")[0]
        return f"{stem}.{self.variant}" if self.variant else stem

    @property
    def label(self) -> str:
        """What the ledger calls it."""
        return f"{self.picture} [{self.variant}]" if self.variant else self.picture


def clashing(
    pictures: Iterable[str],
    variants: Sequence[str],
    name: Callable[[Slot], str] = lambda slot: slot.stem,
) -> set[str]:
    """Pictures that would share a caption with another, such as a.jpg and a.png.

    `name` gives the place of a caption. Capitals do not tell files apart on Windows and macOS,
    nor does the way an accent is coded on macOS, so they do not here.
    """
    pictures = list(pictures)

    def places(picture: str) -> list[str]:
        return [_folded(name(Slot(picture, variant))) for variant in variants]

    times = Counter(place for picture in pictures for place in places(picture))
    if len(times) == len(pictures) * len(variants):
        return set()
    return {p for p in pictures if any(times[place] > 1 for place in places(p))}


def _folded(name: str) -> str:
    folded = name.casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)
