"""The options node: sampling, lengths and picture sizes, for those who want them."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...utils.chat.answer_rules import AnswerRules
from ...utils.chat.effective_settings import settings_text, without_effect
from ...utils.chat.generation_options import OPTION_RANGES, GenerationOptions
from ...utils.chat.sampling import OFFICIAL
from ...utils.errors import InputError
from ...utils.images.resize import DEFAULT_MAX_PIXELS, TOKEN_SIDE
from ..forms import sockets
from ..forms.search_words import search_words

# Stored in workflows: append only.
SAMPLING = ("official", "greedy", "custom")
AS_TRAINED, THINKING_OFF = "as the model was made", "off"
AS_TEXT, JSON = "text", "JSON only"
TWO_FIELDS, EXACT = "the two fields", "exactly width x height"
# Most visual tokens of a picture: for a colour or a mood, for most questions, for small print.
PICTURE_TOKENS = {"fast": 256, "balanced": 1_280, "detailed": 4_096}
PIXELS_PER_TOKEN = TOKEN_SIDE * TOKEN_SIDE


class Qwen3VLOptions(io.ComfyNode):
    """Overrides the official generation settings."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form; its ranges and defaults come from the values they set."""
        official = OFFICIAL["instruct", True]
        return io.Schema(
            node_id="Qwen3VLOptions",
            display_name="Qwen3-VL Options",
            category=sockets.CATEGORY,
            description="Without this node every model uses its official settings. The fields "
            "from temperature to presence_penalty count only with sampling: custom.",
            search_aliases=search_words("Qwen3VLOptions"),
            inputs=[
                io.Combo.Input(
                    "sampling",
                    options=list(SAMPLING),
                    default="official",
                    tooltip="official: what the model's makers recommend for its edition. "
                    "greedy: always the likeliest token. custom: the fields below.",
                ),
                io.Int.Input(
                    "max_new_tokens",
                    default=0,
                    min=0,
                    max=int(OPTION_RANGES["max_new_tokens"][1]),
                    tooltip="Longest answer, thinking included. 0: the official limit.",
                ),
                _float("temperature", official.temperature),
                _float("top_p", official.top_p),
                io.Int.Input(
                    "top_k",
                    default=official.top_k,
                    min=int(OPTION_RANGES["top_k"][0]),
                    max=int(OPTION_RANGES["top_k"][1]),
                ),
                _float("repetition_penalty", official.repetition_penalty),
                _float("presence_penalty", official.presence_penalty),
                io.Int.Input(
                    "min_picture_tokens",
                    default=0,
                    min=0,
                    max=16_384,
                    tooltip="Pictures below this are enlarged. One token is 32 x 32 pixels. "
                    "0: the checkpoint's own limit.",
                ),
                io.Int.Input(
                    "max_picture_tokens",
                    default=0,
                    min=0,
                    max=16_384,
                    tooltip="Pictures above this are made smaller. 0: what the task needs, "
                    f"mostly {DEFAULT_MAX_PIXELS // PIXELS_PER_TOKEN}.",
                ),
                io.String.Input(
                    "stop",
                    multiline=True,
                    default="",
                    tooltip="Texts at which the answer ends, one a line.",
                ),
                *_thinking_inputs(),
                *_picture_inputs(),
                *_answer_inputs(),
            ],
            outputs=[sockets.Options.Output(display_name="options")],
        )

    @classmethod
    def execute(
        cls,
        sampling: str,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        repetition_penalty: float,
        presence_penalty: float,
        min_picture_tokens: int,
        max_picture_tokens: int,
        stop: str,
        thinking: str = AS_TRAINED,
        thinking_budget: int = 0,
        picture_size: str = TWO_FIELDS,
        width: int = 1024,
        height: int = 1024,
        answer: str = AS_TEXT,
        json_schema: str = "",
    ) -> io.NodeOutput:
        """Put the fields into one value, and say what will be used of it; 0 leaves a field to the
        official setting.
        """
        drawing: dict[str, Any] = {
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "repetition_penalty": repetition_penalty,
            "presence_penalty": presence_penalty,
        }
        options = GenerationOptions(
            max_new_tokens=max_new_tokens or None,
            stop=tuple(line for line in stop.splitlines() if line),
            thinking=False if thinking == THINKING_OFF else None,
            thinking_budget=thinking_budget or None,
            json_schema=(json_schema.strip() or "{}") if answer == JSON else None,
            **_pixels(picture_size, min_picture_tokens, max_picture_tokens, (width, height)),
            **(GREEDY if sampling == "greedy" else drawing if sampling == "custom" else {}),
        )
        AnswerRules().and_json(options.json_schema)  # refuses what is no schema
        notes = without_effect(options, sampling, drawing)
        if picture_size not in (TWO_FIELDS, EXACT) and (min_picture_tokens or max_picture_tokens):
            notes.append(f"No effect: the picture tokens, because picture_size is {picture_size}")
        if answer != JSON and json_schema.strip():
            notes.append(f"No effect: json_schema, because answer is {answer}")
        ui = {"text": [settings_text(options)], "report": notes}
        return io.NodeOutput(options, ui=ui)


