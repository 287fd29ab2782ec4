"""Which choices of the loader work on a machine, and why the others do not."""

from __future__ import annotations

import re

import torch

from ...utils.text.amounts import GB
from ..checkpoint.four_bits import PACKED_LEAVES
from ..checkpoint.quantization import COMFYUI, Quantization
from ..host.port import host
from ..settings import ALL_GPUS, GPU_AND_RAM
from .hardware import Machine

# Checkpoints packed by other tools, by quant_method: the packages of which one must be there.
PACKERS: dict[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "torchao": ("torchao",),
    "awq": ("gptqmodel", "awq"),
    "gptq": ("gptqmodel", "auto_gptq"),
}
FP8_CAPABILITY = (8, 9)
# Triton's products of matrices need it.
KERNELS_CAPABILITY = (8, 0)
# RDNA 2 and older, by the start of their names: ComfyUI computes in fp16 on them.
AMD_WITHOUT_BF16 = ("gfx103", "gfx101", "gfx906", "gfx900", "gfx803")
# Optional packages by their oldest version that is known to work; the project's own list says so.
FLOORS = {"bitsandbytes": (0, 46), "peft": (0, 20)}
HALVES = (torch.bfloat16, torch.float16)
# These never change their frequencies with the length, so a cached key keeps its rotation.
STATIC_ROPE = ("default", "linear", "yarn", "llama3")


def why_not_device(machine: Machine, device: torch.device) -> str | None:
    """Why a device cannot be used; None when it can."""
    if device.type == "cuda" and (device.index or 0) >= len(machine.gpus):
        have = f"only {len(machine.gpus)}" if machine.gpus else "no"
        return f"this machine has {have} CUDA device{'s' if machine.gpus else ''}"
    if device.type == "mps" and not machine.mps:
        return "this is not a Mac with Metal"
    return None


def devices_here(machine: Machine) -> list[str]:
    """The device choices that work on a machine."""
    several = [ALL_GPUS] if len(machine.gpus) > 1 else []
    offload = [GPU_AND_RAM] if machine.gpus else []
    cuda = [f"cuda:{n}" for n in range(len(machine.gpus))]
    return ["auto", *cuda, *(["mps"] if machine.mps else []), "cpu", *several, *offload]


