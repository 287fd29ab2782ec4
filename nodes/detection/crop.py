"""Crop: what each box holds, as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...utils.detection.boxes import Detections
from ...utils.detection.crops import crop_region
from ...utils.detection.masks import MAX_MASK_PIXELS
from ...utils.errors import InputError
from ...utils.images.tensors import unit_values
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.grounding import read_boxes, sizes_of
from ..shared.running import NOTES_SHOWN

# What to do with an image without boxes. Stored in workflows: append only.
NO_BOX_STOP, NO_BOX_SKIP = "stop", "skip"


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
                io.Combo.Input(
                    "no_box",
                    options=[NO_BOX_STOP, NO_BOX_SKIP],
                    default=NO_BOX_STOP,
                    optional=True,
                    tooltip="For an image of a list in which nothing was found.",
                ),
            ],
            outputs=[
                io.Image.Output("crops", display_name="crops", is_output_list=True),
                io.String.Output("labels", display_name="labels", is_output_list=True),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        boxes: object,
        padding: int,
        square: bool,
        no_box: str = NO_BOX_STOP,
    ) -> io.NodeOutput:
        """Image by image, box by box."""
        found = read_boxes(boxes, sizes_of(image))
        cut = _cut(image, found, padding / 100, square)
        if not cut and no_box == NO_BOX_STOP:
            raise _nothing(found)
        return io.NodeOutput([crop for crop, _ in cut], [label for _, label in cut])


def _cut(
    batch: torch.Tensor, all_found: Sequence[Detections], padding: float, square: bool
) -> list[tuple[torch.Tensor, str]]:
    regions = [
        (number, crop_region(box, found.width, found.height, padding, square), item.label)
        for number, found in enumerate(all_found)
        for item, box in found.boxes
    ]
    if sum((x2 - x1) * (y2 - y1) for _, (x1, y1, x2, y2), _ in regions) > MAX_MASK_PIXELS:
        raise InputError(
            f"{len(regions)} pictures of boxes do not fit in memory.",
            "Filter the boxes, or scale the picture down.",
        )
    values = unit_values(batch)
    return [
        (values[number, None, y1:y2, x1:x2].clone(), label)
        for number, (x1, y1, x2, y2), label in regions
    ]


def _nothing(all_found: Sequence[Detections]) -> InputError:
    notes = [note for found in all_found for note in found.notes][:NOTES_SHOWN]
    return InputError(
        f"{'; '.join(['There is no box to cut out', *notes])}.",
        "Look at what the detecting node found, connect the images it found it in, or choose "
        f"{NO_BOX_SKIP!r} where it is one image of a list.",
    )
