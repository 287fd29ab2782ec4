"""Saves texts that were made elsewhere as captions, as careful as those of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..captions.place import Place, clashing
from ..captions.recipe import Recipe
from ..captions.record import Record
from ..captions.sidecars import MAX_CAPTION_BYTES
from ..captions.wording import Wording
from ..errors import InputError
from ..files.picture_reader import file_facts
from ..roots.listing import FileChoice, list_files
from .run import CaptionRun

# So many captions share one wait for the disk.
WRITTEN_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Saving:
    """One run: its files, and what is done to each text before it is written."""

    files: CaptionRun
    wording: Wording
    check_interrupt: Callable[[], None]

    def save(self, names: Sequence[str], captions: Sequence[str], choice: FileChoice) -> None:
        """Write each caption or enter why not; names are untrusted, and captions too."""
        waiting: list[Record] = []
        try:
            for record in self._wanted(names, captions, choice):
                if self.files.ledger.dry_run:
                    self.files.would_write(record)
                    continue
                waiting.append(record)
                if len(waiting) == WRITTEN_TOGETHER:
                    together, waiting = waiting, []  # whatever comes of it: never written twice
                    self.files.write(together)
        finally:
            if waiting:
                self.files.write(waiting)

    def _wanted(
        self, names: Sequence[str], captions: Sequence[str], choice: FileChoice
    ) -> Iterator[Record]:
        """What is to be written; all else is in the ledger."""
        # A folder that cannot be listed needs no line of its own: its pictures' names have one.
        listed = list_files(self.files.source.path, choice, lambda *_: None)
        twins, known = clashing(map(Place, listed), self.files.store.name), set(listed)
        times = Counter(map(str, names))
        for name, given in zip(names, captions, strict=True):
            self.check_interrupt()
            try:
                if not isinstance(name, str) or name not in known:
                    problem = f"{self.files.source.name} has no picture of this name."
                    raise InputError(problem, "Take the names from Folder Images.")
                if times[name] > 1:
                    problem = f"It is named {times[name]} times."
                    raise InputError(problem, "Give one caption for each picture.")
                text = self._text(name, given)
            except InputError as error:
                self.files.ledger.add(str(name), "failed", str(error))
                continue
            # A caption of its own recipe: another text is another making.
            recipe = Recipe("", self.wording, {"source": "workflow", "given": given})
            record = Record(Place(name), recipe)
            if self.files.decide_one(record, name in twins):
                yield from self._settled(record, text)

    def _text(self, name: str, given: str) -> str:
        """The caption of a picture, whole.

        Raises:
            InputError: there is no text, or too much.
        """
        if not isinstance(given, str) or not given.strip():
            raise InputError("Its caption has no text.", "Look at the node that made it.")
        text = self.wording.caption(given.strip(), self.files.folder_name(name))
        if not text.strip():
            raise InputError("Its caption has no text any more.", "Look at replace.")
        if len(text.encode("utf-8", "replace")) > MAX_CAPTION_BYTES:
            problem = f"Its caption has more than {MAX_CAPTION_BYTES // 1024**2} MiB."
            raise InputError(problem, "Set max_characters.")
        return text

    def _settled(self, record: Record, text: str) -> Iterator[Record]:
        """The caption, if it is still wanted once its picture has been looked at."""
        try:
            facts = file_facts(self.files.file(record.place.file))
        except InputError as error:
            self.files.fail([record], error)
            return
        ask, known = self.files.settle([record], facts)
        for one in ask:
            one.text = text
        yield from (*ask, *known)