def why_not_dtype(machine: Machine, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a dtype does not compute well on a device; None when it does."""
    gpu = machine.gpu_of(device)
    if dtype == torch.bfloat16 and gpu and not machine.rocm and gpu.capability < (8, 0):
        return f"{gpu.name} (compute {_dotted(gpu.capability)}) has no bf16"
    if dtype == torch.bfloat16 and gpu and gpu.arch.startswith(AMD_WITHOUT_BF16):
        return f"{gpu.name} ({gpu.arch}) has no bf16"
    if dtype == torch.float16 and device.type == "cpu":
        return "a CPU computes fp16 very slowly"
    return None


def why_not_attention(machine: Machine, device: torch.device, attention: str) -> str | None:
    """Why an attention cannot be used on a device; None when it can."""
    needs = {
        "flash_attention_2": ("flash_attn", (8, 0)),
        "flash_attention_3": ("flash_attn_interface", (9, 0)),
    }
    if attention not in needs:
        return None
    package, capability = needs[attention]
    gpu = machine.gpu_of(device)
    if gpu is None:
        return f"it does not run on {device}"
    if not machine.rocm and gpu.capability < capability:
        return f"{gpu.name} has compute {_dotted(gpu.capability)}; it needs {_dotted(capability)}"
    if not machine.has(package):
        return _lacks(package)
    return None


def why_not_quantization(machine: Machine, device: torch.device) -> str | None:
    """Why bitsandbytes cannot quantize for a device; None when it can."""
    if reason := _why_not_package(machine, "bitsandbytes"):
        return reason
    if device.type == "mps":
        return "bitsandbytes does not run on mps"
    return None


def why_not_fp8(machine: Machine, device: torch.device, moe: bool = False) -> str | None:
    """Why FP8 weights cannot be multiplied as they are; None when they can.

    transformers 4.57 brings its own Triton kernels for linear layers, but has none for experts;
    transformers 5 takes its kernels through the package `kernels`.
    """
    gpu = machine.gpu_of(device)
    if gpu is None or machine.rocm:
        return f"FP8 kernels do not run on {'ROCm' if machine.rocm else device}"
    if gpu.capability < FP8_CAPABILITY:
        return (
            f"{gpu.name} has compute {_dotted(gpu.capability)}; FP8 needs {_dotted(FP8_CAPABILITY)}"
        )
    if machine.transformers_major >= 5:
        return None if machine.has("kernels") else _lacks("kernels")
    if moe:
        return "transformers 4 has no FP8 kernels for experts"
    return None if machine.has("triton") else _lacks("triton")


def why_not_kept(machine: Machine, device: torch.device) -> str | None:
    """Why the fast engine cannot read packed weights as they are; None when it can.

    Its kernels are Triton's, and become 16-bit numbers in registers: no FP8 unit is needed.
    """
    gpu = machine.gpu_of(device)
    if gpu is None or machine.rocm:
        return f"its kernels do not run on {'ROCm' if machine.rocm else device}"
    if gpu.capability < KERNELS_CAPABILITY:
        needed = _dotted(KERNELS_CAPABILITY)
        return f"{gpu.name} has compute {_dotted(gpu.capability)}; its kernels need {needed}"
    return None if machine.has("triton") else _lacks("triton")


def why_not_packed(machine: Machine, method: str) -> str | None:
    """Why a packed checkpoint of this quant_method cannot be loaded; None when it can."""
    if method not in PACKERS:
        return f"quant_method {method!r} is unknown here"
    if not machine.has(*PACKERS[method]):
        return _lacks(PACKERS[method][0])
    return next((why for p in PACKERS[method] if (why := _why_old(machine, p))), None)


def why_not_comfyui(packed: Quantization | None) -> str | None:
    """Why ComfyUI's own packed layers cannot be read here; None when they can, or are none."""
    if packed is None or packed.method != COMFYUI:
        return None
    unknown = sorted(set(packed.formats) - host().quantized_formats())
    return f"this ComfyUI cannot read ({', '.join(unknown)[:120]})" if unknown else None


def why_not_fast(activation: str, rope: str) -> str | None:
    """Why the fast engine cannot drive a model of these; None when config.json tells of nothing."""
    if activation != "silu":
        return f"its activation is {activation}, not silu"
    return None if rope in STATIC_ROPE else f"its rotary embedding is of the kind {rope!r}"


def why_not_attached(machine: Machine) -> str | None:
    """Why a LoRA cannot be attached, which merging it does not need; None when it can."""
    return _why_not_package(machine, "peft")


def table(machine: Machine, device: torch.device) -> str:
    """Every choice of the loader and whether it works on this machine, as text."""
    rows: list[tuple[str, str]] = [("device auto", str(device))]
    rows += [(f"cuda:{n}", _gpu_line(machine, n)) for n in range(len(machine.gpus))]
    rows.append(("memory (RAM)", f"{machine.ram_bytes / GB:.1f} GB"))
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        rows.append((f"dtype {name}", _answer(why_not_dtype(machine, device, dtype))))
    for name in ("flash_attention_2", "flash_attention_3"):
        rows.append((f"attention {name}", _answer(why_not_attention(machine, device, name))))
    rows.append(("quantization 8-bit, 4-bit", _answer(why_not_quantization(machine, device))))
    kept = why_not_kept(machine, device)
    turned = f"become bf16, or what dtype says: {kept}"
    rows.append(("FP8 checkpoints", turned if kept else "stay FP8"))
    rows.append(("quantization int4, int8", f"yes, but slow: {kept}" if kept else "yes"))
    for method in PACKERS:
        answer = _answer(why_not_packed(machine, method))
        own = "4-bit ones stay so in the fast engine; others: " if method in PACKED_LEAVES else ""
        rows.append((f"{method} checkpoints", answer if kept else own + answer))
    forms = ", ".join(sorted(host().quantized_formats()))
    rows.append(("ComfyUI's packed files", forms or "none: this ComfyUI is too old for them"))
    several = "yes" if len(machine.gpus) > 1 else f"no: {len(machine.gpus)} CUDA devices"
    rows.append(("device all GPUs", several))
    rows.append(("LoRA merged", "yes"))
    rows.append(("LoRA attached", _answer(why_not_attached(machine))))
    versions = [f"{p} {machine.packages[p]}" for p in ("torch", "transformers") if machine.has(p)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {answer}" for name, answer in rows]
    return "\n".join([f"This machine: {', '.join(versions)}", *lines])


def _gpu_line(machine: Machine, index: int) -> str:
    gpu = machine.gpus[index]
    return f"{gpu.name}, compute {_dotted(gpu.capability)}, {gpu.total_bytes / GB:.1f} GB"


def _lacks(package: str) -> str:
    return f"it needs the package {package.replace('_', '-')}, which is not installed"


def _why_not_package(machine: Machine, package: str) -> str | None:
    return _why_old(machine, package) if machine.has(package) else _lacks(package)


def _why_old(machine: Machine, package: str) -> str | None:
    """An older version fails in the middle of a load, with words of its own."""
    numbers = re.findall(r"\d+", machine.packages.get(package, ""))[:2]
    floor = FLOORS.get(package)
    if floor is None or len(numbers) < 2 or tuple(map(int, numbers)) >= floor:
        return None
    return f"it needs {package} {_dotted(floor)} or newer, not {machine.packages[package]}"


def _answer(reason: str | None) -> str:
    return f"no: {reason}" if reason else "yes"


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
