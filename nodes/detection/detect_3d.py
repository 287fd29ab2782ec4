"""Detect 3D: boxes in space, by words."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.local_model import LocalModel
from ...utils.chat.messages import GenerationOptions
from ...utils.chat.tasks import task
from ...utils.detection.boxes3d import ANGLE_ORDERS, AngleOrder, Box3D
from ...utils.detection.socket_values import to_box_3d_value
from ...utils.images.tensors import pictures_from_tensor
from .. import sockets
from ..asking.ask import seed_input
from ..detection_running import (
    camera_inputs,
    camera_of,
    found_report,
    overlay,
    read_replies,
    shown,
    unreadable_input,
)
from ..request_building import requests_for
from ..running import answer_all, node_id_of
from .detect import check_find


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
            search_aliases=["3d box", "bbox_3d", "wireframe", "spatial", "grounding"],
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input("find", multiline=True, default="", dynamic_prompts=True),
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
            ],
            outputs=[
                io.String.Output("answer", display_name="answer", is_output_list=True),
                sockets.Box3D.Output("boxes_3d", display_name="boxes_3d"),
                io.Image.Output("overlay", display_name="overlay"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: LocalModel,
        image: torch.Tensor,
        find: str,
        field_of_view: float,
        intrinsics: str,
        angle_order: AngleOrder,
        seed: int,
        unreadable: str,
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """One list of 3D boxes for each image."""
        check_find(find)
        pictures = pictures_from_tensor(image)
        camera = camera_of(field_of_view, intrinsics, *pictures[0].size_wh)
        chosen = task("ground_3d")
        words = chosen.fill(things=find)
        requests = requests_for(pictures, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls))
        answers = [reply.text for reply in replies]
        found = read_replies(replies, pictures, Box3D, unreadable, angle_order)
        how, drawn = found_report(found, replies), overlay(pictures, found, camera)
        return io.NodeOutput(
            answers,
            [to_box_3d_value(detections) for detections in found],
            drawn,
            how,
            ui=shown(answers, how, drawn, cls),
        )
