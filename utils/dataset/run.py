"""The files of one folder run: which captions are still to be made, and writing them."""

from __future__ import annotations

import contextlib
import errno
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ..captions.compose import compose, made_before
from ..captions.journal import Journal, Mark
from ..captions.ledger import Ledger, State
from ..captions.place import WHOLE_NAMES, Place, clashing
from ..captions.policy import Decision
from ..captions.recipe import Recipe
from ..captions.record import Record
from ..captions.store import CaptionStore
from ..errors import InputError
from ..files.fingerprint import FileFacts, digest
from ..roots.allowed_folders import Folder, FolderFile

# After so many writes in a row that failed for want of a disk that takes them, none will succeed.
HOPELESS = 20
_DISK_ENDS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
# So many of the captions written last can be shown.
NEWEST = 20
CHANGED_MEANWHILE = "its caption was changed by others meanwhile"
ADDED_BEFORE = "its caption has these words already"
# So many notes that a file is only newer than its caption are kept together.
_NOTES_TOGETHER = 256


@dataclass(slots=True)
class CaptionRun:
    """Decides about the files of `source`, and writes their captions into `store`.

    `mode` says what becomes of captions that are there: see `Decision`. `newest` has whose captions
    were written last, and their texts.
    """

    source: Folder
    store: CaptionStore
    journal: Journal
    mode: str
    ledger: Ledger
    newest: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _failed_in_a_row: int = 0
    _notes: list[tuple[str, bytes, Mark]] = field(default_factory=list)

    def decide(
        self,
        names: Sequence[str],
        recipes: Callable[[str], Sequence[Recipe]],
        on_file: Callable[[], None],
    ) -> list[Record]:
        """The captions that are to be made, in order; all others are entered in the ledger.

        Reads captions and the journal, and of the files only their stamp. `recipes` says how
        the captions of a file are made; `on_file` is called for each and may raise, to stop.
        """
        places = (Place(name, one.variant) for name in names for one in recipes(name))
        twins = clashing(places, self.store.name)
        wanted = []
        for name in names:
            on_file()
            for recipe in recipes(name):
                record = Record(Place(name, recipe.variant), recipe)
                if self.decide_one(record, name in twins):
                    wanted.append(record)
        return wanted

    def decide_one(self, record: Record, has_twin: bool) -> bool:
        """Whether one caption is to be made; if not, it is in the ledger.

        `has_twin` says whether another file of the folder would have the same caption.
        """
        decision = Decision(self.source, self.store, self.journal, self.mode)
        try:
            if has_twin:
                raise InputError(
                    "Another file has the same name but for its ending.",
                    f"Rename one of them, or choose {WHOLE_NAMES} as naming.",
                )
            self.file(record.place.file).path()
            reason = decision.why_not(record)
        except (InputError, OSError) as error:
            self.ledger.add(record.place.label, "failed", _said(error))
            return False
        if reason:
            self.ledger.add(record.place.label, "skipped", reason)
        return not reason

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

    def file(self, file: str) -> FolderFile:
        """One file of the folder, to be opened."""
        return FolderFile(self.source, file)

    def folder_name(self, file: str) -> str:
        """The name of the folder that the file lies in, by which kohya's class is told."""
        return PurePosixPath(file).parent.name or self.source.path.name

    def fail(self, records: Sequence[Record], error: Exception) -> None:
        """Enter the failure of captions."""
        for record in records:
            self._end(record, "failed", str(error))

    def would_write(self, record: Record) -> None:
        """Enter, in a dry run, that a caption would be made."""
        self._end(record, "written")

    def _end(self, record: Record, state: State, detail: str = "") -> None:
        self.ledger.add(record.place.label, state, detail)
        record.forget()

    @property
    def hopeless(self) -> bool:
        """Whether captions can no longer be written at all."""
        return self._failed_in_a_row >= HOPELESS

    def settle(
        self, records: Sequence[Record], read: FileFacts
    ) -> tuple[list[Record], list[Record]]:
        """Of the captions of one file that was read: those to ask for, and those known already."""
        ask, known = [], []
        for record in records:
            record.read = read
            if record.settled is not None and record.settled.picture == read.digest:
                self._note_time(record, record.settled)
                self._end(record, "skipped", "is up to date")
            else:
                (known if made_before(self.journal, self.store, record, read) else ask).append(
                    record
                )
        return ask, known

    def write(self, records: Sequence[Record]) -> None:
        """Write captions and enter them; a full disk or a read-only folder is a failure."""
        chosen, lines = [], []
        for record in records:
            try:
                line = compose(self.store, self.mode, record)
            except (InputError, OSError) as error:
                self._enter(record, error)
                continue
            lines.append(line)
            if record.content:
                chosen.append(record)
            else:
                self._end(record, "skipped", ADDED_BEFORE)
        try:
            self.journal.add(lines)
            outcomes = self.store.write(chosen) if chosen else []
        except (InputError, OSError) as error:
            outcomes = [error] * len(chosen)
        for record, outcome in zip(chosen, outcomes, strict=True):
            self._enter(record, outcome)

    def _note_time(self, record: Record, settled: Mark) -> None:
        """So that the next run need not read the file to know that it is the same."""
        if record.seen is None or self.ledger.dry_run:
            return
        mark = replace(settled, stamp=record.facts().stamp)
        self._notes.append((self.store.name(record.place), record.seen, mark))
        if len(self._notes) >= _NOTES_TOGETHER:
            self._keep_notes()

    def _keep_notes(self) -> None:
        notes, self._notes = self._notes, []
        with contextlib.suppress(OSError):  # a disk without room: then they are read once more
            self.journal.add(notes)

    def _enter(self, record: Record, outcome: Exception | None) -> None:
        if isinstance(outcome, FileExistsError):
            self._end(record, "skipped", CHANGED_MEANWHILE)
        elif isinstance(outcome, InputError):
            self._end(record, "failed", str(outcome))
        elif isinstance(outcome, FileNotFoundError):
            problem = "The caption was not written: its folder is no longer there."
            self._end(record, "failed", f"{problem} Run again once it has its name back.")
        elif outcome is not None:
            # A folder that may not be written to is no reason to give up the others.
            self._failed_in_a_row += getattr(outcome, "errno", None) in _DISK_ENDS
            remedy = "Make room, allow writing there, or shorten the name."
            self._end(record, "failed", f"The caption was not written: {outcome}. {remedy}")
        else:
            self._failed_in_a_row = 0
            self.newest.append((record.place.label, record.text))
            self._end(record, "written", record.note)


def _said(error: InputError | OSError) -> str:
    if isinstance(error, InputError):
        return str(error)
    reason = error.strerror or str(error)
    return f"It or its caption cannot be looked at ({reason}). Allow reading both."
