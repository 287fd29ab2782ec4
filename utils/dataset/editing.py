"""One caption as a person writes it: it is theirs, and no run of the pack owns it."""

from __future__ import annotations

from ..captions.place import Place, clashing
from ..captions.recipe import Recipe
from ..captions.record import Record
from ..captions.sidecars import MAX_CAPTION_BYTES, MakeStore
from ..captions.store import CaptionStore
from ..captions.wording import Wording
from ..errors import InputError
from ..files.atomic_write import naming, now
from ..files.folder_lock import only_writer
from ..roots.allowed_folders import Folder
from ..roots.listing import FileChoice, list_files

BY_HAND = {"source": "by hand"}


def write_by_hand(
    source: Folder, target: Folder, make: MakeStore, picture: str, text: str, seen: str | None
) -> bool:
    """Put `text` in the place of the picture's caption; the journal does not hear of it, so that
    every mode but the adding ones and overwrite all leaves it alone from now on.

    Args:
        picture: its path below `source`, untrusted.
        seen: the caption as whoever wrote saw it; None: it may be any.

    Returns:
        whether anything was written: an equal caption stays as it is.

    Raises:
        InputError: no such picture, no text, another caption by now, or it cannot be written.
    """
    _check(source, picture, text)
    with only_writer(target.path, target.root.real()), naming(target.path):
        store = make(target, target.path != source.path)
        _check_twins(source, picture, store)
        name = store.name(Place(picture))
        there = store.content(name)
        before = None if there is None or store.is_blank(there) else store.text(there)
        if seen is not None and (before or "") != seen:
            raise InputError(
                f"The caption of {picture} is another one by now.",
                "Run Caption Review again and write yours into what it shows.",
            )
        if before == text:
            return False
        record = Record(Place(picture), Recipe("", Wording(), BY_HAND), replaces=there)
        record.content = store.encode(record.place, text, {**BY_HAND, "time": now()})
        (outcome,) = store.write([record])
        if outcome is not None:
            raise outcome
    return True


def _check(source: Folder, picture: str, text: str) -> None:
    choice = FileChoice(recursive="/" in picture)
    if picture not in set(list_files(source.path, choice, lambda *_: None)):
        raise InputError(
            f"{source.name} has no picture {picture[:200]!r}.",
            "Write its name as Caption Review shows it.",
        )
    if not text.strip():
        raise InputError("The caption is empty.", "Write it, or delete its file.")
    if len(text.encode("utf-8", "replace")) > MAX_CAPTION_BYTES:
        raise InputError(
            f"The caption has more than {MAX_CAPTION_BYTES // 1024**2} MiB.", "Write a shorter one."
        )


def _check_twins(source: Folder, picture: str, store: CaptionStore) -> None:
    listed = list_files(source.path, FileChoice(recursive="/" in picture), lambda *_: None)
    if picture in clashing(map(Place, listed), store.name):
        raise InputError(
            "Another picture has the same name but for its ending, so neither can be captioned.",
            "Rename one of them, or choose a.jpg.txt as naming.",
        )
