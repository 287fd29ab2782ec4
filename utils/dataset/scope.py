"""What a folder run is about: which files are meant, and where and how their captions are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from ..captions.journal import JOURNAL_NAME, Journal
from ..captions.json_lines import JSON_LINES_NAME
from ..captions.ledger import LEDGER_NAME, Ledger, LedgerFile
from ..captions.policy import APPEND, OVERWRITE_ALL, PREPEND
from ..captions.record import Record
from ..captions.sidecars import MakeStore
from ..captions.view import nothing_meant
from ..errors import InputError
from ..files.atomic_write import check_own_files, naming
from ..files.folder_lock import HOLDER_NAME, LOCK_NAME, only_writer, sweep
from ..roots.allowed_folders import Folder
from ..roots.listing import FileChoice, list_files
from .medium import Media
from .run import CaptionRun

OWN_FILES = (LOCK_NAME, HOLDER_NAME, JOURNAL_NAME, LEDGER_NAME, JSON_LINES_NAME)


@dataclass(frozen=True, slots=True)
class Scope:
    """The files of `source` by `choice`, whose captions lie in `target`.

    `store` makes the place for captions, as `store_maker` gives it; `mode` says what becomes of
    captions that are there.
    """

    source: Folder
    target: Folder
    choice: FileChoice
    store: MakeStore
    mode: str

    @contextmanager
    def open_run(self, dry_run: bool = False) -> Iterator[CaptionRun]:
        """A run, whose files are ours alone for the length of the `with` block.

        Raises:
            InputError: another run has them, or they cannot be written.
        """
        folder = self.target.path
        check_own_files(folder, OWN_FILES)
        if dry_run:
            yield self._run(Ledger(dry_run=True))
            return
        root = self.target.root.real()
        with only_writer(folder, root):
            sweep(folder, self.choice.recursive, root)
            with naming(folder):
                file = LedgerFile(self.target)
            with file:
                ledger = Ledger(file.add, f"{self.target.name}/{LEDGER_NAME}")
                run = self._run(ledger)
                with naming(folder):
                    run.begin()
                yield run
                file.add(ledger.summary)
            with suppress(OSError):  # the captions are written; the next run puts them in order
                run.end()

    def _run(self, ledger: Ledger) -> CaptionRun:
        self.target.check(self.target.path, write=True)
        # A folder of pictures that is gone was renamed or removed, and is not made anew.
        makes_folders = self.target.path != self.source.path
        with naming(self.target.path):
            journal = Journal(self.target)
            store = self.store(self.target, makes_folders)
        return CaptionRun(self.source, store, journal, self.mode, ledger)

    def wanted(self, run: CaptionRun, media: Media, on_file: Callable[[], None]) -> list[Record]:
        """What is to be captioned; every other file of these media is in the ledger.

        Raises:
            InputError: no file at all, and nothing in the folder is unreadable.
        """

        def unlisted(name: str, error: InputError) -> None:
            run.ledger.add(name or f"{self.source.name}/", "failed", str(error))

        choice = replace(self.choice, endings=media.endings)
        names = list_files(self.source.path, choice, unlisted)
        if not names and not run.ledger.total:
            raise nothing_meant(self.source, noun=media.nouns)
        return run.decide(names, media.recipes, on_file)


def check_mode(mode: str, kind: str, allow_overwrite_all: bool) -> None:
    """Refuse what would lose captions by a slip, and what a format cannot do.

    Raises:
        InputError: with the switch or the format that helps.
    """
    if mode == OVERWRITE_ALL and not allow_overwrite_all:
        raise InputError(
            "overwrite all replaces captions that you wrote or edited.",
            "Switch allow_overwrite_all on if you mean it, or choose overwrite own.",
        )
    if mode in (APPEND, PREPEND) and kind != "txt":
        raise InputError(
            f"Nothing can be added to a caption in {kind}.",
            "Choose the format txt, or another mode.",
        )
