"""Pick Field: one value out of JSON."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io

from ...utils.documents.value_tables import as_word
from ...utils.errors import InputError, ParseError
from ...utils.parsing.fields import pick
from ..forms import sockets
from ..forms.search_words import search_words

# Stored in workflows: append only.
MISSING_STOP, MISSING_EMPTY = "stop with an error", "empty text"


class Qwen3VLPickField(io.ComfyNode):
    """One value out of JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLPickField",
            display_name="Qwen3-VL Pick Field",
            category=sockets.READING_CATEGORY,
            description="Takes one value out of JSON, by a path such as seller.name or "
            "items[0].price.",
            search_aliases=search_words("Qwen3VLPickField"),
            inputs=[
                io.String.Input("json", force_input=True),
                io.String.Input("path", default="total", tooltip="Empty: the whole value."),
                io.Combo.Input(
                    "missing",
                    options=[MISSING_STOP, MISSING_EMPTY],
                    default=MISSING_STOP,
                    tooltip="For a path that leads to nothing.",
                ),
            ],
            outputs=[
                io.String.Output("text", display_name="text"),
                io.Float.Output("number", display_name="number"),
                io.Boolean.Output("found", display_name="found"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, json: str, path: str, missing: str) -> io.NodeOutput:
        """The value as text, and as a number where it is one (0 where it is none)."""
        try:
            value, found = pick(_parsed(json), path.strip()), True
        except InputError:
            if missing == MISSING_STOP:
                raise
            value, found = None, False
        text = as_word(value)
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        number = number if number - number == 0 else 0.0
        return io.NodeOutput(text, number, found, ui={"text": [text]})


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"{text[:80]!r} is not JSON: {str(error)[:80]}."
        raise ParseError(problem, "Connect the json output of Qwen3-VL Extract.") from None
