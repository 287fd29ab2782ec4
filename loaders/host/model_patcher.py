"""How ComfyUI's ModelPatcher moves a Hugging Face module: whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .teardown import empty


def patcher_class(base: Any) -> Any:
    """A subclass of ComfyUI's ModelPatcher, which is handed in: only `comfyui` imports it."""

    class Patcher(base):
        """Moves a Hugging Face module whole: its plain layers cannot be loaded in part."""

        def set_up(
            self,
            unlist: Callable[[], None],
            on_evicted: Callable[[], None],
            on_parked: Callable[[], bool] | None,
        ) -> None:
            self.unlist, self.on_evicted, self.on_parked = unlist, on_evicted, on_parked

        def partially_load(
            self, device_to: Any, extra_memory: Any = 0, force_patch_weights: bool = False
        ) -> int:
            if self.model.model_loaded_weight_memory:
                return 0
            self._move(self.load_device, self.size)
            return self.size

        def partially_unload(
            self, device_to: Any, memory_to_free: Any = 0, force_patch_weights: bool = False
        ) -> int:
            return 0  # ComfyUI goes on to detach the whole

        def detach(self, unpatch_all: bool = True) -> Any:
            # ComfyUI also detaches, without unpatching, each time it loads a model again.
            if unpatch_all:
                self.unlist()
                if self.on_parked is not None and self.on_parked():
                    self._move(self.offload_device, 0)
                else:
                    self.on_evicted()  # which drops the weights, once nobody uses them
            return self.model

        def drop(self) -> None:
            """Let go of every weight, even if somebody still holds the module."""
            empty(self.model)
            self.model.model_loaded_weight_memory = 0
            self.model.device = self.offload_device

        def _move(self, device: Any, loaded_bytes: int) -> None:
            with torch.inference_mode(False):  # ComfyUI runs nodes inside it
                self.model.to(device)
            self.model.model_loaded_weight_memory = loaded_bytes
            self.model.device = device

    return Patcher
