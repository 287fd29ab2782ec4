"""Detect 3D: boxes in space, by words."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.detection.boxes3d import ANGLE_ORDERS, AngleOrder, Box3D, Camera
from ...utils.detection.distances import as_flat_boxes, depth_order
from ...utils.detection.socket_values import to_box_3d_value, to_box_value
from ...utils.drawing.birds_eye import birds_eye
from ...utils.images.tensors import image_from_pictures, pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.detection_prompts import CATEGORIES, DESCRIPTION, prompt_3d
from ..shared.found_words import found_words
from ..shared.grounding import (
    camera_inputs,
    camera_of,
    camera_socket,
    found_report,
    overlay,
    read_replies,
    shown,
    unreadable_input,
)
from ..shared.running import answer_all, node_id_of


class Qwen3VLDetect3D(io.ComfyNode):
    """Boxes in space around what words name."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLDetect3D",
            display_name="Qwen3-VL Detect 3D",
            category=sockets.CATEGORY,
            description="Finds things by words as boxes in metres in front of the camera, and "
            "draws their wireframes.",
            search_aliases=search_words("Qwen3VLDetect3D"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input("find", multiline=True, default=""),
                *camera_inputs(),
                io.Combo.Input(
                    "angle_order",
                    options=list(ANGLE_ORDERS),
                    default=ANGLE_ORDERS[0],
                    tooltip="How the last three numbers of a box are read. The official drawing "
                    "code reads pitch, yaw, roll.",
                ),
                seed_input(),
                unreadable_input(),
                sockets.Options.Input("options", optional=True),
                io.Combo.Input(
                    "find_by",
                    options=[CATEGORIES, DESCRIPTION],
                    default=CATEGORIES,
                    optional=True,
                    tooltip="Several categories at once, or one thing by what it looks like.",
                ),
                camera_socket(),
            ],
            outputs=[
                io.String.Output("answer", display_name="answer", is_output_list=True),
                sockets.Box3D.Output("boxes_3d", display_name="boxes_3d"),
                io.Image.Output("overlay", display_name="overlay"),
                io.String.Output("report", display_name="report"),
                io.Image.Output("birds_eye", display_name="bird's-eye"),
                sockets.Box.Output("boxes", display_name="boxes"),
                io.String.Output("distances", display_name="distances", is_output_list=True),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        image: torch.Tensor,
        find: str,
        field_of_view: float,
        intrinsics: str,
        angle_order: AngleOrder,
        seed: int,
        unreadable: str,
        options: GenerationOptions | None = None,
        find_by: str = CATEGORIES,
        camera: Camera | None = None,
    ) -> io.NodeOutput:
        """One list of 3D boxes for each image."""
        pictures = pictures_from_tensor(image)
        camera = camera_of(field_of_view, intrinsics, *pictures[0].size_wh, camera)
        chosen, words = prompt_3d(find, find_by)
        requests = requests_for(pictures, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls))
        answers = [reply.text for reply in replies]
        found = read_replies(replies, pictures, Box3D, unreadable, angle_order)
        how, drawn = found_report(found, replies), overlay(pictures, found, camera)
        boxes = [to_box_3d_value(detections) for detections in found]
        said = shown(list(map(found_words, found)), how, drawn, cls)
        return io.NodeOutput(
            answers,
            boxes,
            drawn,
            how,
            image_from_pictures([birds_eye(detections, camera) for detections in found]),
            [to_box_value(as_flat_boxes(detections, camera)) for detections in found],
            [depth_order(detections) for detections in found],
            ui=said | {"answer": answers, "boxes_3d": boxes},
        )
