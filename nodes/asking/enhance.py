"""Enhance Prompt: a short prompt becomes one as the makers of an image or video model want it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.user_tasks import known_tasks
from ...utils.chat.answer_rules import is_in
from ...utils.chat.composition import requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.tasks import Task, tasks_in
from ...utils.errors import GenerationError, InputError
from ...utils.images.picture import Picture
from ...utils.images.tensors import pictures_from_tensor
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..forms.widgets_asking import (
    interrupt_input,
    max_new_tokens_input,
    own_limit,
    word_inputs,
)
from ..shared.checking import answer_checked
from ..shared.running import node_id_of, report

# Stored in workflows: append only.
AS_WRITTEN, IN_ENGLISH, IN_CHINESE = "as the prompt", "English", "Chinese"


class Qwen3VLEnhancePrompt(io.ComfyNode):
    """Rewrites a prompt for a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form; its menu has the user's own enhancers too."""
        return io.Schema(
            node_id="Qwen3VLEnhancePrompt",
            display_name="Qwen3-VL Enhance Prompt",
            category=sockets.CATEGORY,
            description="Rewrites a prompt the way Qwen-Image, Wan, LTX, Flux or Krea want it, and "
            "checks its length and language. Link it to CLIP Text Encode.",
            search_aliases=search_words("Qwen3VLEnhancePrompt"),
            inputs=[
                sockets.Model.Input("model"),
                io.String.Input("prompt", multiline=True, default="A cat on a roof"),
                io.Combo.Input("target", options=_titles()),
                io.Combo.Input(
                    "language", options=[AS_WRITTEN, IN_ENGLISH, IN_CHINESE], default=AS_WRITTEN
                ),
                seed_input(),
                io.Image.Input(
                    "image", optional=True,
                    tooltip="What is to be edited, or the first frame. Some targets look at none.",
                ),
                *word_inputs(),
                max_new_tokens_input(),
                interrupt_input(),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("text", display_name="prompt"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        prompt: str,
        target: str,
        language: str,
        seed: int,
        image: torch.Tensor | None = None,
        must: str = "",
        must_not: str = "",
        max_new_tokens: int = 0,
        on_interrupt: str = "",
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """One prompt in, one out."""
        if not prompt.strip():
            raise InputError("The prompt is empty.", "Write what the picture or video shows.")
        task = _task(target, language, prompt)
        pictures, lines = _pictures(task, image)
        requests = requests_for(
            pictures,
            task.fill(prompt=prompt),
            together=True,
            system_prompt=task.system,
            options=own_limit(options, max_new_tokens),
            task=task,
            seed=seed,
        )
        (answer,) = answer_checked(
            model, requests, node_id_of(cls), must, must_not, task.answer, on_interrupt
        )
        text = " ".join(answer.reply.text.split("\n")) if task.answer.paragraphs == 1 else (
            answer.reply.text
        )  # fmt: skip
        if not text.strip():
            raise GenerationError(
                "The model wrote no prompt.", "Raise max_new_tokens, or set another seed."
            )
        how = "\n".join([*lines, report([answer.reply], [answer.note])])
        return io.NodeOutput(text, how, ui={"text": [text], "report": [how]})


def _titles() -> list[str]:
    return list(dict.fromkeys(task.title for task in tasks_in("enhance", known_tasks().tasks)))


def _task(target: str, language: str, prompt: str) -> Task:
    """The enhancer in the wanted language, or in the one it has."""
    known = known_tasks()
    found: Sequence[Task] = [t for t in tasks_in("enhance", known.tasks) if t.title == target]
    if not found:
        raise known.problem or InputError(
            f"There is no enhancer {target!r}.", "Choose one from the menu."
        )
    chinese = is_in(prompt, "zh") if language == AS_WRITTEN else language == IN_CHINESE
    wanted = "zh" if chinese else "en"
    return next((task for task in found if task.answer.language == wanted), found[0])


def _pictures(task: Task, image: torch.Tensor | None) -> tuple[list[Picture], list[str]]:
    """What the enhancer is shown, and a line where that is not what is linked."""
    if image is None:
        if task.picture == "required":
            raise InputError(
                f"{task.title} looks at a picture, and none is linked.",
                "Link the picture to be edited, or the first frame.",
            )
        return [], []
    if not task.picture:
        return [], [f"{task.title} looks at no picture: the linked one was not shown"]
    return pictures_from_tensor(image), []
