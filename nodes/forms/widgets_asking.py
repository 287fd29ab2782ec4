"""Widgets that several asking nodes add to their form, and what their values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from comfy_api.latest import io

from ...loaders.user_tasks import known_tasks
from ...utils.chat.composition import VISION_IDS, caption_presets, caption_prompt
from ...utils.chat.generation_options import OPTION_RANGES, GenerationOptions
from ...utils.chat.tasks import Task
from ...utils.errors import InputError
from ...utils.images.masking import MASK_USES, SHOW, masked
from ...utils.images.picture import Picture
from ...utils.images.tensors import pictures_from_tensor

MOST_IMAGES = 50
# Stored in workflows: append only.
STOP_RUN, KEEP = "stop", "keep what is written"


def growing_images(optional: bool = False) -> io.Input:
    """Image inputs, one more whenever the last one is linked."""
    template = io.Autogrow.TemplateNames(
        io.Image.Input("image", optional=optional),
        names=[f"image{number}" for number in range(1, MOST_IMAGES + 1)],
        min=0 if optional else 1,
    )
    return io.Autogrow.Input("images", template=template, optional=optional)


def vision_ids_input() -> io.Input:
    """Whether pictures are numbered for the model."""
    return io.Combo.Input(
        "vision_ids",
        options=list(VISION_IDS),
        default=VISION_IDS[0],
        optional=True,
        advanced=True,
        tooltip="Writes Picture 1: and so on before the pictures, so that an answer can name one.",
    )


def max_new_tokens_input() -> io.Input:
    """The longest answer, for whom the options are too much."""
    return io.Int.Input(
        "max_new_tokens",
        default=0,
        min=0,
        max=int(OPTION_RANGES["max_new_tokens"][1]),
        optional=True,
        advanced=True,
        tooltip="Longest answer. 0: what the options say, or the official limit.",
    )


def own_limit(options: GenerationOptions | None, max_new_tokens: int) -> GenerationOptions | None:
    """The options with the node's own limit, if it has one."""
    if not max_new_tokens:
        return options
    return replace(options or GenerationOptions(), max_new_tokens=max_new_tokens)


def tools_input() -> io.Input:
    """The widget for tools that the model may call; the call is returned, never run."""
    return io.String.Input(
        "tools",
        multiline=True,
        default="",
        optional=True,
        advanced=True,
        tooltip="JSON of one tool or a list of them, each with name, description and parameters. "
        "A call of one is returned as tool_calls, and never run.",
    )


def interrupt_input() -> io.Input:
    """What an interrupt does to a text that is being written."""
    return io.Combo.Input(
        "on_interrupt",
        options=[STOP_RUN, KEEP],
        default=STOP_RUN,
        optional=True,
        advanced=True,
        tooltip="keep what is written: the text so far goes on to the next nodes.",
    )


def keeps(on_interrupt: str) -> bool:
    """Whether an interrupt leaves the text so far."""
    return on_interrupt == KEEP


def word_inputs() -> list[io.Input]:
    """Words that an answer must and must not have."""
    return [
        io.String.Input(
            "must",
            default="",
            optional=True,
            advanced=True,
            tooltip="Words that must occur, between commas. An answer without one "
            "is asked for once more.",
        ),
        io.String.Input(
            "must_not",
            default="",
            optional=True,
            advanced=True,
            tooltip="Words that must not occur.",
        ),
    ]


def mask_inputs() -> list[io.Input]:
    """A mask, and what it does to the picture that the model sees."""
    return [
        io.Mask.Input(
            "mask", optional=True, tooltip="Of the image, or one for each image of a batch."
        ),
        io.Combo.Input(
            "mask_use",
            options=list(MASK_USES),
            default=SHOW,
            optional=True,
            advanced=True,
            tooltip="Load Image's mask marks what is transparent: hide it, or paint what is to "
            "be seen.",
        ),
    ]


def growing_masks() -> list[io.Input]:
    """A mask for each of the growing images, by its number, and what they do."""
    template = io.Autogrow.TemplateNames(
        io.Mask.Input("mask", optional=True),
        names=[f"mask{number}" for number in range(1, MOST_IMAGES + 1)],
        min=0,
    )
    tooltip = "mask1 is of image1: one mask, or one for each of its pictures."
    return [
        io.Autogrow.Input("masks", template=template, optional=True, tooltip=tooltip),
        mask_inputs()[1],
    ]


def all_pictures(
    images: Mapping[str, Sequence[torch.Tensor]],
    masks: Mapping[str, Sequence[torch.Tensor]],
    mask_use: str,
) -> list[Picture]:
    """The pictures of growing images, input by input, each a list of batches, as the mask of the
    same number leaves them.

    Raises:
        InputError: a mask that fits no picture, or without one.
    """
    given = {name.removeprefix("mask"): _there(tensors) for name, tensors in masks.items()}
    left = {number for number, tensors in given.items() if tensors}
    found: list[Picture] = []
    for name, tensors in images.items():
        number = name.removeprefix("image")
        own = [picture for tensor in _there(tensors) for picture in pictures_from_tensor(tensor)]
        if own and number in left:
            left.discard(number)
            own = masked(own, given[number], mask_use)
        found += own
    if left:
        number = min(left, key=int)
        raise InputError(
            f"There is mask{number} and no image{number}.", "Link the image that it is of."
        )
    return found


def _there(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor for tensor in tensors if tensor is not None]


def pictures_seen(
    image: torch.Tensor | None, mask: torch.Tensor | None, mask_use: str
) -> list[Picture]:
    """The pictures of a batch as the mask leaves them; none without an image.

    Raises:
        InputError: a mask that fits no picture, or without one.
    """
    if image is None:
        if mask is not None:
            raise InputError("There is a mask and no image.", "Link the image that it is of.")
        return []
    pictures = pictures_from_tensor(image)
    return pictures if mask is None else masked(pictures, mask, mask_use)


def chosen_caption(preset: str, instructions: str, context: str = "") -> tuple[Task | None, str]:
    """The preset's task, if it is one, and the words to ask; see `caption_prompt`.

    Raises:
        InputError: as there; or the file of the user's presets cannot be read and may have it.
    """
    known = known_tasks()
    if known.problem is not None and preset not in caption_presets(known.tasks, refining=True):
        raise known.problem
    return caption_prompt(preset, instructions, known.tasks, context)
