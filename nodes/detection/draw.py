"""Draw: boxes, points and 3D boxes on pictures."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...utils.detection.boxes import Detections
from ...utils.detection.boxes3d import Camera
from ...utils.detection.socket_values import (
    from_box_3d_value,
    from_point_value,
)
from ...utils.images.tensors import pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.grounding import (
    camera_inputs,
    camera_of,
    camera_socket,
    overlay,
    read_boxes,
    sizes_of,
)


class Qwen3VLDrawDetections(io.ComfyNode):
    """Draws boxes, points and wireframes with their labels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLDrawDetections",
            display_name="Qwen3-VL Draw Detections",
            category=sockets.BOXES_CATEGORY,
            description="Draws boxes, points and 3D boxes of any node with readable labels, on "
            "a copy of the image.",
            search_aliases=search_words("Qwen3VLDrawDetections"),
            inputs=[
                io.Image.Input("image"),
                sockets.Box.Input("boxes", optional=True),
                sockets.Point.Input("points", optional=True),
                sockets.Box3D.Input("boxes_3d", optional=True),
                io.Boolean.Input("labels", default=True, tooltip="Whether to write labels."),
                *camera_inputs(),
                camera_socket(),
            ],
            outputs=[io.Image.Output("image_out", display_name="image")],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        labels: bool,
        field_of_view: float,
        intrinsics: str,
        boxes: object = None,
        points: object = None,
        boxes_3d: object = None,
        camera: Camera | None = None,
    ) -> io.NodeOutput:
        """Everything connected, drawn on one copy."""
        pictures = pictures_from_tensor(image)
        sizes_wh = sizes_of(image)
        found = [Detections(*size_wh) for size_wh in sizes_wh]
        for value, read in (
            (boxes, read_boxes),
            (points, from_point_value),
            (boxes_3d, from_box_3d_value),
        ):
            if value is not None:
                more = read(value, sizes_wh)
                found = [a.with_items(a.items + b.items) for a, b in zip(found, more, strict=True)]
        camera = camera_of(field_of_view, intrinsics, *sizes_wh[0], camera)
        return io.NodeOutput(overlay(pictures, found, camera, labels))
