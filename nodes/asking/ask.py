"""Caption and Ask: words about pictures."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.messages import GenerationOptions, Reply
from ...utils.chat.tasks import Task, tasks_in
from ...utils.errors import InputError
from ...utils.images.tensors import pictures_from_tensor
from .. import sockets
from ..request_building import EACH, MAX_SEED, TOGETHER, requests_for
from ..running import answer_all, node_id_of, report

# In place of a preset: the user's own words alone. Stored in workflows.
CUSTOM = "Custom prompt"


def caption_presets() -> list[str]:
    """The menu of caption presets."""
    return [*(task.title for task in tasks_in("caption")), CUSTOM]


def caption_prompt(preset: str, instructions: str) -> tuple[Task | None, str]:
    """The preset's task, if it is one, and the words to ask: its prompt, then the user's.

    Raises:
        InputError: an unknown preset, or the custom one without words.
    """
    own = instructions.strip()
    task = next((t for t in tasks_in("caption") if t.title == preset), None)
    if task is not None:
        return task, f"{task.fill()} {own}".strip()
    if preset != CUSTOM:
        raise InputError(f"There is no preset {preset!r}.", "Choose one from the menu.")
    if not own:
        raise InputError("The custom prompt is empty.", "Write instructions, or choose a preset.")
    return None, own


def preset_inputs(seed_changes: bool = True) -> list[io.Input]:
    """The widgets that choose the words of a caption."""
    return [
        io.Combo.Input("preset", options=caption_presets()),
        io.String.Input(
            "instructions",
            multiline=True,
            default="",
            dynamic_prompts=True,
            tooltip="Added to the preset's prompt; alone with the custom preset.",
        ),
        io.String.Input(
            "system_prompt",
            multiline=True,
            default="",
            tooltip="What the model is told before the picture: a role, a language, rules.",
        ),
        seed_input(seed_changes),
    ]


def seed_input(changes: bool = True) -> io.Input:
    """The seed widget; with `changes`, the browser sets a new one after every run."""
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=MAX_SEED,
        control_after_generate=True if changes else io.ControlAfterGenerate.fixed,
        tooltip="The same seed gives the same answer. Image n of a batch uses seed + n.",
    )


def answer_outputs() -> list[io.Output]:
    """What every asking node returns."""
    return [
        io.String.Output("text", display_name="text", is_output_list=True),
        io.String.Output("thinking", display_name="thinking", is_output_list=True),
        io.String.Output("report", display_name="report"),
    ]


def answer_output(replies: list[Reply]) -> io.NodeOutput:
    """Texts and thinking as lists, how it went as one text; the texts also for the browser."""
    texts = [reply.text for reply in replies]
    how = report(replies)
    ui = {"text": texts, "report": [how]}
    return io.NodeOutput(texts, [reply.thinking for reply in replies], how, ui=ui)


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
