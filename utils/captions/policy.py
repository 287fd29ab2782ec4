"""Decides which captions are still to be made: what the modes mean for what is there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..files.fingerprint import digest, file_stamp
from ..roots.allowed_folders import Folder
from .journal import Journal, Mark
from .record import Record
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
    `overwrite all`. A caption of ours whose file has changed is made again in every mode.
    """

    source: Folder
    store: CaptionStore
    journal: Journal
    mode: str

    def why_not(self, record: Record) -> str:
        """Why nothing is to be done about a caption; "" where it is wanted.

        The record then knows what stands at its place, and whether that may be settled by a
        look into its file.
        """
        name = self.store.name(record.place)
        if self.mode == SKIP and not self.journal.knows(name):
            return "has a caption" if self.store.exists(name) else ""
        there = self.store.content(name)
        if there is None or self.store.is_blank(there):
            return ""
        record.seen = digest(there)
        mark = self.journal.mark(name, record.seen)
        same_recipe = mark is not None and record.recipe.made(mark)
        if mark is None or not (same_recipe or self.mode == SKIP):
            return self._of_another_making(mark, there)
        facts = os.stat(os.path.join(self.source.path, record.place.file))  # noqa: PTH116, PTH118 - fast
        if file_stamp(facts) == mark.stamp:
            return "has a caption" if self.mode == SKIP else "is up to date"
        if mark.mixed:  # adding to it once more would say things twice
            return "its picture changed, and others' words are in its caption"
        record.settled = mark
        return ""

    def _of_another_making(self, mark: Mark | None, there: bytes) -> str:
        """About a caption that is not ours, or ours by another recipe."""
        if self.mode == SKIP:
            return "has a caption"
        if self.mode == OVERWRITE and (mark is None or mark.mixed):
            return "its caption was written or edited by others, or by a run on another folder"
        if self.mode in ADDING:
            self.store.text(there)  # raises before a model is asked
        return ""