# No penalty either: the likeliest token is meant literally.
GREEDY: dict[str, Any] = {"temperature": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}


def _pixels(
    picture_size: str, min_tokens: int, max_tokens: int, exact_size_wh: tuple[int, int]
) -> dict[str, Any]:
    """The options about picture sizes."""
    if picture_size == EXACT:
        return {"exact_size_wh": exact_size_wh}
    if picture_size in PICTURE_TOKENS:
        return {"max_pixels": PICTURE_TOKENS[picture_size] * PIXELS_PER_TOKEN}
    if 0 < max_tokens < min_tokens:
        raise InputError(
            f"min_picture_tokens {min_tokens} is larger than max_picture_tokens {max_tokens}.",
            "Lower the first or raise the second.",
        )
    return {
        "min_pixels": min_tokens * PIXELS_PER_TOKEN or None,
        "max_pixels": max_tokens * PIXELS_PER_TOKEN or None,
    }


def _thinking_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "thinking",
            options=[AS_TRAINED, THINKING_OFF],
            default=AS_TRAINED,
            optional=True,
            tooltip="off: a Thinking edition answers at once. Instruct editions never think.",
        ),
        io.Int.Input(
            "thinking_budget",
            default=0,
            min=0,
            max=int(OPTION_RANGES["thinking_budget"][1]),
            optional=True,
            tooltip="After so many tokens the thinking is closed and the answer is written, which "
            "then has max_new_tokens for itself. 0: no bound.",
        ),
    ]


def _picture_inputs() -> list[io.Input]:
    sides = {"default": 1024, "min": TOKEN_SIDE, "max": 16_384, "step": TOKEN_SIDE}
    return [
        io.Combo.Input(
            "picture_size",
            options=[TWO_FIELDS, *PICTURE_TOKENS, EXACT],
            default=TWO_FIELDS,
            optional=True,
            tooltip="fast, balanced, detailed: at most 256, 1280, 4096 tokens a picture.",
        ),
        io.Int.Input("width", **sides, optional=True, advanced=True),
        io.Int.Input("height", **sides, optional=True, advanced=True),
    ]


def _answer_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "answer",
            options=[AS_TEXT, JSON],
            default=AS_TEXT,
            optional=True,
            tooltip="JSON only: checked, asked for once more, and an error if it is none.",
        ),
        io.String.Input(
            "json_schema",
            multiline=True,
            default="",
            optional=True,
            advanced=True,
            tooltip="A JSON schema that the answer has to fit. Empty: any JSON.",
        ),
    ]


def _float(name: str, default: float) -> io.Float.Input:
    low, high = OPTION_RANGES[name]
    return io.Float.Input(name, default=default, min=low, max=high, step=0.01, round=0.001)
