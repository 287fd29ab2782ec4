"""What a caption's file will hold: a new text, one joined to what stands there, or an equal one."""

from __future__ import annotations

import contextlib

from ..errors import InputError
from ..files.atomic_write import now
from ..files.fingerprint import FileFacts, digest
from .journal import Journal, Mark
from .policy import ADDING, APPEND
from .record import Record
from .store import CaptionStore, content_digest
from .wording import joined


def made_before(journal: Journal, store: CaptionStore, record: Record, read: FileFacts) -> bool:
    """Whether an equal file has a caption of the same making: a renamed or copied one's.

    Its text is then the record's.
    """
    own = store.name(record.place)
    by_class = record.recipe.wording.names_class
    for name, content in journal.made_alike(record.recipe.id, read.digest):
        if name == own or not store.owns(name):
            continue
        mark = journal.mark(name, content)
        if mark is None or not record.recipe.made(mark):
            continue
        if by_class and _folder(name) != _folder(own):
            continue
        # The name is a line's of a file: it may lead anywhere, and by now to anything.
        with contextlib.suppress(OSError, ValueError, InputError):
            there = store.content(name)
            if there is not None and digest(there) == content:
                record.text = store.text(there)
                record.note = f"as {name} was, of the same picture"
                return True
    return False


def compose(store: CaptionStore, mode: str, record: Record) -> tuple[str, bytes, Mark]:
    """Give a record its content; none where what is to be added is there already.

    Returns:
        the journal's line.

    Raises:
        FileExistsError: something else stands there by now.
    """
    read = record.facts()
    name = store.name(record.place)
    record.replaces = there = store.content(name)
    if there is not None and store.is_blank(there):
        there = None
    if content_digest(there) != record.seen:
        raise FileExistsError(name)
    # A caption of ours, of this very recipe, is replaced when its file has changed.
    mixed = mode in ADDING and there is not None and record.settled is None
    mark = Mark(record.recipe.id, read.digest, read.stamp, mixed, record.recipe.making)
    text = record.text
    if mixed and there is not None:
        before = store.text(there)
        if text.strip() in before:  # a run on another folder, or one before it was edited
            return name, digest(there), mark
        text = _added_to(before, record, mode)
    told = {**record.recipe.facts, **(record.told or {}), "time": now()}
    record.content = store.encode(record.place, text, told)
    return name, digest(record.content), mark


def _added_to(before: str, record: Record, mode: str) -> str:
    wording = record.recipe.wording
    if mode == APPEND:
        return joined(before, record.text, True, wording.prefix)
    return joined(record.text, before, False, wording.suffix)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
