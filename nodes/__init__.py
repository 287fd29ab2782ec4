"""The nodes, in menu order; the only room that knows comfy_api."""

from comfy_api.latest import ComfyExtension, io

from .ask import Qwen3VLAsk, Qwen3VLCaption
from .folder import Qwen3VLCaptionFolder
from .load import Qwen3VLLoader
from .options import Qwen3VLOptions

NODES: list[type[io.ComfyNode]] = [
    Qwen3VLLoader,
    Qwen3VLOptions,
    Qwen3VLCaption,
    Qwen3VLAsk,
    Qwen3VLCaptionFolder,
]


class Qwen3VLExtension(ComfyExtension):
    """What ComfyUI gets from `comfy_entrypoint`."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return NODES
