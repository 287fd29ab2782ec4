"""Finds the Qwen3-VL checkpoints and adapters that lie on this machine's disks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..checkpoint.architecture import MODEL_TYPES
from .official import spec_of

# LLM/Qwen-VL/<name> is the deepest place that packs use; models--…/snapshots/<commit> the hubs'.
SEARCH_DEPTH = 3
# No config is longer; a folder with another file of this name is not worth reading.
MAX_CONFIG_BYTES = 1024 * 1024
# Hugging Face's cache names a repository's folder like this.
_CACHED = re.compile(r"^models--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/[^/]+$")
# ComfyUI's text encoders: qwen3vl_4b_bf16.safetensors, Qwen3-VL-8B-fp8_scaled.safetensors, ...
_SINGLE = re.compile(r"qwen[\W_]*3[\W_]*vl", re.IGNORECASE)


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


def hub_caches() -> list[Path]:
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
