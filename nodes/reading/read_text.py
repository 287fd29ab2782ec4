"""Read Text: what is written in a picture, as text or with a box for each line or word."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.tasks import Task, task
from ...utils.detection.boxes import Box, Detections
from ...utils.detection.socket_values import to_box_value
from ...utils.drawing.annotate import draw_detections
from ...utils.drawing.text_overlay import draw_numbered, draw_texts
from ...utils.images.picture import Picture
from ...utils.images.tensors import image_from_pictures, pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.grounding import found_report, read_replies, shown, unreadable_input
from ..shared.reading_running import turn_of, turned_input
from ..shared.running import answer_all, node_id_of, report

# Stored in workflows: append only.
READ = {
    "plain text": "read_plain", "lines with boxes": "read_lines", "words with boxes": "read_words",
}  # fmt: skip
AUTOMATIC = "automatic"
# Named in the question, where the model should not guess; the makers speak of 32 languages.
LANGUAGES = (
    "Chinese", "English", "Japanese", "Korean", "Indonesian", "Vietnamese", "Thai", "French",
    "German", "Russian", "Portuguese", "Spanish", "Italian", "Swedish", "Danish", "Czech",
    "Norwegian", "Dutch", "Finnish", "Turkish", "Polish", "Swahili", "Romanian", "Serbian", "Greek",
    "Kazakh", "Uzbek", "Cebuano", "Arabic", "Urdu", "Persian", "Hindi", "Hebrew",
)  # fmt: skip
ON_PLACE, NUMBERED, LABELLED = "text on its place", "numbers and a list", "boxes with text"


def read_prompt(read: str, language: str) -> tuple[Task, str]:
    """The task, and its words with the language where one was chosen."""
    chosen = task(READ[read])
    if language == AUTOMATIC:
        return chosen, chosen.fill()
    return chosen, f"{chosen.fill()} {task('read_language').fill(language=language)}"


def overlay_of(pictures: list[Picture], found: list[Detections], how: str) -> torch.Tensor:
    """An IMAGE of the pictures with what was read; lists make them taller and are padded white."""
    draw = {ON_PLACE: draw_texts, NUMBERED: draw_numbered, LABELLED: draw_detections}[how]
    drawn = [draw(p, d).pixels for p, d in zip(pictures, found, strict=True)]
    height = max(pixels.shape[0] for pixels in drawn)
    width = max(pixels.shape[1] for pixels in drawn)
    sheet = np.full((len(drawn), height, width, 3), 255, np.uint8)
    for number, pixels in enumerate(drawn):
        sheet[number, : pixels.shape[0], : pixels.shape[1]] = pixels
    return image_from_pictures(list(sheet))


class Qwen3VLReadText(io.ComfyNode):
    """Reads printed and written text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLReadText",
            display_name="Qwen3-VL Read Text",
            category=sockets.CATEGORY,
            description="Reads the text in every image of a batch, plain or with a box for each "
            "line or word.",
            search_aliases=search_words("Qwen3VLReadText"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.Combo.Input(
                    "read",
                    options=list(READ),
                    default="plain text",
                    tooltip="Plain text keeps the lines. With boxes, each text has its place.",
                ),
                io.Combo.Input(
                    "language",
                    options=[AUTOMATIC, *LANGUAGES],
                    default=AUTOMATIC,
                    tooltip="Named only if the model mistakes it.",
                ),
                io.Combo.Input(
                    "overlay_style",
                    options=[ON_PLACE, NUMBERED, LABELLED],
                    default=ON_PLACE,
                    tooltip="How the overlay shows what was read.",
                ),
                seed_input(),
                unreadable_input(),
                turned_input(),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("text", display_name="text", is_output_list=True),
                sockets.Box.Output("boxes", display_name="boxes"),
                io.Image.Output("overlay", display_name="overlay"),
                io.Int.Output("count", display_name="count", is_output_list=True),
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
        read: str,
        language: str,
        overlay_style: str,
        seed: int,
        unreadable: str,
        turned: str = "upright",
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """The texts of each image in reading order, boxes on the image as it is."""
        turn, pictures = turn_of(turned), pictures_from_tensor(image)
        upright = [turn.upright(picture) for picture in pictures]
        chosen, words = read_prompt(read, language)
        requests = requests_for(upright, words, options=options, task=chosen, seed=seed)
        replies = answer_all(model, requests, node_id_of(cls))
        if chosen.id == "read_plain":
            texts = [reply.text for reply in replies]
            found = [Detections(*picture.size_wh) for picture in pictures]
            how = report(replies)
        else:
            on_upright = read_replies(replies, upright, Box, unreadable)
            found = [turn.places_on(p, d) for p, d in zip(pictures, on_upright, strict=True)]
            texts = ["\n".join(item.label for item in d.items) for d in found]
            how = found_report(found, replies)
        drawn = overlay_of(pictures, found, overlay_style)
        return io.NodeOutput(
            texts,
            [to_box_value(detections) for detections in found],
            drawn,
            [len(detections.boxes) for detections in found],
            how,
            ui=shown(texts, how, drawn, cls) | {"boxes": [to_box_value(d) for d in found]},
        )
