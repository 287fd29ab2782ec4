"""Ask: a question about each image, about all together, or about none."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import EACH, TOGETHER, requests_for
from ...utils.chat.options import GenerationOptions
from ...utils.errors import InputError
from ...utils.images.tensors import pictures_from_tensor
from .. import sockets
from ..running import answer_all, answer_output, node_id_of
from ..widgets import answer_outputs, seed_input


class Qwen3VLAsk(io.ComfyNode):
    """Answers a question, with pictures or without."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLAsk",
            display_name="Qwen3-VL Ask",
            category=sockets.CATEGORY,
            description="Asks anything about each image of a batch, about all images together, "
            "or, with no image, anything.",
            search_aliases=["vqa", "question", "chat", "llm", "qwen", "prompt"],
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image", optional=True),
                io.String.Input(
                    "question", multiline=True, default="What is in this image?",
                    dynamic_prompts=True,
                ),
                io.String.Input("system_prompt", multiline=True, default=""),
                seed_input(),
                io.Combo.Input("batch", options=[EACH, TOGETHER], default=EACH),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=answer_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        question: str,
        system_prompt: str,
        seed: int,
        batch: str,
        image: torch.Tensor | None = None,
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """One answer for each image, or one for all, or one to the text alone."""
        if not question.strip():
            raise InputError("The question is empty.", "Write a question.")
        requests = requests_for(
            [] if image is None else pictures_from_tensor(image),
            question.strip(),
            together=batch == TOGETHER,
            system_prompt=system_prompt,
            options=options,
            seed=seed,
        )
        return answer_output(answer_all(model, requests, node_id_of(cls)))
