"""Memory without ComfyUI: the same three promises, kept with torch alone.

For scripts and measurements. Inside ComfyUI `comfyui` does this, with all other models.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...utils.errors import LoadError
from ...utils.roots.allowed_folders import AllowedFolders
from .owner_settings import owner_settings
from .teardown import empty

if TYPE_CHECKING:
    from PIL.Image import Image

# Below the folder that a script is run in.
MODELS_FOLDER = Path("models")

# Least recently used first.
_residents: list[TorchResidence] = []


def default_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def free_bytes(device: torch.device) -> int:
    """Memory that can be used on `device` now, unused cache of torch included."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    import psutil

    return psutil.virtual_memory().available


def make_room(wanted_bytes: int, device: torch.device, keep: TorchResidence | None = None) -> None:
    """Evict models, least recently used first, until `wanted_bytes` are free on `device`."""
    for resident in [r for r in _residents if r is not keep and r.device == device]:
        if free_bytes(device) >= wanted_bytes:
            break
        resident.evict()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def quantized_formats() -> frozenset[str]:
    """None: only ComfyUI's own code reads the layers that its files hold packed."""
    return frozenset()


def lend(clip: Any) -> Any:
    """A script holds no text encoders.

    Raises:
        LoadError: always.
    """
    raise LoadError("There is no ComfyUI whose CLIP could be used.", "Use a LocalModel.")


def check_interrupt() -> None:
    """Nobody interrupts a script but Python itself."""


def interrupts() -> type[BaseException]:
    """What Python itself interrupts a script with."""
    return KeyboardInterrupt


def nothing() -> None:
    """A script has nothing behind an output."""


class NoBar:
    """Shows nothing."""

    def __init__(self, total: int, node_id: str | None = None):
        self.total = total

    def show(self, done: float, line: str = "", picture: Image | None = None) -> None:
        """Do nothing."""

    def tell(self, **facts: Any) -> None:
        """Do nothing."""


progress_bar = NoBar


def model_roots() -> list[Path]:
    """Where a script's checkpoints lie: `models/LLM` below its own folder."""
    return [root for root in (MODELS_FOLDER / "LLM",) if root.is_dir()]


def adapter_roots() -> list[Path]:
    """Where a script's adapters lie."""
    return [root for root in (MODELS_FOLDER / "loras", MODELS_FOLDER / "LLM") if root.is_dir()]


def download_folder() -> Path:
    """Where a checkpoint that is not there yet belongs."""
    return MODELS_FOLDER / "LLM" / "Qwen-VL"


def tokenizer_folder() -> Path:
    """Where a script keeps the vocabulary for single files."""
    return MODELS_FOLDER / "qwen25_tokenizer"


def allowed_folders() -> AllowedFolders:
    """What the owner lists; a script has no folders of its own."""
    owner = owner_settings()
    return AllowedFolders(owner.folders, owner.problem)


def user_folder() -> Path:
    """The folder that a script is run in."""
    return Path()


class TorchResidence:
    """See `comfyui.PatcherResidence`."""

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        size_bytes: int,
        on_evicted: Callable[[], None],
        on_parked: Callable[[], bool] | None = None,
    ):
        self.device, self.size_bytes = device, size_bytes
        self._module = module
        self._on_evicted, self._on_parked = on_evicted, on_parked
        self._parked = False

    def claim(self, working_bytes: int) -> None:
        """Become the most recently used, on the device, with room for `working_bytes`."""
        if self in _residents:
            _residents.remove(self)
        if self._parked:
            make_room(self.size_bytes + working_bytes, self.device)
            self._module.to(self.device)
            self._parked = False
        else:
            make_room(working_bytes, self.device, keep=self)
        _residents.append(self)

    def evict(self) -> None:
        """Leave the device: into RAM where the weights may be parked, else for good."""
        _residents.remove(self)
        if self._on_parked is not None and self._on_parked():
            self._module.to("cpu")
            self._parked = True
        else:
            self._on_evicted()

    def leave(self) -> None:
        """Drop the weights."""
        if self in _residents:
            _residents.remove(self)
        empty(self._module)


residence = TorchResidence
