"""Caption: describes pictures by a preset, or by words of one's own."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import EACH, TOGETHER, caption_prompt, requests_for
from ...utils.chat.options import GenerationOptions
from ...utils.images.tensors import pictures_from_tensor
from .. import sockets
from ..running import answer_all, answer_output, node_id_of
from ..widgets import answer_outputs, preset_inputs


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
            search_aliases=["describe image", "image to text", "tagger", "interrogate", "qwen"],
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                *preset_inputs(),
                io.Combo.Input("batch", options=[EACH, TOGETHER], default=EACH),
                sockets.Options.Input("options", optional=True),
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
    ) -> io.NodeOutput:
        """One caption for each image, or one for all."""
        task, words = caption_prompt(preset, instructions)
        requests = requests_for(
            pictures_from_tensor(image),
            words,
            together=batch == TOGETHER,
            system_prompt=system_prompt,
            options=options,
            task=task,
            seed=seed,
        )
        return answer_output(answer_all(model, requests, node_id_of(cls)))
