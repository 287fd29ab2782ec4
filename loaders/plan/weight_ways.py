"""Decides how a checkpoint's weights get from the files into memory, and says why."""

from __future__ import annotations

import torch

from ...utils.errors import LoadError
from ..checkpoint.four_bits import BITSANDBYTES, NF4_BLOCK
from ..checkpoint.fp8_blocks import has_uneven_experts
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.quantization import COMFYUI, int8_layers
from ..settings import ALL_GPUS, GPU_AND_RAM, LoadSettings
from .capability import (
    why_not_comfyui,
    why_not_fp8,
    why_not_kept,
    why_not_packed,
    why_not_quantization,
)
from .hardware import Machine

# How the weights get from the files into memory.
PLAIN, FP8, FROM_FP8, QUANTIZED, PACKED = "plain", "fp8", "from fp8", "quantized", "packed"
# Those that this pack puts into a module itself; the last four stay packed in memory.
KEPT_FP8, KEPT_4BIT, PACKED_HERE = "fp8 as stored", "4-bit as stored", "packed here"
KEPT_INT8 = "int8 as stored"
FROM_COMFYUI, FROM_4BIT = "from comfyui", "from 4-bit"
OWN = (PLAIN, FROM_FP8, FROM_COMFYUI, FROM_4BIT, KEPT_FP8, KEPT_4BIT, KEPT_INT8, PACKED_HERE)


