"""Wildcards: choices in a prompt, for those who want them; no other node rewrites a text."""

from __future__ import annotations

from comfy_api.latest import io

from ...utils.chat.placeholders import with_choices
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input


class Qwen3VLWildcards(io.ComfyNode):
    """One of each group of choices in a text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLWildcards",
            display_name="Qwen3-VL Wildcards",
            category=sockets.CATEGORY,
            description="Makes one text of a prompt with choices in curly brackets, parted by "
            "bars. Link it to a prompt; typed there, brackets reach the model as they are.",
            search_aliases=search_words("Qwen3VLWildcards"),
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    default="Describe the {colors|shapes} of this picture.",
                    tooltip="Choices stand in curly brackets with bars between them, and may hold "
                    "choices. A backslash makes a bracket plain.",
                ),
                seed_input(),
            ],
            outputs=[io.String.Output("text_out", display_name="text")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, text: str, seed: int) -> io.NodeOutput:
        """The same text for the same seed."""
        made = with_choices(text, seed)
        return io.NodeOutput(made, ui={"text": [made]})
