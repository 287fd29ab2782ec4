"""Decides which captions are still to be made: what the modes mean for what is there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..dataset.jobs import Wanted
from ..files.allowed_folders import Folder
from ..files.fingerprint import digest, file_stamp
from .journal import Journal, Mark
from .recipe import Recipe, Slot
from .store import CaptionStore

# Stored in workflows: append only.
SKIP, OVERWRITE, APPEND = "skip existing", "overwrite own", "append to captions"
PREPEND, OVERWRITE_ALL = "prepend to captions", "overwrite all"
MODES = (SKIP, OVERWRITE, APPEND, PREPEND, OVERWRITE_ALL)
# These keep what is there, and add to it.
ADDING = (APPEND, PREPEND)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about the captions that stand in `store`, by `mode`.

    Anything a person wrote or edited stays, but for the two modes that add to it and
    `overwrite all`. A caption of ours whose picture has changed is made again in every mode.
    """

    source: Folder
    store: CaptionStore
    journal: Journal
    mode: str

    def wanted(self, slot: Slot, recipe: Recipe) -> tuple[Wanted | None, str]:
        """What to do about a caption, or why nothing."""
        name = self.store.name(slot)
        if self.mode == SKIP and not self.journal.knows(name):
            there = self.store.exists(name)
            return (None, "has a caption") if there else (Wanted(recipe), "")
        there = self.store.content(name)
        if there is None:
            return Wanted(recipe), ""
        seen = digest(there)
        mark = self.journal.mark(name, seen)
        same_recipe = mark is not None and mark.recipe == recipe.id
        if mark is None or not (same_recipe or self.mode == SKIP):
            return self._of_another_making(Wanted(recipe, seen), mark, there)
        facts = os.stat(os.path.join(self.source.path, slot.picture))  # noqa: PTH116, PTH118 - fast
        if file_stamp(facts) == mark.stamp:
            return None, "has a caption" if self.mode == SKIP else "is up to date"
        if mark.mixed:  # adding to it once more would say things twice
            return None, "its picture changed, and others' words are in its caption"
        return Wanted(recipe, seen, settled=mark), ""

    def _of_another_making(
        self, wanted: Wanted, mark: Mark | None, there: bytes
    ) -> tuple[Wanted | None, str]:
        """About a caption that is not ours, or ours by another recipe."""
        if self.mode == SKIP:
            return None, "has a caption"
        if self.mode == OVERWRITE and (mark is None or mark.mixed):
            why = "its caption was written or edited by others, or by a run on another folder"
            return None, why
        if self.mode in ADDING:
            self.store.text(there)  # raises before a model is asked
        return wanted, ""
