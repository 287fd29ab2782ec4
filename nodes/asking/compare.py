"""Compare: one question about several pictures of any size, or about each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import EACH, TOGETHER, requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.errors import InputError
from ...utils.images.masking import SHOW
from ...utils.images.picture import Picture
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import answer_outputs, seed_input
from ..forms.widgets_asking import (
    all_pictures,
    growing_images,
    growing_masks,
    interrupt_input,
    max_new_tokens_input,
    own_limit,
    vision_ids_input,
    word_inputs,
)
from ..shared.checking import answer_checked, checked_output
from ..shared.running import node_id_of


class Qwen3VLCompare(io.ComfyNode):
    """Asks about several pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form; lists arrive whole, so that pictures of different sizes are one
        question.
        """
        return io.Schema(
            node_id="Qwen3VLCompare",
            display_name="Qwen3-VL Compare",
            category=sockets.CATEGORY,
            description="Asks about several pictures at once. Each input takes an image, a batch "
            "or a list, of any sizes; the question may say where each of them stands.",
            search_aliases=search_words("Qwen3VLCompare"),
            inputs=[
                sockets.Model.Input("model"),
                growing_images(),
                io.String.Input(
                    "question", multiline=True, default="What differs between the pictures?",
                    tooltip="image1, image2 … in braces put a picture there; the others go first.",
                ),
                io.String.Input("system_prompt", multiline=True, default="", advanced=True),
                seed_input(),
                io.Combo.Input("batch", options=[TOGETHER, EACH], default=TOGETHER),
                vision_ids_input(),
                *word_inputs(),
                max_new_tokens_input(),
                interrupt_input(),
                sockets.Options.Input("options", optional=True),
                *growing_masks(),
            ],
            outputs=answer_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            is_input_list=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        images: Mapping[str, Sequence[torch.Tensor]],
        masks: Mapping[str, Sequence[torch.Tensor]] | None = None,
        mask_use: Sequence[str] = (SHOW,),
        **lists: Any,
    ) -> io.NodeOutput:
        """One answer about all pictures, or one about each."""
        given = {name: values[0] for name, values in lists.items() if values}
        pictures = all_pictures(images, masks or {}, mask_use[0])
        if not pictures:
            raise InputError("No picture is connected.", "Connect at least one image.")
        return cls._asked(pictures, **given)

    @classmethod
    def _asked(
        cls,
        pictures: list[Picture],
        model: Model,
        question: str,
        system_prompt: str,
        seed: int,
        batch: str,
        options: GenerationOptions | None = None,
        vision_ids: str = "",
        must: str = "",
        must_not: str = "",
        max_new_tokens: int = 0,
        on_interrupt: str = "",
    ) -> io.NodeOutput:
        if not question.strip():
            raise InputError("The question is empty.", "Write a question.")
        requests = requests_for(
            pictures,
            question.strip(),
            together=batch == TOGETHER,
            system_prompt=system_prompt,
            options=own_limit(options, max_new_tokens),
            seed=seed,
            vision_ids=vision_ids,
        )
        answers = answer_checked(
            model, requests, node_id_of(cls), must, must_not, on_interrupt=on_interrupt
        )
        return checked_output(answers)
