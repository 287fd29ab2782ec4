"""The files of one folder run: which captions are still to be made, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .allowed_folders import Folder
from .caption_journal_files import Entry, Journal, Mark
from .caption_slots import Recipe, Slot, clashing
from .caption_store_files import CaptionStore, Write, content_digest
from .caption_text import joined
from .errors import InputError
from .ledger import Ledger
from .picture_files import FileFacts
from .sidecar_files import now

# Stored in workflows: append only.
SKIP, OVERWRITE, APPEND = "skip existing", "overwrite own", "append to captions"
PREPEND, OVERWRITE_ALL = "prepend to captions", "overwrite all"
MODES = (SKIP, OVERWRITE, APPEND, PREPEND, OVERWRITE_ALL)
# After so many writes in a row that failed, the disk is to blame and not a caption.
HOPELESS = 20
CHANGED_MEANWHILE = "its caption was changed by others meanwhile"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A caption to be made, and what stood in its place when that was decided.

    `settled` is the picture's mark where all that speaks for a new caption is that the file's
    size or time changed: if its content is still the same, nothing is to be done.
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


@dataclass(slots=True)
class CaptionRun:
    """Decides about the pictures of `source`, and writes their captions into `store`.

    `mode` says what becomes of captions that are there: see MODES. Anything a person wrote or
    edited stays, but for the two modes that add to it and `overwrite all`.
    """

    source: Folder
    store: CaptionStore
    journal: Journal
    recipes: Sequence[Recipe]
    mode: str
    ledger: Ledger
    _failed_in_a_row: int = 0

    def decide(self, names: Sequence[str], on_picture: Callable[[], None]) -> list[Job]:
        """What is to be done, in order; all other pictures are entered in the ledger.

        Reads captions and the journal, and of pictures only their size and time. `on_picture`
        is called for each and may raise, to stop.
        """
        twins = clashing(names, [recipe.variant for recipe in self.recipes])
        jobs = []
        for name in names:
            on_picture()
            job = self._decide(name, name in twins)
            if job.wanted:
                jobs.append(job)
        return jobs

    def path(self, picture: str) -> Path:
        """The picture's real path.

        Raises:
            InputError: a link leads out of the folders that may be read.
        """
        return self.source.check(self.source.path / picture)

    def fail(self, picture: str, wanted: Sequence[Wanted], error: Exception) -> None:
        """Enter a failure of each of a picture's captions."""
        for one in wanted:
            self.ledger.add(Slot(picture, one.recipe.variant).label, "failed", str(error))

    def plan(self, picture: str, wanted: Wanted) -> None:
        """Enter, in a dry run, that a caption would be made."""
        self.ledger.add(self._slot(picture, wanted).label, "written")

    @property
    def hopeless(self) -> bool:
        """Whether captions can no longer be written at all."""
        return self._failed_in_a_row >= HOPELESS

    def settle(self, job: Job, read: FileFacts) -> tuple[list[Wanted], list[Done]]:
        """Of a picture that was read: the captions to ask for, and those to be had without."""
        ask, done = [], []
        for wanted in job.wanted:
            if wanted.settled is not None and wanted.settled.picture == read.digest:
                self.ledger.add(self._slot(job.picture, wanted).label, "skipped", "is up to date")
                self._remember_time(job.picture, wanted, read)
            elif known := self._made_before(job.picture, wanted, read):
                done.append(known)
            else:
                ask.append(wanted)
        return ask, done

    def write(self, captions: Sequence[Done]) -> None:
        """Write captions and enter them; a full disk or a read-only folder is a failure."""
        writes, entries, chosen = [], [], []
        for done in captions:
            slot = self._slot(done.picture, done.wanted)
            try:
                write, entry = self._prepared(done, slot)
            except (InputError, OSError) as error:
                self._enter(slot, done, error)
                continue
            if write is None:
                self.ledger.add(slot.label, "skipped", CHANGED_MEANWHILE)
                continue
            writes.append(write)
            entries.append(entry)
            chosen.append(done)
        try:
            self.journal.add(entries)
            outcomes = self.store.write(writes)
        except OSError as error:
            outcomes = [error] * len(writes)
        for write, done, outcome in zip(writes, chosen, outcomes, strict=True):
            self._enter(write.slot, done, outcome)

    def _decide(self, name: str, has_twin: bool) -> Job:
        wanted = []
        for recipe in self.recipes:
            slot = Slot(name, recipe.variant)
            try:
                if has_twin:
                    raise InputError(
                        "Another picture has the same name but for its ending.",
                        "Rename one of them.",
                    )
                self.path(name)
                one, reason = self._wanted(slot, recipe)
            except (InputError, OSError) as error:
                self.ledger.add(slot.label, "failed", str(error))
                continue
            if one is None:
                self.ledger.add(slot.label, "skipped", reason)
            else:
                wanted.append(one)
        return Job(name, tuple(wanted))

    def _wanted(self, slot: Slot, recipe: Recipe) -> tuple[Wanted | None, str]:
        """What to do about a caption, or why nothing."""
        name = self.store.name(slot)
        if self.mode == SKIP and not self.journal.knows(name):
            there = self.store.exists(name)
            return (None, "has a caption") if there else (Wanted(recipe), "")
        seen = content_digest(self.store.content(name))
        if seen is None:
            return Wanted(recipe), ""
        mark = self.journal.mark(name, seen)
        same_recipe = mark is not None and mark.recipe == recipe.id
        if mark is None or not (same_recipe or self.mode == SKIP):
            return self._of_another_making(Wanted(recipe, seen), mark)
        if mark.mixed and not same_recipe:
            return None, "has a caption"
        facts = self.path(slot.picture).stat()
        if (facts.st_size, facts.st_mtime_ns) == (mark.size, mark.mtime_ns):
            return None, "has a caption" if self.mode == SKIP else "is up to date"
        if mark.mixed:  # adding to it once more would say things twice
            return None, "its picture changed, and others' words are in its caption"
        return Wanted(recipe, seen, settled=mark), ""

    def _of_another_making(self, wanted: Wanted, mark: Mark | None) -> tuple[Wanted | None, str]:
        """About a caption that is not ours, or ours by another recipe."""
        if self.mode == SKIP:
            return None, "has a caption"
        if self.mode == OVERWRITE and (mark is None or mark.mixed):
            why = "its caption was written or edited by others, or by a run on another folder"
            return None, why
        return wanted, ""

    def _made_before(self, picture: str, wanted: Wanted, read: FileFacts) -> Done | None:
        """The caption of an equal picture, of the same making: a renamed or copied one's."""
        slot = self._slot(picture, wanted)
        for name, content in self.journal.made_alike(wanted.recipe.id, read.digest):
            if name == self.store.name(slot) or not self.store.owns(name):
                continue
            there = self.store.content(name)
            if there is None or content_digest(there) != content:
                continue
            if wanted.recipe.wording.names_class and _folder(name) != _folder(slot.stem):
                continue
            text = self.store.text(there)
            return Done(picture, wanted, read, text, f"as {name} was, of the same picture")
        return None

    def _prepared(self, done: Done, slot: Slot) -> tuple[Write | None, Entry]:
        """The write and its journal entry; no write where something else stands there by now."""
        name = self.store.name(slot)
        there = self.store.content(name)
        text, mixed = done.text, False
        if self.mode in (APPEND, PREPEND) and there is not None:
            text, mixed = self._added_to(self.store.text(there), text, done.wanted), True
        facts = {**done.wanted.recipe.facts, **done.facts, "time": now()}
        content = self.store.encode(slot, text, facts)
        read = done.read
        mark = Mark(done.wanted.recipe.id, read.digest, read.size, read.mtime_ns, mixed)
        entry = Entry(name, content_digest(content) or b"", mark)
        if not mixed and content_digest(there) != done.wanted.seen:
            return None, entry
        return Write(slot, content, new=there is None), entry

    def _added_to(self, before: str, text: str, wanted: Wanted) -> str:
        wording = wanted.recipe.wording
        if self.mode == APPEND:
            return joined(before, text, True, wording.prefix)
        return joined(text, before, False, wording.suffix)

    def _remember_time(self, picture: str, wanted: Wanted, read: FileFacts) -> None:
        """So that the next run need not read the picture to know that it is the same."""
        if wanted.seen is None or wanted.settled is None or self.ledger.dry_run:
            return
        mark = replace(wanted.settled, size=read.size, mtime_ns=read.mtime_ns)
        name = self.store.name(self._slot(picture, wanted))
        try:
            self.journal.add([Entry(name, wanted.seen, mark)])
        except OSError:  # a disk without room: then it is read once more
            return

    def _enter(self, slot: Slot, done: Done, outcome: Exception | None) -> None:
        if isinstance(outcome, FileExistsError):
            self.ledger.add(slot.label, "skipped", CHANGED_MEANWHILE)
        elif outcome is not None:
            self._failed_in_a_row += 1
            remedy = "Make room, allow writing there, or shorten the name."
            detail = f"The caption was not written: {outcome}. {remedy}"
            self.ledger.add(slot.label, "failed", detail)
        else:
            self._failed_in_a_row = 0
            self.ledger.add(slot.label, "written", done.note)

    @staticmethod
    def _slot(picture: str, wanted: Wanted) -> Slot:
        return Slot(picture, wanted.recipe.variant)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
