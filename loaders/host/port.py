"""Who owns memory, folders and the queue: ComfyUI when we run in it, else plain torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from ...utils.roots.allowed_folders import AllowedFolders

if TYPE_CHECKING:
    from PIL.Image import Image


class Residence(Protocol):
    """A loaded module's place in memory management."""

    def claim(self, working_bytes: int) -> None:
        """Be on the device, in use, with room for `working_bytes` beside it."""
        ...

    def leave(self) -> None:
        """Drop the weights."""
        ...


class ProgressBar(Protocol):
    """A bar on the running node."""

    def show(self, done: float, line: str = "", picture: Image | None = None) -> None:
        """Set it to `done` of its total, with a line of text and a picture in the node."""
        ...

    def tell(self, **facts: Any) -> None:
        """Send facts about the run to whoever started it."""
        ...


class Lent(Protocol):
    """A model's weights in the host's memory, which stay the host's; see `comfyui_clip`."""

    name: str

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def weights(self) -> Mapping[str, nn.Parameter]:
        """By the names that the host has for them."""
        ...

    def is_packed(self, weight: torch.Tensor) -> bool:
        """Whether a weight is quantized in the host's own way."""
        ...

    def plain(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight as a plain tensor, where it lies."""
        ...

    def claim(self, working_bytes: int) -> None:
        """Have it on its device, with `working_bytes` free beside it."""
        ...

    def on_moved(self, moved: Callable[[], None], key: str) -> None:
        """Call `moved` after the weights have left their device."""
        ...


class Host(Protocol):
    """What the pack asks of its host; see `comfyui` for each."""

    def default_device(self) -> torch.device:
        """The device that "auto" means."""
        ...

    def free_bytes(self, device: torch.device) -> int:
        """Memory that can be used now."""
        ...

    def make_room(self, wanted_bytes: int, device: torch.device, keep: Any = None) -> None:
        """Evict other models until `wanted_bytes` are free."""
        ...

    def check_interrupt(self) -> None:
        """Raise if the user wants to stop."""
        ...

    def interrupts(self) -> type[BaseException]:
        """What `check_interrupt` raises."""
        ...

    def progress_bar(self, total: int, node_id: str | None = None) -> ProgressBar:
        """A bar on the running node, or on the one named."""
        ...

    def residence(
        self,
        module: nn.Module,
        device: torch.device,
        size_bytes: int,
        on_evicted: Callable[[], None],
        on_parked: Callable[[], bool] | None = None,
    ) -> Residence:
        """Put a module under memory management."""
        ...

    def model_roots(self) -> list[Path]:
        """Folders in which checkpoints may lie."""
        ...

    def adapter_roots(self) -> list[Path]:
        """Folders in which adapters may lie."""
        ...

    def download_folder(self) -> Path:
        """Where a checkpoint that is not there yet belongs."""
        ...

    def tokenizer_folder(self) -> Path:
        """The vocabulary for a checkpoint that is a single file."""
        ...

    def quantized_formats(self) -> frozenset[str]:
        """The formats of ComfyUI's own packed layers that can be read here."""
        ...

    def plain_weight(
        self,
        said: Mapping[str, Any],
        stored: Mapping[str, torch.Tensor],
        shape: tuple[int, int],
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """Such a layer's weight as a plain matrix; only where its format can be read."""
        ...

    def lend(self, clip: Any) -> Lent:
        """The Qwen3-VL that a text encoder of the host's is; a LoadError where it is none."""
        ...

    def nothing(self) -> Any:
        """What an output carries so that nothing behind it runs."""
        ...

    def allowed_folders(self) -> AllowedFolders:
        """Where nodes may read and write."""
        ...

    def user_folder(self) -> Path:
        """Where what belongs to the user is kept; no workflow writes there."""
        ...


def host() -> Host:
    """The one for this process."""
    if importlib.util.find_spec("comfy") is not None:
        from . import comfyui

        return comfyui  # type: ignore[return-value]
    from . import torch_only

    return torch_only  # type: ignore[return-value]
