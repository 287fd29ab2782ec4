"""The official checkpoints, and every Qwen3-VL folder and adapter on this machine."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...utils.errors import LoadError
from ..checkpoint.architecture import MODEL_TYPES
from ..checkpoint.stamp import stamp
from ..host import comfyui

DEMO_NAME = "Qwen3-VL-Demo"
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "demo_model" / "qwen3-vl-demo"
# LLM/Qwen-VL/<name> is the deepest place that packs use; models--…/snapshots/<commit> the hubs'.
SEARCH_DEPTH = 3
# ComfyUI asks for the list many times in a row while it builds its menu.
REMEMBER_SECONDS = 2.0
# No config is longer; a folder with another file of this name is not worth reading.
MAX_CONFIG_BYTES = 1024 * 1024
NO_ADAPTER = "none found"
# Hugging Face's cache names a repository's folder like this.
_CACHED = re.compile(r"^models--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/[^/]+$")
# ComfyUI's text encoders: qwen3vl_4b_bf16.safetensors, Qwen3-VL-8B-fp8_scaled.safetensors, ...
_SINGLE = re.compile(r"qwen[\W_]*3[\W_]*vl", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An official checkpoint; `weights_gb` is about the download's size."""

    name: str
    weights_gb: float

    @property
    def repository(self) -> str:
        """Its name on Hugging Face and ModelScope."""
        return f"Qwen/{self.name}"


# Size, and what its weights take in bf16 and in FP8, in GB.
SIZES = (
    ("2B", 4.3, 2.9),
    ("4B", 8.9, 5.3),
    ("8B", 17.5, 10.6),
    ("32B", 66.7, 35.6),
    ("30B-A3B", 62.1, 32.3),
    ("235B-A22B", 471.0, 237.0),
)
MODELS: tuple[ModelSpec, ...] = tuple(
    ModelSpec(f"Qwen3-VL-{size}-{edition}{ending}", weights_gb)
    for ending, column in (("", 1), ("-FP8", 2))
    for size, weights_gb in ((row[0], float(row[column])) for row in SIZES)
    for edition in ("Instruct", "Thinking")
)


def choices() -> list[str]:
    """Names for the loader's menu: the demo, what is on this machine, what can be downloaded."""
    names = [DEMO_NAME, *_remembered().models, *(spec.name for spec in MODELS)]
    return list(dict.fromkeys(names))


def adapter_choices() -> list[str]:
    """Names for the LoRA node's menu."""
    return list(_remembered().adapters) or [NO_ADAPTER]


def version_of(name: str) -> str:
    """The stamp of a model from the menu; "" where it is not on this machine.

    Taken for every prompt, so the folder is looked up in what the menu has just found.
    """
    place = DEMO_FOLDER if name == DEMO_NAME else _remembered().models.get(name)
    return stamp(place) if place else ""


def adapter_version_of(name: str) -> str:
    """The stamp of an adapter from the menu; "" where there is none."""
    place = _remembered().adapters.get(name)
    return stamp(place) if place else ""


def spec_of(name: str) -> ModelSpec | None:
    """The official checkpoint of this name."""
    return next((spec for spec in MODELS if spec.name == name), None)


def place_of(name: str) -> Path:
    """Where a checkpoint that is not there yet belongs."""
    return comfyui.download_folder() / name.replace("\\", "/").rsplit("/", 1)[-1]


def folder_of(name: str) -> Path:
    """The folder of a model from the menu.

    Raises:
        LoadError: it is not on this machine; says where it belongs.
    """
    if name == DEMO_NAME:
        return DEMO_FOLDER
    folder = local_folders(_model_roots()).get(name)
    if folder is not None:
        return folder
    spec, place = spec_of(name), place_of(name)
    if spec is None:
        raise LoadError(
            f"No Qwen3-VL checkpoint called {name!r} is in ComfyUI's model folders.",
            f"Put its folder at {place}, or choose another model in the loader.",
        )
    raise LoadError(
        f"{name} is not on this machine.",
        f"Choose a download source in the loader, or fetch {spec.repository} "
        f"({spec.weights_gb:g} GB) into {place} yourself, for example with "
        f'`hf download {spec.repository} --local-dir "{place}"`.',
    )


