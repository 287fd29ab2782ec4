"""Decides how a checkpoint will be loaded here: every "auto" chosen, every choice checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ...utils.errors import LoadError
from ..checkpoint.four_bits import BITSANDBYTES, NF4_BLOCK
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.quantization import COMFYUI
from ..checkpoint.rope import context_tokens
from ..settings import ALL_GPUS, ATTENTION, GPU_AND_RAM, PARK, LoadSettings
from .capability import (
    HALVES,
    devices_here,
    why_not_attention,
    why_not_comfyui,
    why_not_device,
    why_not_dtype,
    why_not_fp8,
    why_not_kept,
    why_not_packed,
    why_not_quantization,
)
from .hardware import Machine

COMPUTE_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# How the weights get from the files into memory.
PLAIN, FP8, FROM_FP8, QUANTIZED, PACKED = "plain", "fp8", "from fp8", "quantized", "packed"
# Those that this pack puts into a module itself; the last three stay packed in memory.
KEPT_FP8, KEPT_4BIT, PACKED_HERE = "fp8 as stored", "4-bit as stored", "packed here"
FROM_COMFYUI, FROM_4BIT = "from comfyui", "from 4-bit"
OWN = (PLAIN, FROM_FP8, FROM_COMFYUI, FROM_4BIT, KEPT_FP8, KEPT_4BIT, PACKED_HERE)
FreeBytes = Callable[[torch.device], int]
ONE_DEVICE, SPREAD, OFFLOAD = "one device", "all GPUs", "GPU and RAM"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a checkpoint will be built, every "auto" decided.

    `weights` says how they are read, `placement` where they go, `context` how many tokens the
    model holds. `notes` explain, a sentence each, what was decided and why.
    """

    device: torch.device
    dtype: torch.dtype
    attention: str
    quantization: str
    weights: str = PLAIN
    placement: str = ONE_DEVICE
    context: int = 0
    keep: str = ""
    notes: tuple[str, ...] = ()
    could_stay_fp8: bool = False  # in half the memory, where dtype fp8 is chosen

    @property
    def movable(self) -> bool:
        """Whether the weights can be moved to RAM and back."""
        return self.weights in OWN and self.placement == ONE_DEVICE


def plan(
    settings: LoadSettings,
    checkpoint: Checkpoint,
    machine: Machine,
    default_device: torch.device,
    free_bytes: FreeBytes,
) -> Plan:
    """Decide what is "auto" and refuse what cannot work here.

    Args:
        settings: the user's choices.
        checkpoint: what will be loaded.
        machine: where.
        default_device: what device "auto" comes to.
        free_bytes: what is free on a device now.

    Raises:
        LoadError: naming the choice, why it cannot work, and the ones that do.
    """
    device, placement = _device(settings, machine, default_device)
    weights, notes = _weights(settings, checkpoint, machine, device)
    dtype, why = _dtype(settings.dtype, machine, device, 4 * checkpoint.parameters, free_bytes)
    packed = checkpoint.quantization
    if weights == PACKED and packed and packed.dtype and settings.dtype == "auto":
        dtype, why = getattr(torch, packed.dtype), "what its packed layers compute in"
    if settings.dtype in ("auto", "fp8"):
        notes.append(f"dtype {_short(dtype)}: {why}.")
    attention = _attention(settings.attention, machine, device, dtype)
    if settings.attention == "auto":
        notes.append("attention sdpa: it is part of torch and runs everywhere.")
    context = context_tokens(checkpoint.architecture.text.context, settings.context)
    chosen = Plan(
        device, dtype, attention, settings.quantization, weights, placement, context, settings.keep
    )
    if placement != ONE_DEVICE and weights not in (PLAIN, FROM_FP8, FROM_COMFYUI, FROM_4BIT):
        raise LoadError(
            f"Device {settings.device} does not go together with {_kind(chosen, checkpoint)}.",
            "Choose one device, or a checkpoint of plain weights with quantization none.",
        )
    if settings.keep == PARK and not chosen.movable:
        notes.append("Weights of this kind cannot be parked in RAM: they are unloaded instead.")
    could_stay = weights == FROM_FP8 and placement == ONE_DEVICE
    could_stay = could_stay and None in (
        _why_not_kept(settings, checkpoint, machine, device),
        _why_not_fp8(checkpoint, machine, device),
    )
    return replace(chosen, notes=tuple(notes), could_stay_fp8=could_stay)


