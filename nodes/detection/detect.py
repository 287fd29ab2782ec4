"""Detect and Point: where things are, by words."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import torch
from comfy_api.latest import io

from ...loaders.local_model import LocalModel
from ...utils.chat.messages import GenerationOptions
from ...utils.chat.tasks import Task, task, tasks_in
from ...utils.detection.boxes import Box, Detections, Point
from ...utils.detection.socket_values import to_box_value, to_coordinates, to_point_value
from ...utils.detection.tiling import cut_out, put_together, tiles_of
from ...utils.errors import InputError
from ...utils.images.tensors import pictures_from_tensor
from .. import sockets
from ..asking.ask import seed_input
from ..detection_running import (
    AS_ASKED,
    found_report,
    language_in,
    names_input,
    overlay,
    read_replies,
    shown,
    unreadable_input,
)
from ..request_building import requests_for
from ..running import answer_all, node_id_of

# Stored in workflows: append only.
CATEGORIES, DESCRIPTION = "categories, comma between", "a description"
TILES = {"off": 0, "2 x 2 tiles": 2, "3 x 3 tiles": 3, "4 x 4 tiles": 4}


def find_choices() -> list[str]:
    """The menu of ways to say what to find."""
    return [CATEGORIES, DESCRIPTION, *(task.title for task in tasks_in("recognize"))]


def detect_prompt(find: str, find_by: str, attributes: str) -> tuple[Task, str]:
    """The task and the words that ask for boxes.

    Raises:
        InputError: nothing to find, or attributes of a description or of names.
    """
    named = next((t for t in tasks_in("recognize") if t.title == find_by), None)
    if named is not None and attributes.strip(" ,"):
        raise InputError("Attributes cannot be asked together with names.", "Empty attributes.")
    if named is not None and not named.fields:
        only = f" Only: {find.strip()}." if find.strip(" ,\n") else ""
        return named, named.fill() + only
    check_find(find)
    if named is not None:
        return named, named.fill(things=find)
    names = [name.strip() for name in attributes.split(",") if name.strip()]
    if not names:
        chosen = task("ground_phrase" if find_by == DESCRIPTION else "ground_boxes")
        return chosen, chosen.fill(things=find)
    if find_by == DESCRIPTION:
        raise InputError(
            "Attributes can be asked of categories only.", "Empty attributes, or name categories."
        )
    chosen = task("ground_attributes")
    example = {"bbox_2d": "PLACE", "label": find.strip()} | dict.fromkeys(names, "...")
    shape = json.dumps(example, ensure_ascii=False).replace('"PLACE"', "[x1, y1, x2, y2]", 1)
    return chosen, chosen.fill(things=find, attributes=" and ".join(names), example=shape)


def check_find(find: str) -> None:
    """Raise InputError if there is nothing to find: commas alone name nothing."""
    if not find.replace(",", "").strip():
        raise InputError("There is nothing to find.", "Write what to look for, e.g. cat, dog.")


def _first(found: Detections, most: int) -> Detections:
    """At most `most` items, 0 for all; what was left out is said."""
    if not most or len(found.items) <= most:
        return found
    note = f"{len(found.items) - most} more left out by max_count"
    return replace(found.with_items(found.items[:most]), notes=(*found.notes, note))


class Qwen3VLDetect(io.ComfyNode):
    """Boxes around what words name."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLDetect",
            display_name="Qwen3-VL Detect",
            category=sockets.CATEGORY,
            description="Finds things by words and gives labelled boxes for core, SAM3 and "
            "every adapter of this pack.",
            search_aliases=["bbox", "bounding box", "grounding", "object detection", "locate"],
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input(
                    "find",
                    multiline=True,
                    default="",
                    dynamic_prompts=True,
                    tooltip="Categories with commas between, or one description.",
                ),
                io.Combo.Input(
                    "find_by",
                    options=find_choices(),
                    default=CATEGORIES,
                    tooltip="Categories or one description; or names in two languages, where "
                    "find may narrow down what is named.",
                ),
                io.String.Input(
                    "attributes",
                    default="",
                    tooltip="What else to say of each box, e.g. type, color. Needs categories.",
                ),
                io.Int.Input(
                    "max_count",
                    default=0,
                    min=0,
                    max=10_000,
                    tooltip="Keeps the first so many boxes of each image. 0: all.",
                ),
                io.Combo.Input(
                    "look_again",
                    options=list(TILES),
                    default="off",
                    tooltip="Asks about overlapping tiles too, for small things in large pictures. "
                    "Boxes of one thing are merged.",
                ),
                seed_input(),
                unreadable_input(),
                sockets.Options.Input("options", optional=True),
                names_input(),
            ],
            outputs=[
                io.String.Output("answer", display_name="answer", is_output_list=True),
                sockets.Box.Output("boxes", display_name="boxes"),
                io.Image.Output("overlay", display_name="overlay"),
                io.Int.Output("count", display_name="count", is_output_list=True),
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
        find_by: str,
        attributes: str,
        max_count: int,
        look_again: str,
        seed: int,
        unreadable: str,
        options: GenerationOptions | None = None,
        names_in: str = AS_ASKED,
    ) -> io.NodeOutput:
        """Whole pictures first, then their tiles, all in one run."""
        chosen, words = detect_prompt(find, find_by, attributes)
        pictures = pictures_from_tensor(image)
        tiles = tiles_of(TILES[look_again], TILES[look_again]) if TILES[look_again] else []
        asked = [*pictures, *(cut_out(p, tile) for p in pictures for tile in tiles)]
        requests = requests_for(asked, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls))
        language = language_in(names_in, find)
        read = read_replies(replies, asked, Box, unreadable, language=language)
        parts = iter(read[len(pictures) :])
        found = [
            _first(put_together(whole, tiles, list(islice(parts, len(tiles)))), max_count)
            for whole in read[: len(pictures)]
        ]
        answers = [reply.text for reply in replies[: len(pictures)]]
        how, drawn = found_report(found, replies), overlay(pictures, found)
        return io.NodeOutput(
            answers,
            [to_box_value(detections) for detections in found],
            drawn,
            [len(detections.boxes) for detections in found],
            how,
            ui=shown(answers, how, drawn, cls),
        )


def point_tasks() -> tuple[Task, ...]:
    """The menu of what points are asked for."""
    return (*tasks_in("ground_points"), *tasks_in("spatial_points"))


def _point_task(title: str | None) -> Task:
    if title is None:
        return point_tasks()[0]
    chosen = next((t for t in point_tasks() if t.title == title), None)
    if chosen is None:
        raise InputError(f"Points of {title!r} cannot be asked for.", "Choose from the menu.")
    return chosen


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
            search_aliases=["point", "pointing", "coordinates", "sam prompt", "grounding"],
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input(
                    "find",
                    multiline=True,
                    default="",
                    dynamic_prompts=True,
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
        model: LocalModel,
        image: torch.Tensor,
        find: str,
        seed: int,
        unreadable: str,
        options: GenerationOptions | None = None,
        ask_for: str | None = None,
    ) -> io.NodeOutput:
        """One list of points for each image."""
        check_find(find)
        chosen = _point_task(ask_for)
        pictures = pictures_from_tensor(image)
        words = chosen.fill(things=find)
        requests = requests_for(pictures, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls))
        answers = [reply.text for reply in replies]
        found = read_replies(replies, pictures, Point, unreadable)
        how, drawn = found_report(found, replies), overlay(pictures, found)
        return io.NodeOutput(
            answers,
            [to_point_value(detections) for detections in found],
            [to_coordinates(detections) for detections in found],
            drawn,
            how,
            ui=shown(answers, how, drawn, cls),
        )
