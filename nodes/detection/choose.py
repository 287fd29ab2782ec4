"""Select, pick, filter, merge and scale boxes."""

from __future__ import annotations

import math
from typing import Any

import torch
from comfy_api.latest import io

from ...utils.detection.selection import (
    ORDERS,
    BoxLimits,
    in_order,
    merged,
    some_of,
    with_labels,
    without_duplicates,
)
from ...utils.detection.socket_values import box_frames, extent_wh, from_box_value, to_box_value
from ...utils.errors import InputError
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.grounding import read_boxes, sizes_of


class Qwen3VLSelectBoxes(io.ComfyNode):
    """Chooses boxes by label and order."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLSelectBoxes",
            display_name="Qwen3-VL Select Boxes",
            category=sockets.BOXES_CATEGORY,
            description="Chooses boxes of each image by label, and the largest, leftmost or "
            "n-th of them.",
            search_aliases=search_words("Qwen3VLSelectBoxes"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("image", tooltip="The images that the boxes belong to."),
                io.String.Input(
                    "labels", default="", tooltip="With commas between, any case. Empty: all."
                ),
                io.Combo.Input("order", options=list(ORDERS), default="as found"),
                io.Int.Input(
                    "first",
                    default=0,
                    min=-10_000,
                    max=10_000,
                    tooltip="Number of the first box to keep, from 0; -1 is the last.",
                ),
                io.Int.Input(
                    "how_many", default=1, min=0, max=10_000, tooltip="0: all from the first on."
                ),
            ],
            outputs=[
                sockets.Box.Output("selected", display_name="boxes"),
                io.Int.Output("count", display_name="count", is_output_list=True),
            ],
        )

    @classmethod
    def execute(
        cls,
        boxes: object,
        image: torch.Tensor,
        labels: str,
        order: str,
        first: int,
        how_many: int,
    ) -> io.NodeOutput:
        """The chosen boxes of each image."""
        found = [
            some_of(in_order(with_labels(detections, labels), order), first, how_many)
            for detections in read_boxes(boxes, sizes_of(image))
        ]
        return io.NodeOutput([to_box_value(d) for d in found], [len(d.items) for d in found])


class Qwen3VLPickBox(io.ComfyNode):
    """One box by its numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLPickBox",
            display_name="Qwen3-VL Pick Box",
            category=sockets.BOXES_CATEGORY,
            description="One single box, as core's Crop Image takes it.",
            search_aliases=search_words("Qwen3VLPickBox"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Int.Input("image_number", default=0, min=0, max=100_000, tooltip="From 0."),
                io.Int.Input("box_number", default=0, min=0, max=100_000, tooltip="From 0."),
            ],
            outputs=[
                sockets.Box.Output("box", display_name="box"),
                io.Int.Output("x", display_name="x"),
                io.Int.Output("y", display_name="y"),
                io.Int.Output("width", display_name="width"),
                io.Int.Output("height", display_name="height"),
                io.String.Output("label", display_name="label"),
            ],
        )

    @classmethod
    def execute(cls, boxes: object, image_number: int, box_number: int) -> io.NodeOutput:
        """The box, or an error that says how many there are."""
        frames = box_frames(boxes)
        if image_number >= len(frames):
            raise InputError(
                f"There is no image {image_number}: the boxes are of {len(frames)} images.",
                "Numbers begin with 0.",
            )
        (found,) = from_box_value([frames[image_number]], [extent_wh([frames[image_number]])])
        if box_number >= len(found.items):
            raise InputError(
                f"There is no box {box_number}: image {image_number} has {len(found.items)}.",
                "Numbers begin with 0. Look at what the detecting node found.",
            )
        box = to_box_value(found)[box_number]
        return io.NodeOutput(box, *(box[k] for k in ("x", "y", "width", "height", "label")))


