"""The options node: sampling, lengths and picture sizes, for those who want them."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...utils.chat.options import OPTION_RANGES, GenerationOptions
from ...utils.chat.sampling import OFFICIAL
from ...utils.errors import InputError
from ...utils.images.resize import DEFAULT_MAX_PIXELS, TOKEN_SIDE
from .. import sockets

SAMPLING = ("official", "greedy", "custom")
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
    ) -> io.NodeOutput:
        """Put the fields into one value; 0 leaves a field to the official setting."""
        if 0 < max_picture_tokens < min_picture_tokens:
            raise InputError(
                f"min_picture_tokens {min_picture_tokens} is larger than max_picture_tokens "
                f"{max_picture_tokens}.",
                "Lower the first or raise the second.",
            )
        chosen: dict[str, Any] = {}
        if sampling == "greedy":
            # No penalty either: the likeliest token is meant literally.
            chosen = {"temperature": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
        elif sampling == "custom":
            chosen = {
                "temperature": temperature,
                "top_p": top_p,
                "top_k": top_k,
                "repetition_penalty": repetition_penalty,
                "presence_penalty": presence_penalty,
            }
        options = GenerationOptions(
            max_new_tokens=max_new_tokens or None,
            min_pixels=min_picture_tokens * PIXELS_PER_TOKEN or None,
            max_pixels=max_picture_tokens * PIXELS_PER_TOKEN or None,
            stop=tuple(line for line in stop.splitlines() if line),
            **chosen,
        )
        return io.NodeOutput(options)


def _float(name: str, default: float) -> io.Float.Input:
    low, high = OPTION_RANGES[name]
    return io.Float.Input(name, default=default, min=low, max=high, step=0.01, round=0.001)
