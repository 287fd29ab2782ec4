"""Detect: boxes around what words name."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.detection.boxes import Box, Detections
from ...utils.detection.socket_values import to_box_value
from ...utils.detection.tiling import by_picture, looks_at, put_together, tiles_of
from ...utils.images.tensors import pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.detection_prompts import (
    CATEGORIES,
    detect_prompt,
    find_choices,
)
from ..shared.found_words import found_words
from ..shared.grounding import (
    AS_ASKED,
    found_report,
    language_in,
    names_input,
    overlay,
    read_replies,
    shown,
    unreadable_input,
)
from ..shared.running import answer_all, node_id_of

# Stored in workflows: append only.
TILES = {"off": 0, "2 x 2 tiles": 2, "3 x 3 tiles": 3, "4 x 4 tiles": 4}


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
            search_aliases=search_words("Qwen3VLDetect"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input(
                    "find",
                    multiline=True,
                    default="",
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
        model: Model,
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
        looks = looks_at(pictures, tiles)
        asked, names = [look.picture for look in looks], [look.name for look in looks]
        requests = requests_for(asked, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls), names=names)
        language = language_in(names_in, find)
        read = read_replies(replies, asked, Box, unreadable, language=language, names=names)
        groups = by_picture(looks, read)
        found = [_first(put_together(whole, tiles, parts), max_count) for whole, *parts in groups]
        answers = [whole.text for whole, *_ in by_picture(looks, replies)]
        how, drawn = found_report(found, replies, names if tiles else ()), overlay(pictures, found)
        boxes = [to_box_value(detections) for detections in found]
        said = shown(list(map(found_words, found)), how, drawn, cls)
        return io.NodeOutput(
            answers,
            boxes,
            drawn,
            [len(detections.boxes) for detections in found],
            how,
            ui=said | {"answer": answers, "boxes": boxes},
        )
