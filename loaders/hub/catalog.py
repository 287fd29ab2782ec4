"""What the loader's menus offer, and where each of it lies or belongs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ...utils.errors import IncompleteError, LoadError
from ...utils.text.amounts import GB
from ..checkpoint.config import files_version
from ..host.port import host
from .discovery import adapter_folders, hub_caches, local_copies
from .official import DEMO_FOLDER, DEMO_NAME, MODELS, spec_of

# ComfyUI asks for the list many times in a row while it builds its menu.
REMEMBER_SECONDS = 2.0
NO_ADAPTER = "none found"


def choices() -> list[str]:
    """Names for the loader's menu: the demo, what is on this machine, what can be downloaded."""
    names = [DEMO_NAME, *_remembered().models, *(spec.name for spec in MODELS)]
    return list(dict.fromkeys(names))


def weights_gb() -> dict[str, tuple[bool, float]]:
    """Of every model of the menu: whether it is on this machine, and the size of its weights."""
    here = {DEMO_NAME: (DEMO_FOLDER,)} | _remembered().models
    sizes = {spec.name: (False, spec.weights_gb) for spec in MODELS}
    return sizes | {name: (True, _gb(places[0])) for name, places in here.items()}


def _gb(place: Path) -> float:
    files = [place] if place.is_file() else place.glob("*.safetensors")
    try:
        return round(sum(file.stat().st_size for file in files) / GB, 2)
    except OSError:  # a link that leads nowhere: the run says what is missing
        return 0.0


def adapter_choices() -> list[str]:
    """Names for the LoRA node's menu."""
    return list(_remembered().adapters) or [NO_ADAPTER]


def version_of(name: str) -> str:
    """The stamp of a model from the menu; "" where it is not on this machine.

    Taken for every prompt, so the folder is looked up in what the menu has just found.
    """
    places = (DEMO_FOLDER,) if name == DEMO_NAME else _remembered().models.get(name, ())
    return " ".join(map(files_version, places))


def adapter_version_of(name: str) -> str:
    """The stamp of an adapter from the menu; "" where there is none."""
    place = _remembered().adapters.get(name)
    return files_version(place) if place else ""


def place_of(name: str) -> Path:
    """Where a checkpoint that is not there yet belongs."""
    return host().download_folder() / name.replace("\\", "/").rsplit("/", 1)[-1]


def folder_of(name: str) -> Path:
    """The folder of a model from the menu, or its file; the first of its copies.

    Raises:
        LoadError: there is none of this name.
        IncompleteError: it is an official one and not on this machine; says where it belongs.
    """
    if name == DEMO_NAME:
        return DEMO_FOLDER
    if copies := _copies_of(name):
        return copies[0]
    spec, place = spec_of(name), place_of(name)
    if spec is None:
        raise LoadError(
            f"No Qwen3-VL checkpoint called {name!r} is in ComfyUI's model folders.",
            f"Put its folder at {place}, or choose another model in the loader.",
        )
    raise IncompleteError(
        f"{name} is not on this machine.",
        f"Choose a download source in the loader, or fetch {spec.repository} "
        f"({spec.weights_gb:g} GB) into {place} yourself, for example with "
        f'`hf download {spec.repository} --local-dir "{place}"`.',
    )


def other_copies(name: str, known: Path) -> tuple[Path, ...]:
    """The places of a model from the menu but for the one that is known."""
    return tuple(copy for copy in _copies_of(name) if copy != known)


def _copies_of(name: str) -> tuple[Path, ...]:
    """The places of a model by a name that some workflow has stored.

    It may be of Windows, or from a machine where the folder lies a level higher or deeper.
    """
    found = local_copies(_model_roots())
    name = name.replace("\\", "/")
    if name in found:
        return found[name]
    last = name.rpartition("/")[2]
    alike = [key for key in found if key.rpartition("/")[2] == last]
    return found[alike[0]] if len(alike) == 1 else ()


def adapter_folder(name: str) -> Path:
    """The folder of an adapter from the menu.

    Raises:
        LoadError: there is none of this name.
    """
    folder = adapter_folders(host().adapter_roots()).get(name)
    if folder is None:
        raise LoadError(
            f"No LoRA adapter called {name!r} is in ComfyUI's model folders.",
            "Put its folder, with its adapter_config.json, into models/loras.",
        )
    return folder


def _model_roots() -> list[Path]:
    """ComfyUI's folders, then the hubs' caches."""
    return [*host().model_roots(), *hub_caches()]


@dataclass(frozen=True, slots=True)
class _Found:
    at: float
    models: dict[str, tuple[Path, ...]]
    adapters: dict[str, Path]


_memory = _Found(float("-inf"), {}, {})


def _remembered() -> _Found:
    global _memory  # noqa: PLW0603 - two seconds of memory, no state to speak of
    if time.monotonic() - _memory.at > REMEMBER_SECONDS:
        models = local_copies(_model_roots())
        adapters = adapter_folders(host().adapter_roots())
        _memory = _Found(time.monotonic(), models, adapters)
    return _memory
