"""Ask: a question about each image, about all together, or about none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.agents.called import NO_PICTURE_WH, calls_as_json
from ...utils.chat.composition import EACH, SEVERAL, TOGETHER, requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.requests import Reply, Request
from ...utils.chat.tool_sets import Tool, read_tools, system_with_tools
from ...utils.conversation.transcript import chat_of
from ...utils.errors import InputError
from ...utils.images.masking import SHOW
from ...utils.images.picture import Picture
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import answer_outputs, seed_input
from ..forms.widgets_asking import (
    STOP_RUN,
    interrupt_input,
    mask_inputs,
    max_new_tokens_input,
    own_limit,
    pictures_seen,
    tools_input,
    vision_ids_input,
    word_inputs,
)
from ..shared.checking import answer_checked, checked_output
from ..shared.running import node_id_of


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
            search_aliases=search_words("Qwen3VLAsk"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image", optional=True),
                io.String.Input(
                    "question", multiline=True, default="What is in this image?",
                    tooltip="image1, image2 … in braces put a picture there; the others go first.",
                ),
                io.String.Input("system_prompt", multiline=True, default="", advanced=True),
                seed_input(),
                io.Combo.Input("batch", options=[EACH, TOGETHER], default=EACH),
                sockets.Options.Input("options", optional=True),
                *mask_inputs(),
                vision_ids_input(),
                *word_inputs(),
                max_new_tokens_input(),
                interrupt_input(),
                tools_input(),
            ],
            outputs=[
                *answer_outputs(),
                io.String.Output("tool_calls", display_name="tool_calls", is_output_list=True),
                sockets.Chat.Output("chat", display_name="chat", is_output_list=True),
            ],
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
        mask: torch.Tensor | None = None,
        mask_use: str = SHOW,
        vision_ids: str = SEVERAL,
        must: str = "",
        must_not: str = "",
        max_new_tokens: int = 0,
        on_interrupt: str = STOP_RUN,
        tools: str = "",
    ) -> io.NodeOutput:
        """One answer for each image, or one for all, or one to the text alone."""
        if not question.strip():
            raise InputError("The question is empty.", "Write a question.")
        offered = read_tools(tools) if tools.strip() else ()
        requests = requests_for(
            pictures_seen(image, mask, mask_use),
            question.strip(),
            together=batch == TOGETHER,
            system_prompt=system_with_tools(offered, system_prompt) if offered else system_prompt,
            options=own_limit(options, max_new_tokens),
            seed=seed,
            vision_ids=vision_ids,
        )
        found = answer_checked(
            model, requests, node_id_of(cls), must, must_not, on_interrupt=on_interrupt
        )
        made = checked_output(found)
        replies = [one.reply for one in found]
        asked = list(zip(requests, replies, strict=True))
        calls = [_calls(request, reply, offered) for request, reply in asked]
        return io.NodeOutput(
            *made.args,
            calls,
            [chat_of(request, reply) for request, reply in asked],
            ui=made.ui | ({"tool_calls": calls} if offered else {}),
        )


def _calls(request: Request, reply: Reply, offered: Sequence[Tool]) -> str:
    """The calls in a reply, places in pixels of the first picture that it is about."""
    if not offered:
        return "[]"
    seen = [p for m in request.messages for p in m.parts if isinstance(p, Picture)]
    return calls_as_json(reply.text, offered, seen[0].size_wh if seen else NO_PICTURE_WH)
