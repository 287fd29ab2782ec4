"""Where memory is managed: ComfyUI when we run inside it, plain torch in a script."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn


class Residence(Protocol):
    """A loaded module's place in memory management."""

    def claim(self, working_bytes: int) -> None:
        """Be on the device, in use, with room for `working_bytes` beside it."""
        ...

    def leave(self) -> None:
        """Drop the weights."""
        ...


class Host(Protocol):
    """What loading needs from whoever owns the memory; see `comfyui` for each."""

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

    def ProgressBar(self, total: int, node_id: str | None = None) -> Any:  # noqa: N802 - a class
        """A bar on the running node."""
        ...

    def Residence(  # noqa: N802 - a class
        self,
        module: nn.Module,
        device: torch.device,
        size_bytes: int,
        on_evicted: Callable[[], None],
        on_parked: Callable[[], bool] | None = None,
    ) -> Residence:
        """Put a module under memory management."""
        ...


def host() -> Host:
    """The one for this process."""
    if importlib.util.find_spec("comfy") is not None:
        from . import comfyui

        return comfyui  # type: ignore[return-value]
    from . import torch_only

    return torch_only  # type: ignore[return-value]
