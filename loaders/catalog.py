"""The official checkpoints, and every Qwen3-VL folder on this machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils.errors import LoadError
from . import comfy_bridge
from .architecture import MODEL_TYPES

DEMO_NAME = "Qwen3-VL-Demo"
DEMO_FOLDER = Path(__file__).resolve().parent.parent / "examples" / "demo_model" / "qwen3-vl-demo"
# LLM/Qwen-VL/<name> is the deepest place that packs use.
SEARCH_DEPTH = 3
# ComfyUI asks for the list many times in a row while it builds its menu.
REMEMBER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An official checkpoint; `weights_gb` is the download's size."""

    name: str
    weights_gb: float

    @property
    def repository(self) -> str:
        """Its name on Hugging Face and ModelScope."""
        return f"Qwen/{self.name}"


MODELS: tuple[ModelSpec, ...] = (
    ModelSpec("Qwen3-VL-2B-Instruct", 4.3),
    ModelSpec("Qwen3-VL-2B-Thinking", 4.3),
    ModelSpec("Qwen3-VL-4B-Instruct", 8.9),
    ModelSpec("Qwen3-VL-4B-Thinking", 8.9),
    ModelSpec("Qwen3-VL-8B-Instruct", 17.5),
    ModelSpec("Qwen3-VL-8B-Thinking", 17.5),
    ModelSpec("Qwen3-VL-32B-Instruct", 66.7),
    ModelSpec("Qwen3-VL-32B-Thinking", 66.7),
    ModelSpec("Qwen3-VL-30B-A3B-Instruct", 62.1),
    ModelSpec("Qwen3-VL-30B-A3B-Thinking", 62.1),
    ModelSpec("Qwen3-VL-235B-A22B-Instruct", 471.0),
    ModelSpec("Qwen3-VL-235B-A22B-Thinking", 471.0),
)


def choices() -> list[str]:
    """Names for the loader's menu: the demo, what is on this machine, what can be downloaded."""
    local = _remembered_folders()
    names = [DEMO_NAME, *local, *(spec.name for spec in MODELS)]
    return list(dict.fromkeys(names))


def folder_of(name: str) -> Path:
    """The folder of a model from the menu.

    Raises:
        LoadError: it is not on this machine; says where it belongs.
    """
    if name == DEMO_NAME:
        return DEMO_FOLDER
    folder = local_folders(comfy_bridge.model_roots()).get(name)
    if folder is not None:
        return folder
    spec = next((spec for spec in MODELS if spec.name == name), None)
    place = comfy_bridge.download_folder() / name.replace("\\", "/").rsplit("/", 1)[-1]
    if spec is None:
        raise LoadError(
            f"No Qwen3-VL checkpoint called {name!r} is in ComfyUI's model folders.",
            f"Put its folder at {place}, or choose another model in the loader.",
        )
    raise LoadError(
        f"{name} is not on this machine.",
        f"Download {spec.repository} ({spec.weights_gb:g} GB) into {place}, for example with "
        f'`hf download {spec.repository} --local-dir "{place}"`.',
    )


def local_folders(roots: Sequence[Path]) -> dict[str, Path]:
    """Every folder under the roots whose config says Qwen3-VL, by name.

    An official checkpoint goes by its official name, wherever it lies; anything else by its
    path below the root. The first of two with one name wins, as in ComfyUI's own lists.
    """
    official = {spec.name for spec in MODELS}
    found: dict[str, Path] = {}
    for root in roots:
        for folder in _candidates(root, SEARCH_DEPTH):
            if _model_type(folder) in MODEL_TYPES:
                inside = folder.relative_to(root).as_posix()
                found.setdefault(folder.name if folder.name in official else inside, folder)
    return dict(sorted(found.items()))


def _candidates(folder: Path, depth: int) -> Iterator[Path]:
    """Folders with a config.json; nothing is looked for inside one."""
    try:
        entries = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    except OSError:  # a folder we may not read holds nothing for us
        return
    for path in map(Path, entries):
        if (path / "config.json").is_file():
            yield path
        elif depth > 1:
            yield from _candidates(path, depth - 1)


def _model_type(folder: Path) -> str | None:
    """What its config says it is; None where that cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return config.get("model_type") if isinstance(config, dict) else None


_memory: tuple[float, list[str]] = (float("-inf"), [])


def _remembered_folders() -> list[str]:
    global _memory  # noqa: PLW0603 - two seconds of memory, no state to speak of
    if time.monotonic() - _memory[0] > REMEMBER_SECONDS:
        _memory = (time.monotonic(), list(local_folders(comfy_bridge.model_roots())))
    return _memory[1]
