"""Finds a copy of a model that is whole, fetching it where that is wanted; looks at each once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...utils.errors import IncompleteError, LoadError
from ...utils.text.amounts import amount
from ..checkpoint.architecture import Architecture
from ..checkpoint.config import files_version
from ..checkpoint.inspection import Checkpoint, inspect
from ..checkpoint.lora_files import LoraFiles, inspect_adapter
from ..host.port import host
from ..hub import catalog
from ..hub.official import ModelSpec, spec_of
from ..settings import NO_DOWNLOAD, LoadSettings

# A model or two with their adapters: what lies between a loader's report and its load.
REMEMBERED = 8

log = logging.getLogger(__name__)
T = TypeVar("T", Checkpoint, LoraFiles)
_memory: OrderedDict[object, Checkpoint | LoraFiles] = OrderedDict()


def whole_copy(settings: LoadSettings) -> tuple[Checkpoint, str]:
    """The checkpoint, checked, and what has to be said about where it comes from.

    A copy that is not whole does not hide another that is. What is not here, or not whole, is
    fetched where the settings want that; what is whole but cannot be used never is.

    Raises:
        LoadError: naming the file and what to do about it.
    """
    try:
        return _best_copy(settings.model)
    except IncompleteError as error:
        spec = spec_of(settings.model)
        if settings.download == NO_DOWNLOAD or spec is None:
            raise
        why = error.problem
    log.info("%s It is downloaded.", why)
    place = catalog.place_of(spec.name)
    try:
        _fetch(settings.download, spec, place)
        return _looked_at(place), f"Downloaded into {place}: {why}"
    except LoadError as error:
        raise LoadError(f"{why} The download failed: {error.problem}", error.remedy) from error


def adapter_files(name: str, architecture: Architecture) -> LoraFiles:
    """An adapter from the menu, checked against the checkpoint it will change.

    Raises:
        LoadError: it is not there, damaged, or made for another model.
    """
    folder = catalog.adapter_folder(name)
    return _once((folder, architecture), folder, lambda: inspect_adapter(folder, architecture))


def versions_here(settings: LoadSettings) -> tuple[str, ...]:
    """The stamps of the model's files and of each adapter's; none where something is missing.

    Nothing is fetched, and nothing is read that has been looked at before.
    """
    try:
        checkpoint, _ = _best_copy(settings.model)
        loras = [adapter_files(a.name, checkpoint.architecture) for a in settings.adapters]
    except LoadError:  # said by whoever wants to load it
        return ()
    return tuple(files.version for files in (checkpoint, *loras))


def _best_copy(name: str) -> tuple[Checkpoint, str]:
    first = catalog.folder_of(name)
    try:
        return _looked_at(first), ""
    except LoadError as error:
        for other in catalog.other_copies(name, first):
            try:
                found = _looked_at(other)
            except LoadError as its_own:
                log.info("%s", its_own)
                continue
            return found, f"{error.problem} The copy in {other} is used."
        raise


def _looked_at(folder: Path) -> Checkpoint:
    return _once(folder, folder, lambda: inspect(folder))


def _once(key: object, folder: Path, look: Callable[[], T]) -> T:
    """What was seen of a folder, as long as the stamp of its files says that nothing changed."""
    known = _memory.pop(key, None)
    if known is None or not known.version or known.version != files_version(folder):
        known = look()
    _memory[key] = known
    while len(_memory) > REMEMBERED:
        _memory.popitem(last=False)
    return known  # type: ignore[return-value] - a key is of one kind


def _fetch(source: str, spec: ModelSpec, place: Path) -> None:
    from ..hub.download import fetch
    from ..hub.remote import list_files

    bar = host().progress_bar(100)

    def on_bytes(done: int, total: int) -> None:
        host().check_interrupt()
        text = f"Downloading {spec.name}: {amount(done)} of {amount(total)} into {place}"
        bar.show(100 * done / max(1, total), text)

    fetch(list_files(source, spec.repository), place, on_bytes)
