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


def local_copies(roots: Sequence[Path]) -> dict[str, tuple[Path, ...]]:
    """Every folder under the roots whose config says Qwen3-VL, by name; the best of a name first.

    An official checkpoint goes by its official name, wherever it lies; one in a hub's cache by
    its repository's name; anything else, single files too, by its path below the root. Of
    several with one name the first is meant, as in ComfyUI's own lists; of a cache's snapshots
    the one that its `refs/main` names. The others are for when that one is not whole.
    """
    found = _search(roots, "config.json", lambda folder: _model_type(folder) in MODEL_TYPES)
    for root in roots:
        for path in [*root.glob("*.safetensors"), *root.glob("*/*.safetensors")]:
            # By name alone: a header of each file would be too much for a menu.
            if _SINGLE.search(path.name) and not (path.parent / "config.json").is_file():
                found.setdefault(path.relative_to(root).as_posix(), [path])
    return {name: tuple(sorted(copies, key=_is_outdated)) for name, copies in found.items()}


def adapter_folders(roots: Sequence[Path]) -> dict[str, Path]:
    """Every folder under the roots with a LoRA adapter, by name; the first of two wins."""
    found = _search(roots, "adapter_config.json", lambda _folder: True)
    return {name: copies[0] for name, copies in found.items()}


def hub_caches() -> list[Path]:
    """Where the hub libraries keep what other programs downloaded; nothing is written there.

    Hugging Face's as `huggingface_hub.constants` reads it, which is too slow to import for a menu.
    """
    home = os.path.expanduser("~/.cache")  # noqa: PTH111 - as the library does
    xdg = os.environ.get("XDG_CACHE_HOME", home)
    hugging_face = _expanded(os.environ.get("HF_HOME", str(Path(xdg, "huggingface"))))
    older = os.environ.get("HUGGINGFACE_HUB_CACHE", str(Path(hugging_face, "hub")))
    modelscope = os.environ.get("MODELSCOPE_CACHE") or str(Path(home, "modelscope", "hub"))
    return [
        Path(_expanded(os.environ.get("HF_HUB_CACHE", older))),
        Path(_expanded(modelscope), "models", "Qwen"),
    ]


def _expanded(path: str) -> str:
    return os.path.expandvars(os.path.expanduser(path))  # noqa: PTH111 - leaves an unknown ~x


def _search(
    roots: Sequence[Path], marker: str, is_wanted: Callable[[Path], bool]
) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for root in roots:
        for folder in _candidates(root, marker, SEARCH_DEPTH):
            if is_wanted(folder):
                copies = found.setdefault(_name(folder, root), [])
                if folder not in copies:
                    copies.append(folder)
    return dict(sorted(found.items()))


def _is_outdated(folder: Path) -> bool:
    """Whether it is a snapshot in Hugging Face's cache, but not of the newest commit fetched."""
    if folder.parent.name != "snapshots":
        return False
    try:
        with (folder.parent.parent / "refs" / "main").open("rb") as file:
            return file.read(64).strip() != os.fsencode(folder.name)
    except OSError:  # fetched by its commit, so that there is no such file
        return True


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
