"""Places for captions: each picture has one for every kind of caption that is wanted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .caption_text import Wording
from .digests import digest_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of caption is made: equal recipes and pictures make equal captions.

    `variant` is "" for the first kind and a short name for each further one, such as `tags`.
    `facts` are what a caption in JSON tells of its making: model, preset, prompt, options, seed.
    """

    variant: str
    wording: Wording
    facts: Mapping[str, Any]

    @property
    def id(self) -> bytes:
        """A digest of all of it."""
        facts = json.dumps(dict(self.facts), sort_keys=True, default=str)
        return digest_of(self.variant, facts, repr(self.wording))


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


def clashing(pictures: Iterable[str], variants: Sequence[str]) -> set[str]:
    """Pictures that would share a caption file with another, such as a.jpg and a.png.

    Capitals do not tell files apart on Windows and macOS, so they do not here.
    """
    pictures = list(pictures)
    stems = Counter(
        Slot(picture, variant).stem.casefold() for picture in pictures for variant in variants
    )
    if len(stems) == len(pictures) * len(variants):
        return set()
    return {
        picture
        for picture in pictures
        if any(stems[Slot(picture, variant).stem.casefold()] > 1 for variant in variants)
    }
