"""Point: points on what words name."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.detection.boxes import Point
from ...utils.detection.socket_values import to_coordinates, to_point_value
from ...utils.images.tensors import pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.detection_prompts import (
    check_find,
    point_task,
    point_tasks,
)
from ..shared.found_words import found_words
from ..shared.grounding import (
    found_report,
    overlay,
    read_replies,
    shown,
    unreadable_input,
)
from ..shared.running import answer_all, node_id_of

# Stored in workflows: append only.
TILES = {"off": 0, "2 x 2 tiles": 2, "3 x 3 tiles": 3, "4 x 4 tiles": 4}


class Qwen3VLPoint(io.ComfyNode):
    """Points on what words name."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLPoint",
            display_name="Qwen3-VL Point",
            category=sockets.CATEGORY,
            description="Points at things by words. The coordinates text is what SAM3 and "
            "KJNodes read.",
            search_aliases=search_words("Qwen3VLPoint"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input(
                    "find",
                    multiline=True,
                    default="",
                    tooltip="What to point at, e.g. person.",
                ),
                seed_input(),
                unreadable_input(),
                sockets.Options.Input("options", optional=True),
                io.Combo.Input(
                    "ask_for",
                    options=[task.title for task in point_tasks()],
                    default=point_tasks()[0].title,
                    optional=True,
                    tooltip="Points on what is named; or points with reasons about where things "
                    "are in space, told from what is named.",
                ),
            ],
            outputs=[
                io.String.Output("answer", display_name="answer", is_output_list=True),
                sockets.Point.Output("points", display_name="points"),
                io.String.Output("coordinates", display_name="coordinates", is_output_list=True),
                io.Image.Output("overlay", display_name="overlay"),
                io.String.Output("report", display_name="report"),
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
        seed: int,
        unreadable: str,
        options: GenerationOptions | None = None,
        ask_for: str | None = None,
    ) -> io.NodeOutput:
        """One list of points for each image."""
        find = check_find(find)
        chosen = point_task(ask_for)
        pictures = pictures_from_tensor(image)
        words = chosen.fill(things=find)
        requests = requests_for(pictures, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls))
        answers = [reply.text for reply in replies]
        found = read_replies(replies, pictures, Point, unreadable)
        how, drawn = found_report(found, replies), overlay(pictures, found)
        points = [to_point_value(detections) for detections in found]
        said = shown(list(map(found_words, found)), how, drawn, cls)
        return io.NodeOutput(
            answers,
            points,
            [to_coordinates(detections) for detections in found],
            drawn,
            how,
            ui=said | {"answer": answers, "points": points},
        )
