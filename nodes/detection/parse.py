"""Parse Detections: boxes and points out of any text."""

from __future__ import annotations

from itertools import islice

import torch
from comfy_api.latest import io

from ...utils.detection.boxes3d import ANGLE_ORDERS
from ...utils.detection.socket_values import (
    to_box_3d_value,
    to_box_value,
    to_coordinates,
    to_point_value,
)
from ...utils.errors import InputError
from ...utils.images.tensors import pictures_from_tensor
from ...utils.parsing.shapes import UNITS
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.found_words import found_words
from ..shared.grounding import (
    found_report,
    read_all,
    unreadable_input,
)


class Qwen3VLParseDetections(io.ComfyNode):
    """Reads boxes and points out of any text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLParseDetections",
            display_name="Qwen3-VL Parse Detections",
            category=sockets.BOXES_CATEGORY,
            description="Reads boxes, points and 3D boxes out of text from any node: one text "
            "for each image.",
            search_aliases=search_words("Qwen3VLParseDetections"),
            inputs=[
                io.String.Input("text", force_input=True, tooltip="One text, or a list of texts."),
                io.Image.Input("image", tooltip="The images that the texts are about."),
                io.Combo.Input(
                    "units",
                    options=list(UNITS),
                    default=UNITS[0],
                    tooltip="What the numbers count. qwen: 0 to 1000, as Qwen3-VL writes them. "
                    "pixels: as Qwen2.5-VL writes them. fractions: 0 to 1.",
                ),
                io.Combo.Input("angle_order", options=list(ANGLE_ORDERS), default=ANGLE_ORDERS[0]),
                unreadable_input(),
            ],
            outputs=[
                sockets.Box.Output("boxes", display_name="boxes", is_output_list=True),
                sockets.Point.Output("points", display_name="points", is_output_list=True),
                io.String.Output("coordinates", display_name="coordinates", is_output_list=True),
                io.Int.Output("count", display_name="count", is_output_list=True),
                io.String.Output("report", display_name="report"),
                sockets.Box3D.Output("boxes_3d", display_name="boxes_3d", is_output_list=True),
            ],
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        text: list[str],
        image: list[torch.Tensor],
        units: list,
        angle_order: list,
        unreadable: list[str],
    ) -> io.NodeOutput:
        """Every input comes as a list; one text for each image, one value for each batch."""
        batches = [pictures_from_tensor(batch) for batch in image]
        sizes_wh = [picture.size_wh for batch in batches for picture in batch]
        if len(text) != len(sizes_wh):
            raise InputError(
                f"There are {len(text)} texts for {len(sizes_wh)} images.",
                "Connect one text for each image, in the same order.",
            )
        found = read_all(text, sizes_wh, unreadable[0], units[0], angle_order[0])
        how = found_report(found)
        boxes = [to_box_value(detections) for detections in found]
        points = [to_point_value(detections) for detections in found]

        def by_batch(values: list) -> list[list]:
            """As the pictures come, so that what is linked behind meets its own."""
            rest = iter(values)
            return [list(islice(rest, len(batch))) for batch in batches]

        return io.NodeOutput(
            by_batch(boxes),
            by_batch(points),
            [to_coordinates(detections) for detections in found],
            [len(detections.items) for detections in found],
            how,
            by_batch([to_box_3d_value(detections) for detections in found]),
            ui={
                "text": list(map(found_words, found)),
                "report": [how],
                "boxes": boxes,
                "points": points,
            },
        )
