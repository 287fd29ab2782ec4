"""The only importer of comfy and folder_paths: devices, memory, interrupt, progress, folders."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...utils.roots.allowed_folders import AllowedFolders, Root
from .comfyui_weights import plain_weight, quantized_formats  # noqa: F401 - of the port
from .model_patcher import patcher_class
from .owner_settings import EXAMPLE_ROOTS, owner_settings

if TYPE_CHECKING:
    from PIL.Image import Image

# The kind of our messages over the websocket; published, see the README.
MESSAGE = "qwen3vl.text"
# The longest side of a picture shown in a running node.
PREVIEW_SIDE = 512
# Where packs keep Qwen3-VL; the first is ours, and downloads go into its Qwen-VL folder.
MODEL_FOLDER_KINDS = ("LLM", "text_encoders", "prompt_generator", "llm", "VLM", "diffusers")


def model_roots() -> list[Path]:
    """Every existing folder in which ComfyUI may keep language models, ours first."""
    return [root for root in _folders(MODEL_FOLDER_KINDS) if _is_there(root)]


def adapter_roots() -> list[Path]:
    """Every existing folder in which adapters may lie."""
    return [root for root in _folders(("loras", *MODEL_FOLDER_KINDS)) if _is_there(root)]


def _is_there(folder: Path) -> bool:
    """Whether a folder can be looked into; a locked or lost drive is no error in a menu."""
    try:
        return folder.is_dir()
    except OSError:
        return False


def _folders(kinds: tuple[str, ...]) -> list[Path]:
    import folder_paths

    models = Path(folder_paths.models_dir)
    found: dict[Path, None] = {}
    for kind in kinds:
        if kind in folder_paths.folder_names_and_paths:  # extra_model_paths.yaml adds to these
            found |= {Path(p): None for p in folder_paths.get_folder_paths(kind)}
        found[models / kind] = None
    return list(found)


def download_folder() -> Path:
    """Where a checkpoint that is not there yet belongs."""
    import folder_paths

    return Path(folder_paths.models_dir) / "LLM" / "Qwen-VL"


def tokenizer_folder() -> Path:
    """Where ComfyUI keeps the vocabulary that its Qwen3-VL text encoders use."""
    import folder_paths

    root = Path(folder_paths.base_path)
    return root / "comfy" / "text_encoders" / "qwen25_tokenizer"


def user_folder() -> Path:
    """Where ComfyUI keeps what belongs to its user; workflows and the web do not write here."""
    import folder_paths

    return Path(folder_paths.get_user_directory())


def allowed_folders() -> AllowedFolders:
    """Where nodes may read and write: ComfyUI's input, output and temp, then the owner's list,
    then the pack's examples.
    """
    import folder_paths

    owner = owner_settings()
    own = (
        Root("input", Path(folder_paths.get_input_directory()), writable=True),
        Root("output", Path(folder_paths.get_output_directory()), writable=True),
        Root("temp", Path(folder_paths.get_temp_directory()), writable=True),
    )
    return AllowedFolders((*own, *owner.folders, *EXAMPLE_ROOTS), owner.problem)


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


class NodeBar:
    """ComfyUI's bar on the running node, and messages of our own about what it does.

    Text goes no other way: as core's progress text it is HTML on old front ends and Markdown on
    new ones.
    """

    def __init__(self, total: int, node_id: str | None = None):
        from comfy.utils import ProgressBar as ComfyBar

        self._bar = ComfyBar(max(1, total))
        self._prompt_id, running = _running()
        self._node_id = node_id or running

    def show(self, done: float, line: str = "", picture: Image | None = None) -> None:
        """Set the bar to `done` of the total, the line below the node's text, and the picture
        in the node.
        """
        preview = ("JPEG", picture, PREVIEW_SIDE) if picture is not None else None
        self._bar.update_absolute(done, preview=preview)
        if line:
            self.tell(line=line)

    def tell(self, **facts: Any) -> None:
        """Send a message `qwen3vl.text` to whoever queued the prompt, if anybody listens."""
        server = _server()
        if server is None or self._node_id is None or server.client_id is None:
            return
        place = {"node": self._node_id, "prompt_id": self._prompt_id}
        server.send_sync(MESSAGE, place | _printable(facts), server.client_id)


def _printable(facts: dict[str, Any]) -> dict[str, Any]:
    """Half surrogates, as in names that are no UTF-8, cannot be sent."""
    return {
        key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for key, value in facts.items()
    }


progress_bar = NodeBar


def _running() -> tuple[str | None, str | None]:
    """The prompt that runs now and its node, where ComfyUI tells."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:  # older than 0.3.50
        return None, None
    context = get_executing_context()
    return (context.prompt_id, context.node_id) if context else (None, None)


def _server() -> Any:
    """The running PromptServer, or None in a process without one."""
    import sys

    # Importing `server` here would start one; it is there whenever ComfyUI runs.
    instance = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return instance if hasattr(instance, "send_sync") else None
