"""What this machine can do: the device, dtype and attention that a choice comes to."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import torch

from ..utils.errors import LoadError
from . import comfy_bridge
from .settings import LoadSettings

TORCH_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a checkpoint will be built, every "auto" decided."""

    device: torch.device
    dtype: torch.dtype
    attention: str
    quantization: str


def plan(settings: LoadSettings, weight_bytes: int) -> Plan:
    """Decide what is "auto" and refuse what cannot work here.

    Args:
        settings: the user's choices.
        weight_bytes: the checkpoint's size on disk, 2 bytes a weight.

    Raises:
        LoadError: naming the choice, why it cannot work, and one that does.
    """
    device = _device(settings.device)
    if settings.quantization != "none":
        _need_package("bitsandbytes", f"quantization {settings.quantization}", "none")
    if settings.attention == "flash_attention_2":
        _need_package("flash_attn", "attention flash_attention_2", "sdpa")
        if device.type != "cuda":
            raise LoadError(
                f"flash_attention_2 does not run on {device}.", "Choose attention sdpa or auto."
            )
    dtype = _dtype(settings.dtype, device, weight_bytes)
    attention = "sdpa" if settings.attention == "auto" else settings.attention
    return Plan(device, dtype, attention, settings.quantization)


def _device(choice: str) -> torch.device:
    if choice == "auto":
        return comfy_bridge.default_device()
    device = torch.device(choice)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"only {count} CUDA devices" if count else "no CUDA device"
            raise LoadError(
                f"Device {choice} was chosen, but this machine has {have}.",
                "Choose device auto or cpu.",
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise LoadError("Device mps was chosen, but this is not a Mac with Metal.", "Choose auto.")
    return device


def _dtype(choice: str, device: torch.device, weight_bytes: int) -> torch.dtype:
    if choice != "auto":
        return TORCH_DTYPES[choice]
    if device.type == "cuda":
        bf16 = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if bf16 else torch.float16
    if device.type == "cpu":
        # fp32 is the quick and exact one on most CPUs, where it leaves memory for the rest.
        fits = 2 * weight_bytes < comfy_bridge.free_bytes(device) // 2
        return torch.float32 if fits else torch.bfloat16
    return torch.float16


def _need_package(package: str, wish: str, instead: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise LoadError(
            f"{wish} needs the package {package}, which is not installed.",
            f"Install it into ComfyUI's Python, or choose {instead}.",
        )
