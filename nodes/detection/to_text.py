"""Boxes to Text: boxes as the model writes them, in pixels, or labels alone."""

from __future__ import annotations

import json

import torch
from comfy_api.latest import io

from ...utils.detection.boxes import Detections
from ...utils.detection.socket_values import (
    to_box_value,
)
from ...utils.parsing.detections import to_qwen_text
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.grounding import (
    read_boxes,
    sizes_of,
)

# Stored in workflows: append only.
QWEN_JSON, PIXEL_JSON, LABELS = "JSON, 0 to 1000", "JSON, pixels", "labels only"


class Qwen3VLBoxesToText(io.ComfyNode):
    """Writes boxes as text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLBoxesToText",
            display_name="Qwen3-VL Boxes to Text",
            category=sockets.BOXES_CATEGORY,
            description="Writes boxes as JSON that Qwen3-VL understands, as JSON in pixels, or "
            "as their labels.",
            search_aliases=search_words("Qwen3VLBoxesToText"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("image", tooltip="The images that the boxes belong to."),
                io.Combo.Input("write_as", options=[QWEN_JSON, PIXEL_JSON, LABELS]),
            ],
            outputs=[io.String.Output("text", display_name="text", is_output_list=True)],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, boxes: object, image: torch.Tensor, write_as: str) -> io.NodeOutput:
        """One text for each image."""
        found = read_boxes(boxes, sizes_of(image))
        texts = [_text_of(detections, write_as) for detections in found]
        return io.NodeOutput(texts, ui={"text": texts})


def _text_of(detections: Detections, chosen: str) -> str:
    if chosen == LABELS:
        return ", ".join(item.label for item in detections.items)
    if chosen == PIXEL_JSON:
        return json.dumps(to_box_value(detections), ensure_ascii=False, default=str)
    return to_qwen_text(detections.items)
