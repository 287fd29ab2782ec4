"""The node that takes a Qwen3-VL which ComfyUI has in memory as a text encoder."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...loaders.clip_model import ClipModel
from ..forms import sockets
from ..forms.search_words import search_words


class Qwen3VLFromClip(io.ComfyNode):
    """Lets a CLIP caption, box and write; its weights stay where they are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLFromClip",
            display_name="Qwen3-VL From CLIP",
            category=sockets.CATEGORY,
            description="Uses the Qwen3-VL that CLIPLoader has in memory as a text encoder: it "
            "captions, finds and writes too, without a second copy where its weights are plain.",
            search_aliases=search_words("Qwen3VLFromClip"),
            inputs=[
                io.Clip.Input(
                    "clip",
                    tooltip="From CLIPLoader, with a whole Qwen3-VL (4B or 8B) and any type but "
                    "flux2. LoRAs on it count.",
                ),
            ],
            outputs=[
                sockets.Model.Output(display_name="model"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, clip: Any) -> io.NodeOutput:
        """A handle on it, and what it costs."""
        model = ClipModel(clip)
        report = model.describe()
        return io.NodeOutput(model, report, ui={"text": [report]})
