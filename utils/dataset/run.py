"""The files of one folder run: which captions are still to be made, and writing them."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ..captions.journal import Entry, Journal, Mark
from ..captions.ledger import Ledger
from ..captions.policy import ADDING, APPEND, Decision
from ..captions.recipe import Recipe, Slot, clashing
from ..captions.store import CaptionStore, Write, content_digest
from ..captions.wording import joined
from ..errors import InputError
from ..files.allowed_folders import Folder
from ..files.atomic_write import now
from ..files.fingerprint import digest
from ..files.picture_reader import FileFacts
from .jobs import Done, Job, Wanted

# After so many writes in a row that failed for want of a disk that takes them, none will succeed.
HOPELESS = 20
_DISK_ENDS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
CHANGED_MEANWHILE = "its caption was changed by others meanwhile"
ADDED_BEFORE = "its caption has these words already"
# So many notes that a picture is only newer than its caption are kept together.
_NOTES_TOGETHER = 256


@dataclass(slots=True)
class CaptionRun:
    """Decides about the pictures of `source`, and writes their captions into `store`.

    `mode` says what becomes of captions that are there: see `Decision`.
    """

    source: Folder
    store: CaptionStore
    journal: Journal
    recipes: Sequence[Recipe]
    mode: str
    ledger: Ledger
    _failed_in_a_row: int = 0
    _notes: list[Entry] = field(default_factory=list)

    def decide(self, names: Sequence[str], on_picture: Callable[[], None]) -> list[Job]:
        """What is to be done, in order; all other pictures are entered in the ledger.

        Reads captions and the journal, and of pictures only their stamp. `on_picture`
        is called for each and may raise, to stop.
        """
        variants = [recipe.variant for recipe in self.recipes]
        twins = clashing(names, variants, self.store.name)
        jobs = []
        for name in names:
            on_picture()
            job = self.decide_one(name, self.recipes, name in twins)
            if job.wanted:
                jobs.append(job)
        return jobs

    def decide_one(self, name: str, recipes: Sequence[Recipe], has_twin: bool) -> Job:
        """Which of the captions by these recipes one picture lacks; the ledger has the others.

        `has_twin` says whether another picture of the folder would have the same captions.
        """
        decision = Decision(self.source, self.store, self.journal, self.mode)
        wanted = []
        for recipe in recipes:
            slot = Slot(name, recipe.variant)
            try:
                if has_twin:
                    raise InputError(
                        "Another picture has the same name but for its ending.",
                        "Rename one of them.",
                    )
                self.path(name)
                one, reason = decision.wanted(slot, recipe)
            except (InputError, OSError) as error:
                self.ledger.add(slot.label, "failed", _said(error))
                continue
            if one is None:
                self.ledger.add(slot.label, "skipped", reason)
            else:
                wanted.append(one)
        return Job(name, tuple(wanted))

    def begin(self) -> None:
        """Put in order what a killed run left; to be called before anything is decided.

        Raises:
            OSError: the files cannot be written.
        """
        self.journal.tidy()
        self.store.tidy(self._is_ours)

    def end(self) -> None:
        """Put in order what this run leaves.

        Raises:
            OSError: the files cannot be written.
        """
        self._keep_notes()
        self.store.tidy(self._is_ours)

    def _is_ours(self, name: str, content: bytes) -> bool:
        return self.journal.mark(name, digest(content)) is not None

    def path(self, picture: str) -> Path:
        """The picture's real path.

        Raises:
            InputError: a link leads out of the folders that may be read.
        """
        return self.source.check(self.source.path / picture)

    def folder_name(self, picture: str) -> str:
        """The name of the folder that the picture lies in, by which kohya's class is told."""
        return PurePosixPath(picture).parent.name or self.source.path.name

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
                self._note_time(job.picture, wanted, read)
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
            entries.append(entry)
            if write is None:
                self.ledger.add(slot.label, "skipped", ADDED_BEFORE)
                continue
            writes.append(write)
            chosen.append(done)
        try:
            self.journal.add(entries)
            outcomes = self.store.write(writes) if writes else []
        except OSError as error:
            outcomes = [error] * len(writes)
        for write, done, outcome in zip(writes, chosen, outcomes, strict=True):
            self._enter(write.slot, done, outcome)

    def _made_before(self, picture: str, wanted: Wanted, read: FileFacts) -> Done | None:
        """The caption of an equal picture, of the same making: a renamed or copied one's."""
        own = self.store.name(self._slot(picture, wanted))
        by_class = wanted.recipe.wording.names_class
        for name, content in self.journal.made_alike(wanted.recipe.id, read.digest):
            if name == own or not self.store.owns(name):
                continue
            if by_class and _folder(name) != _folder(own):
                continue
            # The name is a line's of a file: it may lead anywhere, and by now to anything.
            with contextlib.suppress(OSError, ValueError, InputError):
                there = self.store.content(name)
                if there is not None and digest(there) == content:
                    text = self.store.text(there)
                    return Done(picture, wanted, read, text, f"as {name} was, of the same picture")
        return None

    def _prepared(self, done: Done, slot: Slot) -> tuple[Write | None, Entry]:
        """The write and its journal entry; no write where what is to be added is there already.

        Raises:
            FileExistsError: something else stands there by now.
        """
        wanted, read = done.wanted, done.read
        name = self.store.name(slot)
        there = self.store.content(name)
        if content_digest(there) != wanted.seen:
            raise FileExistsError(name)
        # A caption of ours, of this very recipe, is replaced when its picture has changed.
        mixed = self.mode in ADDING and there is not None and wanted.settled is None
        mark = Mark(wanted.recipe.id, read.digest, read.stamp, mixed)
        text = done.text
        if mixed and there is not None:
            before = self.store.text(there)
            if text.strip() in before:  # a run on another folder, or one before it was edited
                return None, Entry(name, digest(there), mark)
            text = self._added_to(before, text, wanted)
        facts = {**wanted.recipe.facts, **done.facts, "time": now()}
        content = self.store.encode(slot, text, facts)
        return Write(slot, content, there), Entry(name, digest(content), mark)

    def _added_to(self, before: str, text: str, wanted: Wanted) -> str:
        wording = wanted.recipe.wording
        if self.mode == APPEND:
            return joined(before, text, True, wording.prefix)
        return joined(text, before, False, wording.suffix)

    def _note_time(self, picture: str, wanted: Wanted, read: FileFacts) -> None:
        """So that the next run need not read the picture to know that it is the same."""
        if wanted.seen is None or wanted.settled is None or self.ledger.dry_run:
            return
        mark = replace(wanted.settled, stamp=read.stamp)
        name = self.store.name(self._slot(picture, wanted))
        self._notes.append(Entry(name, wanted.seen, mark))
        if len(self._notes) >= _NOTES_TOGETHER:
            self._keep_notes()

    def _keep_notes(self) -> None:
        notes, self._notes = self._notes, []
        with contextlib.suppress(OSError):  # a disk without room: then they are read once more
            self.journal.add(notes)

    def _enter(self, slot: Slot, done: Done, outcome: Exception | None) -> None:
        if isinstance(outcome, FileExistsError):
            self.ledger.add(slot.label, "skipped", CHANGED_MEANWHILE)
        elif isinstance(outcome, InputError):
            self.ledger.add(slot.label, "failed", str(outcome))
        elif outcome is not None:
            # A folder that may not be written to is no reason to give up the others.
            self._failed_in_a_row += getattr(outcome, "errno", None) in _DISK_ENDS
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


def _said(error: InputError | OSError) -> str:
    if isinstance(error, InputError):
        return str(error)
    reason = error.strerror or str(error)
    return f"It or its caption cannot be looked at ({reason}). Allow reading both."
