"""Crop: what each box holds, as pictures."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...utils.detection.crops import crop_region
from ...utils.errors import InputError
from .. import sockets
from ..grounding import read_boxes, sizes_of
from ..running import NOTES_SHOWN
from ..search_words import search_words


class Qwen3VLCropBoxes(io.ComfyNode):
    """A picture of each box."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCropBoxes",
            display_name="Qwen3-VL Crop Boxes",
            category=sockets.BOXES_CATEGORY,
            description="Cuts out every box: a list of images, each in its own size, and their "
            "labels.",
            search_aliases=search_words("Qwen3VLCropBoxes"),
            inputs=[
                io.Image.Input("image"),
                sockets.Box.Input("boxes"),
                io.Int.Input(
                    "padding",
                    default=0,
                    min=0,
                    max=400,
                    tooltip="Percent of the box's size, added on each side.",
                ),
                io.Boolean.Input("square", default=False, tooltip="Widens the shorter side."),
            ],
            outputs=[
                io.Image.Output("crops", display_name="crops", is_output_list=True),
                io.String.Output("labels", display_name="labels", is_output_list=True),
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, boxes: object, padding: int, square: bool
    ) -> io.NodeOutput:
        """Image by image, box by box."""
        crops, labels = [], []
        all_found = read_boxes(boxes, sizes_of(image))
        for picture, found in zip(image, all_found, strict=True):
            for item, box in found.boxes:
                region = crop_region(box, found.width, found.height, padding / 100, square)
                x1, y1, x2, y2 = region
                crops.append(picture[None, y1:y2, x1:x2].clone())
                labels.append(item.label)
        if not crops:
            notes = [note for found in all_found for note in found.notes][:NOTES_SHOWN]
            raise InputError(
                f"{'; '.join(['There is no box to cut out', *notes])}.",
                "Look at what the detecting node found, and connect the images it found it in.",
            )
        return io.NodeOutput(crops, labels)