def adapter_folder(name: str) -> Path:
    """The folder of an adapter from the menu.

    Raises:
        LoadError: there is none of this name.
    """
    folder = adapter_folders(comfyui.adapter_roots()).get(name)
    if folder is None:
        raise LoadError(
            f"No LoRA adapter called {name!r} is in ComfyUI's model folders.",
            "Put its folder, with its adapter_config.json, into models/loras.",
        )
    return folder


def local_folders(roots: Sequence[Path]) -> dict[str, Path]:
    """Every folder under the roots whose config says Qwen3-VL, by name.

    An official checkpoint goes by its official name, wherever it lies; one in a hub's cache by
    its repository's name; anything else, single files too, by its path below the root. The
    first of two with one name wins, as in ComfyUI's own lists.
    """
    found = _search(roots, "config.json", lambda folder: _model_type(folder) in MODEL_TYPES)
    for root in roots:
        for path in [*root.glob("*.safetensors"), *root.glob("*/*.safetensors")]:
            # By name alone: a header of each file would be too much for a menu.
            if _SINGLE.search(path.name) and not (path.parent / "config.json").is_file():
                found.setdefault(path.relative_to(root).as_posix(), path)
    return found


def adapter_folders(roots: Sequence[Path]) -> dict[str, Path]:
    """Every folder under the roots with a LoRA adapter, by name."""
    return _search(roots, "adapter_config.json", lambda _folder: True)


def _model_roots() -> list[Path]:
    """ComfyUI's folders, then the hubs' caches."""
    return [*comfyui.model_roots(), *_hub_caches()]


def _hub_caches() -> list[Path]:
    """Where the hub libraries keep what other programs downloaded; nothing is written there."""
    home = Path.home() / ".cache"
    hugging_face = Path(os.environ.get("HF_HOME") or home / "huggingface")
    modelscope = Path(os.environ.get("MODELSCOPE_CACHE") or home / "modelscope" / "hub")
    return [
        Path(os.environ.get("HF_HUB_CACHE") or hugging_face / "hub"),
        modelscope / "models" / "Qwen",
    ]


def _search(
    roots: Sequence[Path], marker: str, is_wanted: Callable[[Path], bool]
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in roots:
        for folder in _candidates(root, marker, SEARCH_DEPTH):
            if is_wanted(folder):
                found.setdefault(_name(folder, root), folder)
    return dict(sorted(found.items()))


def _name(folder: Path, root: Path) -> str:
    inside = folder.relative_to(root).as_posix()
    cached = _CACHED.match(inside)
    own = cached["name"] if cached else folder.name
    if spec_of(own) is not None:
        return own
    return f"{cached['owner']}/{own}" if cached else inside


def _candidates(folder: Path, marker: str, depth: int) -> Iterator[Path]:
    """Folders with the marker file; nothing is looked for inside one."""
    try:
        entries = sorted(
            entry.path
            for entry in os.scandir(folder)
            if entry.is_dir() and not entry.name.startswith(".")
        )
    except OSError:  # a folder we may not read holds nothing for us
        return
    for path in map(Path, entries):
        try:
            found = (path / marker).is_file()
        except OSError:  # such as Windows' own folder at the root of a disk, or lost+found
            continue
        if found:
            yield path
        elif depth > 1:
            yield from _candidates(path, marker, depth - 1)


def _model_type(folder: Path) -> str | None:
    """What its config says it is; None where that cannot be read."""
    path = folder / "config.json"
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            return None
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return config.get("model_type") if isinstance(config, dict) else None


@dataclass(frozen=True, slots=True)
class _Found:
    at: float
    models: dict[str, Path]
    adapters: dict[str, Path]


_memory = _Found(float("-inf"), {}, {})


def _remembered() -> _Found:
    global _memory  # noqa: PLW0603 - two seconds of memory, no state to speak of
    if time.monotonic() - _memory.at > REMEMBER_SECONDS:
        models = local_folders(_model_roots())
        adapters = adapter_folders(comfyui.adapter_roots())
        _memory = _Found(time.monotonic(), models, adapters)
    return _memory
