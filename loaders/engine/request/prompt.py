"""Turns a request into what the model reads: rendered chat, sized pictures, tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ....utils.chat.generation_options import GenerationOptions
from ....utils.chat.messages import Message
from ....utils.chat.requests import Request
from ....utils.chat.sampling import Edition
from ....utils.errors import ContextFullError
from ....utils.images.picture import Clip, Picture
from ....utils.images.resize import DEFAULT_MAX_PIXELS, fit_size_wh, resize_clip, resize_picture
from ....utils.text.control_tokens import defused_part
from ....utils.text.thinking import NOTHING_THOUGHT, THINK_START
from ...weights.processor import edition_of
from ..state.transfer import as_tensor
from .thinking_budget import ThinkingBudget


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request as tensors: `input_ids` [1, n] and whatever its pictures add to it."""

    inputs: dict[str, torch.Tensor]

    @property
    def length(self) -> int:
        """Text and visual tokens together."""
        return self.inputs["input_ids"].shape[1]


class PromptEncoder:
    """Renders and encodes requests with the checkpoint's own processor and chat template."""

    def __init__(self, processor: Any):
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.edition: Edition = edition_of(processor)
        if hasattr(processor.video_processor, "cap_pixels_per_frame"):
            # transformers 5.2x warns until this is chosen; frames are resized before it anyway.
            processor.video_processor.cap_pixels_per_frame = True

    def encode(self, request: Request) -> Prompt:
        """Tensors on the CPU for one request; safe to call from several threads.

        Raises:
            InputError: a picture or clip whose shape the model cannot take.
        """
        pictures, clips = sized_visuals(request, self.processor)
        rendered = render(request, self.processor)
        extra: dict[str, Any] = {}
        if pictures:
            extra["images"] = [_pil(picture) for picture in pictures]
        if clips:
            extra["videos"] = [as_tensor(c.frames).permute(0, 3, 1, 2) for c in clips]
            extra["video_metadata"] = [_video_metadata(clip) for clip in clips]
            extra["do_sample_frames"] = False
        encoded = self.processor(text=[rendered], do_resize=False, return_tensors="pt", **extra)
        encoded.pop("attention_mask", None)  # one row, nothing padded
        return Prompt({k: v for k, v in encoded.items() if isinstance(v, torch.Tensor)})

    def starts_thinking(self, options: GenerationOptions) -> bool:
        """Whether a reply begins inside the thinking block, which the prompt has opened."""
        return self.edition == "thinking" and options.thinking is not False

    def thinking_budget(self, options: GenerationOptions) -> ThinkingBudget | None:
        """How long a reply may think; None without a bound, or where nothing is thought."""
        if options.thinking_budget is None or not self.starts_thinking(options):
            return None
        return ThinkingBudget.of(options.thinking_budget, self.tokenizer)

    def decode(self, token_ids: list[int]) -> str:
        """Text of generated tokens without control tokens; `</think>` and tool calls stay."""
        return self.tokenizer.decode(
            token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def _opens_thinking(rendered: str) -> bool:
    return rendered.rstrip().endswith(THINK_START)


def render(request: Request, processor: Any) -> str:
    """The chat as text, with one placeholder for each picture and clip."""
    wanted = request.options.thinking
    # A template that has such a switch gets it; the others do not look at it.
    switch = {} if wanted is None else {"enable_thinking": wanted}
    rendered = processor.apply_chat_template(
        [_wire(message) for message in request.messages],
        tokenize=False,
        add_generation_prompt=True,
        add_vision_id=request.number_pictures,
        **switch,
    )
    if wanted is False and _opens_thinking(rendered):
        return rendered.rstrip() + NOTHING_THOUGHT
    return rendered


def sized_visuals(request: Request, processor: Any) -> tuple[list[Picture], list[Clip]]:
    """All pictures and clips of the request in reading order, at the size the model sees."""
    parts = [part for message in request.messages for part in message.parts]
    pictures = [p for p in parts if isinstance(p, Picture)]
    clips = [p for p in parts if isinstance(p, Clip)]
    low, high = _edge(processor.image_processor)
    wanted = request.options
    # A smallest size that was asked for counts more than a largest one that nobody chose.
    max_pixels = wanted.max_pixels or max(min(DEFAULT_MAX_PIXELS, high), wanted.min_pixels or 0)
    min_pixels = min(wanted.min_pixels or low, max_pixels)
    sized = [
        resize_picture(p, wanted.exact_size_wh or fit_size_wh(*p.size_wh, min_pixels, max_pixels))
        for p in pictures
    ]
    if clips:
        low, high = _edge(processor.video_processor)
        clips = [resize_clip(clip, low, high) for clip in clips]
    return sized, clips


def _edge(part: Any) -> tuple[int, int]:
    """(fewest, most) pixels of an image or video processor; both transformers generations."""
    size = dict(part.size)
    return int(size["shortest_edge"]), int(size["longest_edge"])


def _wire(message: Message) -> dict[str, Any]:
    content = [_wire_part(part, message.role) for part in message.parts]
    return {"role": message.role, "content": content}


def _wire_part(part: str | Picture | Clip, role: str) -> dict[str, str]:
    if isinstance(part, Picture):
        return {"type": "image"}
    if isinstance(part, Clip):
        return {"type": "video"}
    return {"type": "text", "text": defused_part(part, role)}


def _pil(picture: Picture) -> Any:
    from PIL import Image

    return Image.fromarray(picture.pixels)


def _video_metadata(clip: Clip) -> Any:
    from transformers.video_utils import VideoMetadata

    # At one frame a second a frame's number is its second, fractions and all: so the processor
    # writes the true times of films whose rate varies or that were trimmed.
    fps, numbers = (1.0, clip.seconds) if clip.seconds else (clip.source_fps, clip.indices)
    return VideoMetadata(
        total_num_frames=clip.total_frames,
        fps=fps,
        frames_indices=list(numbers),  # pyright: ignore[reportArgumentType] - used as numbers only
        width=clip.frames.shape[2],
        height=clip.frames.shape[1],
        duration=clip.total_frames / clip.source_fps,
        video_backend="pyav",
    )


def check_fits(prompt_tokens: int, context: int, answer_room: int = 1) -> None:
    """Refuse a prompt that leaves less than `answer_room` tokens for an answer.

    Raises:
        ContextFullError: with both counts.
    """
    excess = prompt_tokens + answer_room - context
    if excess > 0:
        beside = f", {answer_room} more are for the answer" if answer_room > 1 else ""
        raise ContextFullError(
            f"The request has {prompt_tokens} tokens{beside}, but the model holds {context}.",
            "Use fewer or smaller pictures (max_picture_tokens in the options) or a shorter text.",
            excess,
        )
