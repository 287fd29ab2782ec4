"""Decides how a checkpoint will be loaded here: every "auto" chosen, every choice checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ...utils.errors import LoadError
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.rope import context_tokens
from ..settings import ALL_GPUS, ATTENTION, GPU_AND_RAM, PARK, LoadSettings
from .capability import (
    HALVES,
    devices_here,
    why_not_attention,
    why_not_device,
    why_not_dtype,
)
from .hardware import Machine
from .weight_ways import (
    FROM_4BIT,
    FROM_COMFYUI,
    FROM_FP8,
    OWN,
    PACKED,
    PACKED_HERE,
    PLAIN,
    QUANTIZED,
    choose_weights,
    could_stay_fp8,
)

COMPUTE_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
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
    weights, notes = choose_weights(settings, checkpoint, machine, device)
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
    could_stay = could_stay and could_stay_fp8(settings, checkpoint, machine, device)
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
