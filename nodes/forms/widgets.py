"""Widgets and outputs that several nodes share."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.user_tasks import known_tasks
from ...utils.chat.composition import MAX_SEED, caption_presets

# What becomes of an answer that cannot be read or does not hold.
STOP, GO_ON = "stop with an error", "go on, valid = False"


def preset_inputs(seed_changes: bool = True, refining: bool = False) -> list[io.Input]:
    """The widgets that choose the words of a caption; the menu has the user's own presets too."""
    return [
        io.Combo.Input("preset", options=caption_presets(known_tasks().tasks, refining)),
        io.String.Input(
            "instructions",
            multiline=True,
            default="",
            tooltip="Added to the preset's prompt; alone with the custom preset.",
        ),
        io.String.Input(
            "system_prompt",
            advanced=True,
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
