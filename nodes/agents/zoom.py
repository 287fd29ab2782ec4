"""Zoom: an answer by a model that may look closer before it gives one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.agents.zoom_talk import MAX_LOOKS, Look, ZoomTalk
from ...utils.chat.generation_options import GenerationOptions
from ...utils.detection.boxes import Box, Detection, Detections
from ...utils.detection.socket_values import to_box_value
from ...utils.drawing.contact_sheet import Card, contact_sheet
from ...utils.images.picture import Picture
from ...utils.images.tensors import image_from_pictures, pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.grounding import shown
from ..shared.running import answer_all, node_id_of, notes_of, report

SHEET_COLUMNS = 4


class Qwen3VLZoom(io.ComfyNode):
    """An answer after closer looks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLZoom",
            display_name="Qwen3-VL Zoom",
            category=sockets.CATEGORY,
            description="Answers a question about small things: the model may ask for parts of "
            "the images, enlarged, before it answers.",
            search_aliases=search_words("Qwen3VLZoom"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image", tooltip="All images of a batch, in one talk."),
                io.String.Input("question", multiline=True, default=""),
                io.Int.Input(
                    "max_looks",
                    default=4,
                    min=0,
                    max=MAX_LOOKS,
                    tooltip="How many closer looks it may take. 0: none, the tool is not offered.",
                ),
                io.String.Input("system_prompt", multiline=True, default="", advanced=True),
                seed_input(),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("answer", display_name="answer"),
                io.Image.Output("crops", display_name="crops", is_output_list=True),
                sockets.Box.Output("boxes", display_name="boxes"),
                io.String.Output("transcript", display_name="transcript"),
                io.Image.Output("sheet", display_name="contact sheet"),
                io.String.Output("thinking", display_name="thinking"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        image: torch.Tensor,
        question: str,
        max_looks: int,
        system_prompt: str,
        seed: int,
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """Ask, answer the model's calls with crops, until it answers."""
        pictures = pictures_from_tensor(image)
        talk = ZoomTalk(pictures, question, max_looks, system_prompt, options, seed)
        while not talk.done:
            talk.take(answer_all(model, [talk.request()], node_id_of(cls))[0])
        sheet = image_from_pictures([Picture(contact_sheet(_cards(talk), SHEET_COLUMNS))])
        how = _zoom_report(talk)
        thinking = "\n\n".join(reply.thinking for reply in talk.replies if reply.thinking)
        return io.NodeOutput(
            talk.answer,
            # An empty list would end the workflow without a word: the report says what it is.
            [image_from_pictures([p]) for p in [look.crop for look in talk.looks] or pictures[:1]],
            [to_box_value(_looked_at(talk.looks, n, p)) for n, p in enumerate(pictures)],
            "\n".join(talk.lines),
            sheet,
            thinking,
            how,
            ui=shown([talk.answer], how, sheet, cls),
        )


def _looked_at(looks: Sequence[Look], number: int, picture: Picture) -> Detections:
    """What was looked at in one picture, in the order of the looks."""
    size_wh = picture.size_wh
    items = [
        Detection(look.label, Box.from_pixels(*look.region_xyxy, *size_wh), {"look": n})
        for n, look in enumerate(looks, 1)
        if look.picture == number
    ]
    return Detections(*size_wh, tuple(items))


def _cards(talk: ZoomTalk) -> list[Card]:
    """The pictures and what was cut out of them, numbered as the model counts them."""
    whole = [Card(n, "the image", picture, "") for n, picture in enumerate(talk.pictures)]
    crops = [
        Card(look.index, f"part of {look.picture}", look.crop, look.label or "(no label)")
        for look in talk.looks
    ]
    return [*(_plain(card) for card in whole), *crops]


def _plain(card: Card) -> Card:
    width, height = card.picture.size_wh if card.picture else (0, 0)
    return Card(card.number, card.name, card.picture, f"{width} x {height}")


def _zoom_report(talk: ZoomTalk) -> str:
    """How often it looked, what was refused, and how each step went."""
    looks = len(talk.looks)
    lines = [f"{looks} closer look{'s' if looks != 1 else ''} in {len(talk.replies)} steps"]
    if not looks:
        lines[0] = "It did not look closer: crops holds the whole first image"
    if not talk.answer:
        lines.append("There is no answer.")
    lines += notes_of(talk.notes)
    return "\n".join([*lines, report(talk.replies)])
