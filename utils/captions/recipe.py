"""Recipes: what makes a caption what it is, and the digest that journals know it by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files.fingerprint import digest_of
from .journal import Mark
from .wording import Wording


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of caption is made: equal recipes and pictures make equal captions.

    `variant` is "" for the first kind and a short name for each further one, such as `tags`.
    `facts` are what a caption in JSON tells of its making: model, preset, prompt, options, seed.
    `id` is a digest of all of it, which journals hold: it stays what it was when code changes.
    `making` is a digest of what only newer journals hold: the model's files, its dtype and so
    on; "" where nobody knows.
    """

    variant: str
    wording: Wording
    facts: Mapping[str, Any]
    making: str = ""
    id: bytes = field(init=False)

    def __post_init__(self):
        facts = json.dumps(dict(self.facts), sort_keys=True, default=str)
        object.__setattr__(self, "id", digest_of(self.variant, facts, self.wording.identity))

    def made(self, mark: Mark) -> bool:
        """Whether a mark is of a caption made by this recipe.

        A mark that does not say which model files made it, as older releases wrote them, is
        judged by what it says; so is every mark where the files are not known now.
        """
        return mark.recipe == self.id and (
            not self.making or not mark.making or mark.making == self.making
        )
