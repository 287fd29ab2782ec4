"""IMAGE tensors into pictures, and pictures into an IMAGE tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .picture import Picture

if TYPE_CHECKING:
    import torch

# Highlights and overshoots are beyond 1, and clipped; no picture of 0..255 stays below this.
MOST_BRIGHT = 16.0


def pictures_from_tensor(images: torch.Tensor) -> list[Picture]:
    """One `Picture` for each image of an IMAGE tensor [B, H, W, C], C = 1, 3 or 4, values 0..1.

    NaN and infinity become black, values outside 0..1 are clipped, alpha is laid on white.

    Raises:
        InputError: not a [B, H, W, C] tensor, an empty batch, or one that counts to 255.
    """
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) != 4 or shape[-1] not in (1, 3, 4):
        raise InputError(
            f"An IMAGE has the shape [batch, height, width, 1, 3 or 4], but this is {shape}.",
            "Connect the IMAGE output of a node such as Load Image.",
        )
    if 0 in shape:
        raise InputError(
            f"The IMAGE of shape {shape} holds no picture.",
            "Check the node before this one: it gave an empty batch.",
        )
    return [Picture(_rgb_uint8(unit_values(image))) for image in images]


def unit_values(image: torch.Tensor) -> torch.Tensor:
    """An image or a batch as 0..1: bytes count to 255, other whole numbers where any is over 1.

    Raises:
        InputError: values that no picture of 0..1 has; clipped, they would be a white one.
    """
    if not image.dtype.is_floating_point:
        most = int(image.max())
        if most <= 255:
            counted = most > 1 or str(image.dtype) == "torch.uint8"
            return image.float().div(255.0 if counted else 1.0)
        raise _not_unit(most)
    largest = float(image.detach().float().nan_to_num(0.0, 0.0, 0.0).amax())
    if largest > MOST_BRIGHT:
        raise _not_unit(largest)
    return image


def _not_unit(largest: float) -> InputError:
    return InputError(
        f"The IMAGE has values up to {largest:g}, but an IMAGE counts from 0 to 1.",
        "Divide it by 255 (or its own maximum) in the node that made it.",
    )


def _rgb_uint8(image: torch.Tensor) -> np.ndarray:
    """One image [H, W, C] of 0..1 to uint8 [H, W, 3]."""
    values = image.detach().cpu().float().numpy()
    values = np.clip(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)
    if values.shape[-1] == 4:
        alpha = values[..., 3:]
        values = values[..., :3] * alpha + (1.0 - alpha)
    elif values.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)
    return np.ascontiguousarray((values * 255.0).round().astype(np.uint8))


def image_from_pictures(pictures: Sequence[Picture | np.ndarray]) -> torch.Tensor:
    """Pictures of one size as an IMAGE tensor: float32 [B, H, W, 3], 0..1."""
    import torch

    arrays = [one.pixels if isinstance(one, Picture) else one for one in pictures]
    stacked = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
    return torch.from_numpy(stacked).float().div_(255.0)
