"""What of a picture is shown: only what a mask marks, all but that, or the part around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .picture import Picture

if TYPE_CHECKING:
    import torch

# Stored in workflows: append only.
SHOW, HIDE, CROP = "show only the mask", "hide the mask", "crop to the mask"
MASK_USES = (SHOW, HIDE, CROP)
# A pixel counts as marked from here on; edges of masks are soft.
_MARKED = 0.5
# What is hidden is as neutral as the processor's own middle.
_HIDDEN = 127
# A crop keeps a little around what is marked, as a share of its longer side.
_MARGIN = 0.05


def masked(
    pictures: Sequence[Picture], mask: torch.Tensor | Sequence[torch.Tensor], use: str
) -> list[Picture]:
    """The pictures with masks [B, H, W] or [H, W] laid on, one for all or one for each.

    A mask of another size is stretched to its picture.

    Raises:
        InputError: a mask for another number of pictures, or one that marks nothing where
            only what is marked is to be seen.
    """
    masks = mask if isinstance(mask, (list, tuple)) else [mask]
    planes = [plane for one in masks for plane in _planes(one)]
    if len(planes) not in (1, len(pictures)):
        raise InputError(
            f"There are {len(planes)} masks for {len(pictures)} pictures.",
            "Connect one mask, or one for each picture.",
        )
    if len(planes) == 1:
        planes = planes * len(pictures)
    return [
        _masked(picture, plane, use, number)
        for number, (picture, plane) in enumerate(zip(pictures, planes, strict=True), 1)
    ]


def _planes(mask: torch.Tensor) -> list[np.ndarray]:
    values = mask.detach().cpu().float().numpy()
    if values.ndim == 2:
        values = values[None]
    if values.ndim == 4 and 1 in (values.shape[1], values.shape[-1]):
        values = values.reshape(values.shape[0], *[n for n in values.shape[1:] if n > 1][:2])
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(
            f"A MASK has the shape [batch, height, width], but this is {tuple(mask.shape)}.",
            "Connect the MASK output of a node such as Load Image.",
        )
    return list(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0))


def _masked(picture: Picture, plane: np.ndarray, use: str, number: int) -> Picture:
    marked = _fitted(plane, picture.size_wh) >= _MARKED
    if use != HIDE and not marked.any():
        raise InputError(
            f"The mask of picture {number} marks nothing, so nothing of it would be seen.",
            f"Paint what is to be seen, or choose {HIDE!r}.",
        )
    if use == CROP:
        left, top, right, bottom = _bounds(marked)
        return Picture(np.ascontiguousarray(picture.pixels[top:bottom, left:right]))
    hidden = marked if use == HIDE else ~marked
    return Picture(np.where(hidden[..., None], np.uint8(_HIDDEN), picture.pixels))


def _fitted(plane: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if plane.shape[::-1] == size_wh:
        return plane
    return np.asarray(Image.fromarray(plane).resize(size_wh, Image.Resampling.BILINEAR))


def _bounds(marked: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is marked, with its margin."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    margin = round(max(bottom - top, right - left) * _MARGIN)
    height, width = marked.shape
    return (
        max(0, left - margin), max(0, top - margin),
        min(width, right + margin), min(height, bottom + margin),
    )  # fmt: skip
