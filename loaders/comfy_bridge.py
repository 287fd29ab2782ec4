"""The only importer of comfy and folder_paths: devices, memory, interrupt, progress, folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

# Where packs keep Qwen3-VL; the first is ours, and downloads go into its Qwen-VL folder.
MODEL_FOLDER_KINDS = ("LLM", "text_encoders", "prompt_generator")


def model_roots() -> list[Path]:
    """Every existing folder in which ComfyUI may keep language models, ours first."""
    import folder_paths

    models = Path(folder_paths.models_dir)
    found: dict[Path, None] = {}
    for kind in MODEL_FOLDER_KINDS:
        if kind in folder_paths.folder_names_and_paths:  # extra_model_paths.yaml adds to these
            found |= {Path(p): None for p in folder_paths.get_folder_paths(kind)}
        found[models / kind] = None
    return [root for root in found if root.is_dir()]


def download_folder() -> Path:
    """Where a checkpoint that is not there yet belongs."""
    import folder_paths

    return Path(folder_paths.models_dir) / "LLM" / "Qwen-VL"


def input_folder() -> Path:
    """ComfyUI's input folder."""
    import folder_paths

    return Path(folder_paths.get_input_directory())


def output_folder() -> Path:
    """ComfyUI's output folder."""
    import folder_paths

    return Path(folder_paths.get_output_directory())


def default_device() -> torch.device:
    """The device ComfyUI computes on."""
    from comfy import model_management

    return model_management.get_torch_device()


def free_bytes(device: torch.device) -> int:
    """Memory that can be used on `device` now, unused cache of torch included."""
    from comfy import model_management

    return int(model_management.get_free_memory(device))


def make_room(wanted_bytes: int, device: torch.device, keep: Residence | None = None) -> None:
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


class Residence:
    """A module's place in ComfyUI's memory management.

    Args:
        module: a module whose weights are on `device`.
        device: where it computes.
        size_bytes: the size of its weights.
        on_evicted: called when ComfyUI takes the module off the device, because another model
            wants the memory or the user pressed an unload button. The weights are gone then:
            they go to the meta device, not into RAM, and a later use loads them again.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        size_bytes: int,
        on_evicted: Callable[[], None],
    ):
        from comfy.model_patcher import ModelPatcher

        residence = self

        class Patcher(ModelPatcher):
            """Tells us when ComfyUI takes the module off its device."""

            def detach(self, unpatch_all: bool = True) -> Any:
                result = super().detach(unpatch_all)
                # ComfyUI also detaches, without unpatching, each time it loads a model again.
                if unpatch_all:
                    residence._listed = False
                    on_evicted()
                return result

        self._listed = False
        self.patcher = Patcher(
            _Resident(module, device, size_bytes),
            load_device=device,
            offload_device=torch.device("meta"),
            size=size_bytes,
        )

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

        if not self._listed:
            return
        loaded = model_management.current_loaded_models
        for entry in [m for m in loaded if m.model is self.patcher]:
            loaded.remove(entry)
            entry.model_unload()


def check_interrupt() -> None:
    """Raise ComfyUI's interrupt if the user asked for it."""
    from comfy import model_management

    model_management.throw_exception_if_processing_interrupted()


class ProgressBar:
    """ComfyUI's bar on the running node, with a line of text where the server has one."""

    def __init__(self, total: int, node_id: str | None = None):
        from comfy.utils import ProgressBar as ComfyBar

        self._bar = ComfyBar(max(1, total))
        self._node_id = node_id

    def show(self, done: float, text: str = "") -> None:
        """Set the bar to `done` of the total and the text above it."""
        self._bar.update_absolute(done)
        server = _server()
        if text and self._node_id and server is not None:
            server.send_progress_text(text, self._node_id)


def _server() -> Any:
    """The running PromptServer, or None in a process without one."""
    import sys

    # Importing `server` here would start one; it is there whenever ComfyUI runs.
    instance = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return instance if hasattr(instance, "send_progress_text") else None
