"""What is really there: GPUs, memory, packages. Looked at once, when a model is first wanted."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch

# Import name to the names it is distributed under.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "transformers": ("transformers",),
    "accelerate": ("accelerate",),
    "bitsandbytes": ("bitsandbytes",),
    "flash_attn": ("flash-attn",),
    "flash_attn_interface": ("flash-attn-3", "flash_attn_3"),
    "triton": ("triton", "triton-windows", "pytorch-triton"),
    "kernels": ("kernels",),
    "compressed_tensors": ("compressed-tensors",),
    "torchao": ("torchao",),
    "gptqmodel": ("gptqmodel",),
    "awq": ("autoawq",),
    "auto_gptq": ("auto-gptq",),
    "peft": ("peft",),
    "huggingface_hub": ("huggingface_hub",),
    "modelscope": ("modelscope",),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A CUDA device; `capability` is its compute capability, `arch` AMD's name for its kind."""

    name: str
    capability: tuple[int, int]
    total_bytes: int
    arch: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts that decide what can be loaded; `packages` gives the version of each installed one."""

    gpus: tuple[Gpu, ...] = ()
    mps: bool = False
    rocm: bool = False
    ram_bytes: int = 0
    packages: Mapping[str, str] = field(default_factory=dict)

    def has(self, *packages: str) -> bool:
        """Whether any of these packages is installed."""
        return any(package in self.packages for package in packages)

    @property
    def transformers_major(self) -> int:
        """4 or 5; 0 where transformers is not installed."""
        return int(self.packages.get("transformers", "0").split(".")[0])

    def gpu_of(self, device: torch.device) -> Gpu | None:
        """The GPU behind a device; None for anything but CUDA."""
        return self.gpus[device.index or 0] if device.type == "cuda" and self.gpus else None

    def total_bytes(self, device: torch.device) -> int:
        """All memory of a device, used or not."""
        gpu = self.gpu_of(device)
        return gpu.total_bytes if gpu else self.ram_bytes


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The machine we run on. Initializes CUDA, so it is never called for a menu."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Machine(
        gpus=tuple(_gpu(index) for index in range(count)),
        mps=torch.backends.mps.is_available(),
        rocm=torch.version.hip is not None,
        ram_bytes=_ram_bytes(),
        packages={name: version for name in PACKAGES if (version := _version(name))},
    )


def _gpu(index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    arch = str(getattr(properties, "gcnArchName", "")).split(":")[0] if torch.version.hip else ""
    capability = (properties.major, properties.minor)
    return Gpu(properties.name, capability, properties.total_memory, arch)


def _ram_bytes() -> int:
    try:
        import psutil
    except ImportError:  # accelerate and ComfyUI both bring it
        return 0
    return psutil.virtual_memory().total


def _version(package: str) -> str | None:
    """Its version, or None; a folder that only looks like the package does not count."""
    for distribution in PACKAGES[package]:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # another pack has put a stand-in for it into sys.modules
        return None
    return "?" if spec is not None and spec.origin is not None else None
