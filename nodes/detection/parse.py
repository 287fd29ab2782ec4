"""Text into detections, detections into text and pictures."""

from __future__ import annotations

import json

import torch
from comfy_api.latest import io

from ...utils.detection.boxes import Detections
from ...utils.detection.boxes3d import ANGLE_ORDERS, Camera
from ...utils.detection.socket_values import (
    from_box_3d_value,
    from_point_value,
    to_box_3d_value,
    to_box_value,
    to_coordinates,
    to_point_value,
)
from ...utils.errors import InputError
from ...utils.images.tensors import pictures_from_tensor
from ...utils.parsing.detections import to_qwen_text
from ...utils.parsing.shapes import UNITS
from .. import sockets
from ..detection_running import (
    camera_inputs,
    camera_of,
    camera_socket,
    found_report,
    overlay,
    read_all,
    read_boxes,
    sizes_of,
    unreadable_input,
)

# Stored in workflows: append only.
QWEN_JSON, PIXEL_JSON, LABELS = "JSON, 0 to 1000", "JSON, pixels", "labels only"


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
            search_aliases=["json to bbox", "bbox_2d", "point_2d", "text to boxes"],
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
                sockets.Box.Output("boxes", display_name="boxes"),
                sockets.Point.Output("points", display_name="points"),
                io.String.Output("coordinates", display_name="coordinates", is_output_list=True),
                io.Int.Output("count", display_name="count", is_output_list=True),
                io.String.Output("report", display_name="report"),
                sockets.Box3D.Output("boxes_3d", display_name="boxes_3d"),
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
        """Every input comes as a list; one text for each image."""
        sizes_wh = [p.size_wh for batch in image for p in pictures_from_tensor(batch)]
        if len(text) != len(sizes_wh):
            raise InputError(
                f"There are {len(text)} texts for {len(sizes_wh)} images.",
                "Connect one text for each image, in the same order.",
            )
        found = read_all(text, sizes_wh, unreadable[0], units[0], angle_order[0])
        how = found_report(found)
        return io.NodeOutput(
            [to_box_value(detections) for detections in found],
            [to_point_value(detections) for detections in found],
            [to_coordinates(detections) for detections in found],
            [len(detections.items) for detections in found],
            how,
            [to_box_3d_value(detections) for detections in found],
            ui={"text": [how]},
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
            search_aliases=["draw bbox", "annotate", "visualize detections", "overlay"],
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
            search_aliases=["bbox to json", "labels", "export boxes"],
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