def choose_weights(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> tuple[str, list[str]]:
    """How the weights are read, and what to say about it.

    Raises:
        LoadError: what was chosen cannot be; with the choices that can.
    """
    if settings.dtype == "fp8" and not checkpoint.is_fp8:
        raise LoadError(
            f"dtype fp8 was chosen, but {checkpoint.folder.name} holds no FP8 weights.",
            "Choose a checkpoint whose name ends in -FP8, or dtype auto.",
        )
    if reason := why_not_comfyui(checkpoint.quantization):
        raise LoadError(
            f"{checkpoint.folder.name} is quantized in a way that {reason}.",
            "Update ComfyUI, or choose its bf16 or fp8_scaled file.",
        )
    if settings.quantization != "none":
        return _quantized(settings, checkpoint, machine, device)
    if checkpoint.is_fp8:
        kept = _why_not_kept(settings, checkpoint, machine, device)
        if settings.dtype in ("auto", "fp8") and kept is None:
            return KEPT_FP8, ["The weights stay FP8, as they are stored."]
        return _fp8(settings.dtype, checkpoint, machine, device, kept)
    if checkpoint.quantization is None:
        return PLAIN, []
    method = checkpoint.quantization.method
    if method == COMFYUI:
        return _from_comfyui(settings, checkpoint, machine, device)
    kept = _why_not_kept(settings, checkpoint, machine, device)
    if checkpoint.quantization.four_bits and kept is None:
        return KEPT_4BIT, [f"The weights stay 4-bit, as {method} stored them."]
    reason = why_not_packed(machine, method) or _why_not_right(checkpoint, device)
    if reason and checkpoint.quantization.four_bits and not _has_experts(checkpoint):
        return FROM_4BIT, [f"The 4-bit weights become plain ones while loading: {kept}; {reason}."]
    if reason:
        raise LoadError(
            f"{checkpoint.folder.name} is quantized with {method}, but {reason}.",
            "Install it into ComfyUI's Python, or choose the plain or the FP8 checkpoint.",
        )
    return PACKED, [f"The weights stay quantized, as {method} made them."]


def _from_comfyui(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> tuple[str, list[str]]:
    """ComfyUI's own packed layers: its int8 stays where the kernels read it, the rest does not."""
    packed = checkpoint.quantization
    kept = int8_layers(packed, checkpoint.tensors)
    formats = ", ".join(packed.formats) if packed else ""
    small = "quantization int8 or int4 keeps them small."
    why_not = _why_not_kept(settings, checkpoint, machine, device) if kept else None
    if kept and why_not is None:
        others = len(packed.layers) - len(kept) if packed else 0
        notes = ["The int8 weights stay 8-bit, as ComfyUI stored them."]
        if any(kept.values()):
            notes.append("Their inputs are rotated as the weights were.")
        if others:
            notes.append(f"{others} other packed layers of it become plain ones while loading.")
        return KEPT_INT8, notes
    reason = f" ({why_not})" if why_not else ""
    return FROM_COMFYUI, [
        f"Its weights ({formats}) become plain ones while loading{reason}; {small}"
    ]


def _has_experts(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.architecture.text.sparse_layers)


def _why_not_right(checkpoint: Checkpoint, device: torch.device) -> str | None:
    """Where a tool's own code computes something else than what is stored."""
    packed = checkpoint.quantization
    if device.type != "cpu" or packed is None or packed.method != BITSANDBYTES:
        return None
    shapes = checkpoint.architecture.tensors()
    names = [n.removesuffix(".absmax") for n in checkpoint.tensors if n.endswith(".weight.absmax")]
    if all(shapes[name][-1] % NF4_BLOCK == 0 for name in names if name in shapes):
        return None
    return "bitsandbytes on a CPU mixes up scales that are for parts of two rows"


def _why_not_kept(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> str | None:
    if settings.device in (ALL_GPUS, GPU_AND_RAM):
        return f"device {settings.device} moves its layers about"
    if settings.engine == "reference":
        return "the reference engine computes with plain ones"
    if not all(adapter.merged for adapter in settings.adapters):
        return "a LoRA is attached to them"
    return why_not_kept(machine, device) or _why_not_experts(checkpoint)


def _why_not_experts(checkpoint: Checkpoint) -> str | None:
    """Why experts cannot stay as they are stored; None when they can, or are none."""
    packed = checkpoint.quantization
    if packed is None or not _has_experts(checkpoint):
        return None
    if not packed.is_fp8:
        return "4-bit experts are not read as they are stored"
    if has_uneven_experts(checkpoint.architecture.text, checkpoint.tensors, packed.block):
        return "its experts are not FP8 in whole blocks"
    return None


def _quantized(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> tuple[str, list[str]]:
    packed_here = settings.quantization in ("int4", "int8")
    if checkpoint.is_file and not packed_here:
        raise LoadError(
            "A single file cannot be quantized while loading.",
            "Choose quantization none, or the folder of the official checkpoint.",
        )
    wish = f"Quantization {settings.quantization} was chosen"
    if checkpoint.quantization is not None and checkpoint.quantization.method != COMFYUI:
        raise LoadError(
            f"{wish}, but {checkpoint.folder.name} is quantized already "
            f"({checkpoint.quantization.method}).",
            "Choose quantization none, or the plain checkpoint.",
        )
    if packed_here:
        return PACKED_HERE, _packed_notes(settings, machine, device)
    if reason := why_not_quantization(machine, device):
        raise LoadError(
            f"{wish}, but {reason}.",
            "Install it into ComfyUI's Python, or choose quantization none; an FP8 checkpoint "
            "is smaller too.",
        )
    notes = [f"{settings.quantization}: the vision tower and lm_head keep their precision."]
    if _has_experts(checkpoint):
        notes.append(
            "The experts, most of this model, cannot be quantized by bitsandbytes and keep "
            "their precision; the FP8 checkpoint saves more."
        )
    return QUANTIZED, notes


def _packed_notes(settings: LoadSettings, machine: Machine, device: torch.device) -> list[str]:
    """What packing as int4 or int8 leaves alone, and where it is slow."""
    notes = [
        f"{settings.quantization}: the vision tower keeps its precision; the table of tokens and "
        "the output layer have 8 bits."
    ]
    if reason := why_not_kept(machine, device):
        notes.append(f"Each use makes plain weights of them, which is slow: {reason}.")
    return notes


def _fp8(
    dtype: str,
    checkpoint: Checkpoint,
    machine: Machine,
    device: torch.device,
    not_kept: str | None,
) -> tuple[str, list[str]]:
    """FP8 weights that the fast engine cannot read, for the reason `not_kept`: they stay FP8 only
    where that is chosen, by transformers' own layers.
    """
    reason = _why_not_fp8(checkpoint, machine, device)
    if dtype == "fp8":
        if reason:
            raise LoadError(
                f"dtype fp8 was chosen, but {reason}.",
                "Choose dtype auto or bf16: the FP8 weights are then turned into bf16 while "
                "loading.",
            )
        return FP8, ["The weights stay FP8."]
    turned = not_kept if dtype == "auto" else f"dtype {dtype} was chosen"
    return FROM_FP8, [f"The FP8 weights are turned into plain ones while loading: {turned}."]


def _why_not_fp8(checkpoint: Checkpoint, machine: Machine, device: torch.device) -> str | None:
    if checkpoint.quantization is not None and not checkpoint.quantization.has_blocks:
        return "its FP8 has one scale for a matrix, and no block scales"
    return why_not_fp8(machine, device, _has_experts(checkpoint))


def could_stay_fp8(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> bool:
    """Whether FP8 weights that become plain would stay FP8 where dtype fp8 is chosen."""
    return None in (
        _why_not_kept(settings, checkpoint, machine, device),
        _why_not_fp8(checkpoint, machine, device),
    )
