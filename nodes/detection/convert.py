"""Boxes and points into what other nodes take: masks, SAM2, SEGS, coordinates, crops."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...utils.detection.masks import MASK_MODES, MASK_SHAPES, MaskMode, MaskShape, masks_of
from ...utils.detection.segs import to_segs
from ...utils.detection.socket_values import (
    from_coordinates,
    from_point_value,
    point_extent_wh,
    point_frames,
    to_coordinates,
    to_point_value,
    to_sam2_value,
)
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.grounding import read_boxes, sizes_of


class Qwen3VLBoxesToMask(io.ComfyNode):
    """Boxes as masks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLBoxesToMask",
            display_name="Qwen3-VL Boxes to Mask",
            category=sockets.BOXES_CATEGORY,
            description="Boxes as masks: one for each image, each box, or each label.",
            search_aliases=search_words("Qwen3VLBoxesToMask"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("image", tooltip="The images that the boxes belong to."),
                io.Combo.Input(
                    "mode",
                    options=list(MASK_MODES),
                    default=MASK_MODES[0],
                    tooltip="union: one mask for each image.",
                ),
                io.Combo.Input("shape", options=list(MASK_SHAPES), default=MASK_SHAPES[0]),
            ],
            outputs=[
                io.Mask.Output("mask", display_name="mask"),
                io.String.Output("labels", display_name="labels", is_output_list=True),
            ],
        )

    @classmethod
    def execute(
        cls, boxes: object, image: torch.Tensor, mode: MaskMode, shape: MaskShape
    ) -> io.NodeOutput:
        """Masks [N, H, W] and the label of each."""
        masks, labels = masks_of(read_boxes(boxes, sizes_of(image)), mode, shape)
        return io.NodeOutput(torch.from_numpy(masks), labels)


class Qwen3VLBoxesToSAM2(io.ComfyNode):
    """Boxes as SAM2 nodes take them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLBoxesToSAM2",
            display_name="Qwen3-VL Boxes to SAM2",
            category=sockets.BOXES_CATEGORY,
            description="Boxes as lists of x1, y1, x2, y2 in pixels, for SAM2 nodes.",
            search_aliases=search_words("Qwen3VLBoxesToSAM2"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("image", tooltip="The images that the boxes belong to."),
            ],
            outputs=[sockets.Sam2Boxes.Output("bboxes", display_name="bboxes")],
        )

    @classmethod
    def execute(cls, boxes: object, image: torch.Tensor) -> io.NodeOutput:
        """A list for each image."""
        return io.NodeOutput([to_sam2_value(d) for d in read_boxes(boxes, sizes_of(image))])


class Qwen3VLBoxesToSEGS(io.ComfyNode):
    """Boxes as Impact Pack segments."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLBoxesToSEGS",
            display_name="Qwen3-VL Boxes to SEGS",
            category=sockets.BOXES_CATEGORY,
            description="Boxes as SEGS for the detailers of the Impact Pack: one value for each "
            "image.",
            search_aliases=search_words("Qwen3VLBoxesToSEGS"),
            inputs=[
                sockets.Box.Input("boxes"),
                io.Image.Input("image", tooltip="The images that the boxes belong to."),
                io.Float.Input(
                    "crop_factor",
                    default=3.0,
                    min=1.0,
                    max=10.0,
                    step=0.1,
                    tooltip="Size of the region a detailer works on, in sizes of the box.",
                ),
            ],
            outputs=[sockets.Segs.Output("segs", display_name="segs", is_output_list=True)],
        )

    @classmethod
    def execute(cls, boxes: object, image: torch.Tensor, crop_factor: float) -> io.NodeOutput:
        """((height, width), segments) for each image."""
        found = read_boxes(boxes, sizes_of(image))
        return io.NodeOutput([to_segs(detections, crop_factor) for detections in found])


class Qwen3VLPointsToCoordinates(io.ComfyNode):
    """Points as text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLPointsToCoordinates",
            display_name="Qwen3-VL Points to Coordinates",
            category=sockets.BOXES_CATEGORY,
            description="Points as the coordinates text of SAM3 and KJNodes, in pixels.",
            search_aliases=search_words("Qwen3VLPointsToCoordinates"),
            inputs=[sockets.Point.Input("points")],
            outputs=[
                io.String.Output("coordinates", display_name="coordinates", is_output_list=True)
            ],
        )

    @classmethod
    def execute(cls, points: object) -> io.NodeOutput:
        """One text for each image."""
        frames = point_frames(points)
        found = from_point_value(frames, [point_extent_wh(frames)] * len(frames))
        return io.NodeOutput([to_coordinates(detections) for detections in found])


class Qwen3VLCoordinatesToPoints(io.ComfyNode):
    """Text as points."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCoordinatesToPoints",
            display_name="Qwen3-VL Coordinates to Points",
            category=sockets.BOXES_CATEGORY,
            description="The coordinates text of a points editor as points of an image.",
            search_aliases=search_words("Qwen3VLCoordinatesToPoints"),
            inputs=[
                io.String.Input("coordinates", multiline=True, default="[]"),
                io.Image.Input("image", tooltip="The images that the points belong to."),
            ],
            outputs=[sockets.Point.Output("points", display_name="points")],
        )

    @classmethod
    def execute(cls, coordinates: str, image: torch.Tensor) -> io.NodeOutput:
        """The same points for every image of the batch."""
        return io.NodeOutput(
            [to_point_value(from_coordinates(coordinates, *size)) for size in sizes_of(image)]
        )
