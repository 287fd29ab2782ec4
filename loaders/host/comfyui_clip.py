"""A Qwen3-VL that ComfyUI holds as a text encoder, lent to our engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ...utils.errors import LoadError

_REMEDY = (
    "In CLIPLoader choose a whole Qwen3-VL (4B or 8B) and a type that keeps its pictures, which "
    "flux2 does not; or use the Loader of this pack."
)


class LentClip:
    """The weights of a CLIP, which stay ComfyUI's: it loads, moves and frees them.

    Args:
        clip: what a CLIPLoader gives.

    Raises:
        LoadError: it is no Qwen3-VL, or without its vision tower.
    """

    def __init__(self, clip: Any):
        stage = getattr(clip, "cond_stage_model", None)
        self.name = str(getattr(stage, "clip_name", None) or getattr(stage, "clip", "CLIP"))
        encoder = getattr(stage, str(getattr(stage, "clip", "")), None)
        self._module: Any = getattr(encoder, "transformer", None)
        self._patcher: Any = getattr(clip, "patcher", None)
        kinds = " ".join(kind.__name__ for kind in type(self._module).__mro__).lower()
        if self._patcher is None or "qwen3vl" not in kinds or not hasattr(self._module, "visual"):
            raise LoadError(
                f"The CLIP {self.name[:80]} is no Qwen3-VL that sees: it is another model, or was "
                "loaded as a text model alone.",
                _REMEDY,
            )

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device(self._patcher.load_device)

    def weights(self) -> Mapping[str, torch.nn.Parameter]:
        """By the encoder's own names. Those that stay packed are tensors of ComfyUI's own class."""
        return dict(self._module.named_parameters())

    def plain(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight as a plain tensor where it lies; itself, if it is one."""
        unpack = getattr(weight, "dequantize", None)
        return unpack() if unpack is not None and self.is_packed(weight) else weight

    def is_packed(self, weight: torch.Tensor) -> bool:
        """Whether it is quantized in one of ComfyUI's ways."""
        return hasattr(weight, "_qdata")

    def claim(self, working_bytes: int) -> None:
        """Have it on its device, with its LoRAs, and `working_bytes` free beside it."""
        from comfy import model_management

        model_management.load_models_gpu(
            [self._patcher], memory_required=working_bytes, force_full_load=True
        )

    @property
    def patcher(self) -> Any:
        """By which `make_room` knows what has to stay."""
        return self._patcher

    def on_moved(self, moved: Callable[[], None], key: str) -> None:
        """Call `moved` after ComfyUI has taken the weights off their device."""
        from comfy.patcher_extension import CallbacksMP

        def detached(_patcher: Any, unpatch_all: bool) -> None:
            if unpatch_all:
                moved()

        self._patcher.remove_callbacks_with_key(CallbacksMP.ON_DETACH, key)
        self._patcher.add_callback_with_key(CallbacksMP.ON_DETACH, key, detached)