def _device(
    settings: LoadSettings, machine: Machine, default: torch.device
) -> tuple[torch.device, str]:
    choice = settings.device
    if choice == ALL_GPUS:
        if len(machine.gpus) < 2:
            raise LoadError(
                f"Device {ALL_GPUS} was chosen, but this machine has {len(machine.gpus)} CUDA "
                "devices.",
                f"Choose one of {', '.join(devices_here(machine))}.",
            )
        return torch.device("cuda:0"), SPREAD
    if choice == GPU_AND_RAM:
        if not machine.gpus:
            raise LoadError(
                f"Device {GPU_AND_RAM} was chosen, but this machine has no CUDA device.",
                f"Choose one of {', '.join(devices_here(machine))}.",
            )
        return torch.device(default if default.type == "cuda" else "cuda:0"), OFFLOAD
    device = default if choice == "auto" else torch.device(choice)
    if reason := why_not_device(machine, device):
        raise LoadError(
            f"Device {choice} was chosen, but {reason}.",
            f"Choose one of {', '.join(devices_here(machine))}.",
        )
    return device, ONE_DEVICE


def _weights(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> tuple[str, list[str]]:
    """How the weights are read, and what to say about it."""
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
        return FROM_COMFYUI, [
            f"Its weights ({', '.join(checkpoint.quantization.formats)}) become plain ones while "
            "loading; quantization int8 or int4 keeps them small."
        ]
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
    return why_not_kept(machine, device, _has_experts(checkpoint))


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
        return PACKED_HERE, _packed_notes(settings, checkpoint, machine, device)
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


def _packed_notes(
    settings: LoadSettings, checkpoint: Checkpoint, machine: Machine, device: torch.device
) -> list[str]:
    """What packing as int4 or int8 leaves alone, and where it is slow."""
    notes = [f"{settings.quantization}: the vision tower and lm_head keep their precision."]
    if _has_experts(checkpoint):
        notes.append("The experts, most of this model, keep their precision.")
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


def _dtype(
    choice: str, machine: Machine, device: torch.device, fp32_bytes: int, free_bytes: FreeBytes
) -> tuple[torch.dtype, str]:
    """The dtype and the reason for it."""
    if choice in COMPUTE_DTYPES:
        dtype = COMPUTE_DTYPES[choice]
        if reason := why_not_dtype(machine, device, dtype):
            # Slow is the user's to choose; what a device lacks is not.
            if device.type == "cpu":
                return dtype, "it was chosen"
            raise LoadError(f"dtype {choice} was chosen, but {reason}.", "Choose auto or fp16.")
        return dtype, "it was chosen"
    if device.type == "cuda":
        reason = why_not_dtype(machine, device, torch.bfloat16)
        if reason:
            return torch.float16, reason
        return torch.bfloat16, "the checkpoint's own, and this GPU has it"
    if device.type == "cpu":
        # fp32 is the quick and exact one on most CPUs, where it leaves memory for the rest.
        if fp32_bytes < free_bytes(device) // 2:
            return torch.float32, "quickest and most exact on a CPU, and there is room"
        return torch.bfloat16, "fp32 would take more than half of the free memory"
    return torch.float16, f"the safe one on {device.type}"


def _attention(choice: str, machine: Machine, device: torch.device, dtype: torch.dtype) -> str:
    if choice == "auto":
        return "sdpa"
    reason = why_not_attention(machine, device, choice)
    if not reason and choice.startswith("flash") and dtype not in HALVES:
        reason = f"it needs bf16 or fp16, not {_short(dtype)}"
    if reason:
        works = [a for a in ATTENTION if not why_not_attention(machine, device, a)]
        works = [a for a in works if dtype in HALVES or not a.startswith("flash")]
        raise LoadError(
            f"Attention {choice} was chosen, but {reason}.", f"Choose one of {', '.join(works)}."
        )
    return choice


def _kind(chosen: Plan, checkpoint: Checkpoint) -> str:
    if chosen.weights in (QUANTIZED, PACKED_HERE):
        return f"quantization {chosen.quantization}"
    return f"{checkpoint.quantization.method if checkpoint.quantization else 'packed'} weights"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
