"""Caption: describes pictures by a preset, or by words of one's own."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import EACH, SEVERAL, TOGETHER, requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.images.masking import SHOW
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import answer_outputs, preset_inputs
from ..forms.widgets_asking import (
    STOP_RUN,
    chosen_caption,
    interrupt_input,
    mask_inputs,
    max_new_tokens_input,
    own_limit,
    pictures_seen,
    vision_ids_input,
    word_inputs,
)
from ..shared.checking import answer_checked, checked_output
from ..shared.running import node_id_of


class Qwen3VLCaption(io.ComfyNode):
    """Describes pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCaption",
            display_name="Qwen3-VL Caption",
            category=sockets.CATEGORY,
            description="Describes every image of a batch, or all of them in one text.",
            search_aliases=search_words("Qwen3VLCaption"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                *preset_inputs(refining=True),
                io.Combo.Input("batch", options=[EACH, TOGETHER], default=EACH),
                sockets.Options.Input("options", optional=True),
                io.String.Input(
                    "context",
                    multiline=True,
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="Tags or text that the image has already, taken for facts; the preset "
                    "Refine rewrites it.",
                ),
                *mask_inputs(),
                vision_ids_input(),
                *word_inputs(),
                max_new_tokens_input(),
                interrupt_input(),
            ],
            outputs=answer_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        image: torch.Tensor,
        preset: str,
        instructions: str,
        system_prompt: str,
        seed: int,
        batch: str,
        options: GenerationOptions | None = None,
        context: str = "",
        mask: torch.Tensor | None = None,
        mask_use: str = SHOW,
        vision_ids: str = SEVERAL,
        must: str = "",
        must_not: str = "",
        max_new_tokens: int = 0,
        on_interrupt: str = STOP_RUN,
    ) -> io.NodeOutput:
        """One caption for each image, or one for all."""
        task, words = chosen_caption(preset, instructions, context)
        requests = requests_for(
            pictures_seen(image, mask, mask_use),
            words,
            together=batch == TOGETHER,
            system_prompt=system_prompt,
            options=own_limit(options, max_new_tokens),
            task=task,
            seed=seed,
            vision_ids=vision_ids,
        )
        rules = task.answer if task else None
        return checked_output(
            answer_checked(model, requests, node_id_of(cls), must, must_not, rules, on_interrupt)
        )
