"""What is in a LoRA adapter in peft's layout, checked against the checkpoint it will change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ...utils.errors import LoadError
from .architecture import Architecture
from .config import files_version, positive, read_json, refuse_code
from .safetensors_header import StoredTensor, read_header
from .tensor_names import PLAIN_DTYPES, canonical

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Each makes the two matrices mean something else than their product.
UNREAD = (
    "use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication",
    "alora_invocation_tokens",
)  # fmt: skip
# Training began with these by changing the base model; on the official one such an adapter is
# wrong by that change.
CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class LoraLayer:
    """The two matrices for one linear layer: `down` [rank, in] and `up` [out, rank]."""

    module: str
    down: StoredTensor
    up: StoredTensor


@dataclass(frozen=True, slots=True)
class LoraFiles:
    """A checked adapter; `scale` is what its product is multiplied by.

    `version` is the folder's stamp from before anything of it was read.
    """

    folder: Path
    scale: float
    layers: tuple[LoraLayer, ...]
    version: str = ""


def inspect_adapter(folder: Path, architecture: Architecture) -> LoraFiles:
    """Check an adapter against the checkpoint it will change.

    Raises:
        LoadError: it is no LoRA, is damaged, or was made for another model.
    """
    path, version = folder / CONFIG, files_version(folder)
    if not path.is_file():
        raise LoadError(f"{folder} has no {CONFIG}.", "Choose a folder that peft has saved.")
    config = read_json(path)
    refuse_code(config, path)
    if config.get("peft_type") != "LORA":
        raise LoadError(
            f"{folder} is a {config.get('peft_type')!r} adapter.", "Choose a LoRA adapter."
        )
    for key in UNREAD:
        if config.get(key):
            raise _cannot_apply(path, key)
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        raise _cannot_apply(path, f"init_lora_weights {start[:40]!r}")
    if not (folder / WEIGHTS).is_file():
        raise LoadError(f"{folder} has no {WEIGHTS}.", "Download it in safetensors form.")
    rank = positive(config, "r", str(path), 1 << 14)
    alpha = positive(config, "lora_alpha", str(path), 1 << 20)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    base = str(config.get("base_model_name_or_path") or "another model")[:120]
    layers = _layers(folder, architecture, rank, base)
    return LoraFiles(folder, scale, layers, version)


def _cannot_apply(path: Path, what: str) -> LoadError:
    return LoadError(
        f"{path} uses {what}, which this pack cannot apply.",
        "Merge the adapter into its base model with the tool that made it.",
    )


def _layers(
    folder: Path, architecture: Architecture, rank: int, base: str
) -> tuple[LoraLayer, ...]:
    tensors = read_header(folder / WEIGHTS)
    modules = architecture.tensors()
    found = []
    for name, up in tensors.items():
        if not name.endswith(".lora_B.weight"):
            continue
        weight = canonical(name.removesuffix("lora_B.weight") + "weight")
        module = weight.removesuffix(".weight")
        down = tensors.get(name.replace(".lora_B.", ".lora_A."))
        shape = modules.get(weight)
        if shape is not None and len(shape) != 2:
            raise _cannot_apply(folder, f"the convolution {module}")
        fits = shape and down and (up.shape, down.shape) == ((shape[0], rank), (rank, shape[1]))
        if not fits or down is None:
            raise LoadError(
                f"The LoRA {folder} does not fit this model at {module} "
                f"({list(up.shape)} x {list(down.shape) if down else '?'} onto "
                f"{list(shape) if shape else 'nothing'}).",
                f"It was made for {base}: choose that model, or another adapter.",
            )
        for matrix in (down, up):
            if matrix.dtype not in PLAIN_DTYPES:
                raise _cannot_apply(folder, f"matrices stored as {matrix.dtype}")
        found.append(LoraLayer(module, down, up))
    if not found or 2 * len(found) != len(tensors):
        raise LoadError(
            f"{folder / WEIGHTS} holds other tensors than LoRA matrices.",
            "Choose an adapter that peft has saved.",
        )
    if len({layer.module for layer in found}) != len(found):
        raise LoadError(
            f"{folder / WEIGHTS} holds two pairs of matrices for one layer.",
            "Choose an adapter that peft has saved.",
        )
    return tuple(found)