class Qwen3VLFilterBoxes(io.ComfyNode):
    """Keeps boxes of some sizes and shapes, each thing once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLFilterBoxes",
            display_name="Qwen3-VL Filter Boxes",
            category=sockets.BOXES_CATEGORY,
            description="Keeps boxes by area and shape, and removes those that overlap an "
            "earlier one.",
            search_aliases=search_words("Qwen3VLFilterBoxes"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("image", tooltip="The images that the boxes belong to."),
                _float("min_area", 0.0, 100.0, "Percent of the image."),
                _float("max_area", 100.0, 100.0, "Percent of the image."),
                _float("min_aspect", 0.0, 1000.0, "Width over height."),
                _float("max_aspect", 0.0, 1000.0, "Width over height. 0: no limit."),
                _float(
                    "max_overlap",
                    1.0,
                    1.0,
                    "Intersection over union with an earlier box, beyond which a box goes. "
                    "1: all stay.",
                ),
                io.Boolean.Input(
                    "same_label", default=True, tooltip="Only boxes of one label overlap."
                ),
            ],
            outputs=[
                sockets.Box.Output("kept", display_name="boxes"),
                io.Int.Output("count", display_name="count", is_output_list=True),
            ],
        )

    @classmethod
    def execute(
        cls,
        boxes: object,
        image: torch.Tensor,
        min_area: float,
        max_area: float,
        min_aspect: float,
        max_aspect: float,
        max_overlap: float,
        same_label: bool,
    ) -> io.NodeOutput:
        """The boxes inside all limits, in their order."""
        limits = BoxLimits(min_area / 100, max_area / 100, min_aspect, max_aspect or math.inf)
        found = [
            without_duplicates(limits.keep(detections), max_overlap, same_label)
            for detections in read_boxes(boxes, sizes_of(image))
        ]
        return io.NodeOutput([to_box_value(d) for d in found], [len(d.items) for d in found])


class Qwen3VLMergeBoxes(io.ComfyNode):
    """Two lists of boxes as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLMergeBoxes",
            display_name="Qwen3-VL Merge Boxes",
            category=sockets.BOXES_CATEGORY,
            description="Joins two lists of boxes of the same images, image by image.",
            search_aliases=search_words("Qwen3VLMergeBoxes"),
            inputs=[
                sockets.Box.Input("boxes_1"),
                sockets.Box.Input("boxes_2"),
                _float("max_overlap", 1.0, 1.0, "Beyond it, a box with the same label as an "
                       "earlier one goes. 1: all stay."),
            ],
            outputs=[sockets.Box.Output("boxes", display_name="boxes")],
        )  # fmt: skip

    @classmethod
    def execute(cls, boxes_1: object, boxes_2: object, max_overlap: float) -> io.NodeOutput:
        """The first list in front."""
        frames = [box_frames(boxes_1), box_frames(boxes_2)]
        sizes_wh = [extent_wh(frames[0] + frames[1])] * max(len(frames[0]), len(frames[1]))
        pairs = zip(*(from_box_value(part, sizes_wh) for part in frames), strict=True)
        return io.NodeOutput([to_box_value(merged(a, b, max_overlap)) for a, b in pairs])


class Qwen3VLScaleBoxes(io.ComfyNode):
    """Boxes for the same picture at another size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLScaleBoxes",
            display_name="Qwen3-VL Scale Boxes",
            category=sockets.BOXES_CATEGORY,
            description="Boxes found in one size of a picture, for another size of it.",
            search_aliases=search_words("Qwen3VLScaleBoxes"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("from_image", tooltip="The images that the boxes were found in."),
                io.Image.Input("to_image", tooltip="The same images in the size to scale to."),
            ],
            outputs=[sockets.Box.Output("scaled", display_name="boxes")],
        )

    @classmethod
    def execute(
        cls, boxes: object, from_image: torch.Tensor, to_image: torch.Tensor
    ) -> io.NodeOutput:
        """The same parts of the picture."""
        found = read_boxes(boxes, sizes_of(from_image))
        width, height = int(to_image.shape[2]), int(to_image.shape[1])
        return io.NodeOutput([to_box_value(d.scale(width, height)) for d in found])


def _float(name: str, default: float, most: float, tooltip: str) -> Any:
    return io.Float.Input(name, default=default, min=0.0, max=most, step=0.01, tooltip=tooltip)
