"""Looks at a checkpoint folder before anything of it is built."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.errors import LoadError
from .catalog import MODEL_TYPES

# Each can make some version of transformers import code from the checkpoint.
CODE_KEYS = ("auto_map", "_attn_implementation_internal", "trust_remote_code")
CONFIG_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
)
MAX_CONFIG_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that may be built: its config's model type and the bytes of its weights."""

    folder: Path
    model_type: str
    weight_bytes: int


def inspect(folder: Path) -> Checkpoint:
    """Check a checkpoint folder without loading weights.

    Raises:
        LoadError: naming the file and what to do about it.
    """
    if not folder.is_dir():
        raise LoadError(f"There is no folder {folder}.", "Choose another model in the loader.")
    configs = {name: _read(folder / name) for name in CONFIG_FILES if (folder / name).exists()}
    if "config.json" not in configs:
        raise LoadError(f"{folder} has no config.json.", "Download the checkpoint again.")
    for name, config in configs.items():
        _refuse_code(config, folder / name)
    model_type = configs["config.json"].get("model_type")
    if model_type not in MODEL_TYPES:
        raise LoadError(
            f"{folder} holds a {model_type!r} model, not Qwen3-VL.",
            "Choose a checkpoint whose config.json says qwen3_vl or qwen3_vl_moe.",
        )
    _check_companions(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise LoadError(
            f"{folder} has no .safetensors file.",
            "Download the checkpoint in safetensors form; other forms can run code.",
        )
    return Checkpoint(folder, model_type, sum(path.stat().st_size for path in weights))


def _check_companions(folder: Path) -> None:
    for alternatives in (
        ("tokenizer.json", "vocab.json"),
        ("preprocessor_config.json", "processor_config.json"),
    ):
        if not any((folder / name).is_file() for name in alternatives):
            raise LoadError(
                f"{folder} has no {alternatives[0]}.",
                "Download the missing file from the checkpoint's page.",
            )


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise LoadError(f"{path} is larger than any config.", "Download the file again.")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{path} is not readable JSON ({error}).", "Download it again.") from None
    if not isinstance(config, dict):
        raise LoadError(f"{path} is not a JSON object.", "Download the file again.")
    return config


def _refuse_code(config: Any, path: Path) -> None:
    """Look for code keys at every depth, without recursion: the file is hostile until checked."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if bad := sorted(set(value) & set(CODE_KEYS)):
                raise LoadError(
                    f"{path} has the key {bad[0]!r}, which can run foreign code.",
                    "Use the official checkpoint, or remove the key if you trust the source.",
                )
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
