"""The node that adds an adapter to a model."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.hub import catalog
from ...loaders.settings import (
    Adapter,
)
from ..forms import sockets
from ..forms.search_words import search_words

# How an adapter is applied. Stored in workflows: append only.
MERGED, ATTACHED = "merged", "attached"


class Qwen3VLLora(io.ComfyNode):
    """Adds a LoRA adapter to a model; several nodes in a row add several."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLLora",
            display_name="Qwen3-VL LoRA",
            category=sockets.CATEGORY,
            description="Adds a LoRA adapter in peft's layout to a Qwen3-VL model.",
            search_aliases=search_words("Qwen3VLLora"),
            inputs=[
                sockets.Model.Input("model"),
                io.Combo.Input(
                    "adapter",
                    options=catalog.adapter_choices(),
                    tooltip="Folders with an adapter_config.json, in the folders of models and "
                    "in models/loras.",
                ),
                io.Float.Input("strength", default=1.0, min=-4.0, max=4.0, step=0.05),
                io.Combo.Input(
                    "mode",
                    options=[MERGED, ATTACHED],
                    default=MERGED,
                    tooltip="merged adds it to the weights while loading and costs no speed. "
                    "attached leaves the weights as they are, works on quantized ones, and needs "
                    "the package peft.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model")],
        )

    @classmethod
    def fingerprint_inputs(cls, adapter: str = "", **_inputs: object) -> str:
        """Differs once the adapter is overwritten."""
        return catalog.adapter_version_of(adapter)

    @classmethod
    def execute(cls, model: Model, adapter: str, strength: float, mode: str) -> io.NodeOutput:
        """The same handle with one adapter more; it is checked when the model loads."""
        return io.NodeOutput(model.with_adapter(Adapter(adapter, strength, mode == MERGED)))
