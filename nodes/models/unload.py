"""The node that gives a model's memory back."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.model_cache import MODEL_CACHE
from ..forms import sockets
from ..forms.search_words import search_words


class Qwen3VLUnload(io.ComfyNode):
    """Gives a model's memory back in the middle of a workflow."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        anything = io.MatchType.Template("anything")
        return io.Schema(
            node_id="Qwen3VLUnload",
            display_name="Qwen3-VL Unload",
            category=sockets.CATEGORY,
            description="Frees the memory of a Qwen3-VL model, or of all of them. Whatever goes "
            "in comes out again: put it after the last node that uses the model.",
            search_aliases=search_words("Qwen3VLUnload"),
            inputs=[
                io.MatchType.Input("anything", template=anything),
                sockets.Model.Input("model", optional=True),
            ],
            outputs=[io.MatchType.Output(template=anything, display_name="anything")],
        )

    @classmethod
    def fingerprint_inputs(cls, **_inputs: object) -> float:
        """Never the same: an unload that was skipped would unload nothing."""
        return float("nan")

    @classmethod
    def execute(cls, anything: object, model: Model | None = None) -> io.NodeOutput:
        """Unload, and pass `anything` on."""
        if model is None:
            MODEL_CACHE.clear()
        else:
            model.unload()
        return io.NodeOutput(anything)
