"""ComfyUI as the host: devices, memory and interrupt here, folders and progress beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from .comfyui_clip import LentClip
from .comfyui_folders import (  # noqa: F401 - of the port
    adapter_roots,
    allowed_folders,
    download_folder,
    model_roots,
    tokenizer_folder,
    user_folder,
)
from .comfyui_progress import NodeBar
from .comfyui_weights import plain_weight, quantized_formats  # noqa: F401 - of the port
from .model_patcher import patcher_class

progress_bar = NodeBar
lend = LentClip


def default_device() -> torch.device:
    """The device ComfyUI computes on."""
    from comfy import model_management

    return model_management.get_torch_device()


def free_bytes(device: torch.device) -> int:
    """Memory that can be used on `device` now, unused cache of torch included."""
    from comfy import model_management

    return int(model_management.get_free_memory(device))


def make_room(
    wanted_bytes: int, device: torch.device, keep: PatcherResidence | None = None
) -> None:
    """Ask ComfyUI to unload other models until `wanted_bytes` are free on `device`."""
    from comfy import model_management

    loaded = model_management.current_loaded_models
    kept = [m for m in loaded if keep is not None and m.model is keep.patcher]
    model_management.free_memory(wanted_bytes, device, keep_loaded=kept)
    model_management.soft_empty_cache()


class _Resident(nn.Module):
    """Carries a Hugging Face module for ModelPatcher, which sets `device` as an attribute.

    The module is on its device already, so the accounting starts as fully loaded: otherwise
    ComfyUI would make room for it a second time.
    """

    def __init__(self, module: nn.Module, device: torch.device, size_bytes: int):
        super().__init__()
        self.module = module
        self.device = device
        self.model_loaded_weight_memory = size_bytes


class PatcherResidence:
    """A module's place in ComfyUI's memory management.

    Args:
        module: a module whose weights are on `device`.
        device: where it computes.
        size_bytes: the size of its weights there.
        on_evicted: called when ComfyUI takes the module off the device, because another model
            wants the memory or the user pressed an unload button. It has to `leave`, now or
            when the module's last user is done; a later use loads the weights again.
        on_parked: given, the weights go into RAM instead, and come back when they are claimed;
            called just before they move, for whatever points at them. False means that they
            are in use and cannot move: then they are evicted. Only for movable weights.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        size_bytes: int,
        on_evicted: Callable[[], None],
        on_parked: Callable[[], bool] | None = None,
    ):
        self._listed = False
        self.patcher = _patcher_class()(
            _Resident(module, device, size_bytes),
            load_device=device,
            offload_device=torch.device("cpu"),
            size=size_bytes,
        )
        self.patcher.set_up(self._unlist, on_evicted, on_parked)

    def _unlist(self) -> None:
        self._listed = False

    def claim(self, working_bytes: int) -> None:
        """Mark the module as in use now and make room for `working_bytes` beside it."""
        from comfy import model_management

        self._listed = True
        model_management.load_models_gpu(
            [self.patcher], memory_required=working_bytes, force_full_load=True
        )

    def leave(self) -> None:
        """Drop the weights and leave ComfyUI's list, unless ComfyUI itself is doing that."""
        from comfy import model_management

        self.patcher.on_parked = None  # from here on there is no coming back
        if self._listed:
            loaded = model_management.current_loaded_models
            for entry in [m for m in loaded if m.model is self.patcher]:
                loaded.remove(entry)
                entry.model_unload()
        self.patcher.drop()


residence = PatcherResidence


@lru_cache(maxsize=1)
def _patcher_class() -> Any:
    """Our ModelPatcher; made late, because comfy must not be imported with this module."""
    from comfy.model_patcher import ModelPatcher

    return patcher_class(ModelPatcher)


def check_interrupt() -> None:
    """Raise ComfyUI's interrupt if the user asked for it."""
    from comfy import model_management

    model_management.throw_exception_if_processing_interrupted()


def nothing() -> Any:
    """In place of an output that a run does not have: what is linked to it does not run.

    A host that does not know such outputs gets None.
    """
    try:
        from comfy_execution.graph_utils import ExecutionBlocker
    except ImportError:
        return None
    return ExecutionBlocker(None)


def interrupts() -> type[BaseException]:
    """What `check_interrupt` raises."""
    from comfy import model_management

    return model_management.InterruptProcessingException
