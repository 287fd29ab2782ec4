"""Boxes into masks: all in one, one for each box, or one for each label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from ..errors import InputError
from .boxes import Box, Detections

MaskMode = Literal["union", "each box", "each label"]
MASK_MODES: tuple[MaskMode, ...] = ("union", "each box", "each label")
MaskShape = Literal["box", "ellipse"]
MASK_SHAPES: tuple[MaskShape, ...] = ("box", "ellipse")
# 4 GB of float32: more masks than that are a mistake, not a wish.
MAX_MASK_PIXELS = 1_000_000_000


def masks_of(
    pictures: Sequence[Detections], mode: MaskMode = "union", shape: MaskShape = "box"
) -> tuple[np.ndarray, list[str]]:
    """Masks float32 [N, H, W], 1 inside, and the label of each.

    A picture without boxes gives one empty mask, so that N is never 0. The labels of a union
    are joined by commas.

    Raises:
        InputError: no picture, pictures of different sizes, or more masks than memory.
    """
    if len({(d.width, d.height) for d in pictures}) != 1:
        raise InputError(
            f"Masks of {len(pictures)} pictures need one common size.", "Connect one batch."
        )
    groups = [group for detections in pictures for group in _groups(detections, mode)]
    width, height = pictures[0].width, pictures[0].height
    if len(groups) * width * height > MAX_MASK_PIXELS:
        raise InputError(
            f"{len(groups)} masks of {width} x {height} pixels do not fit in memory.",
            "Filter the boxes, scale the picture down, or choose union.",
        )
    masks = np.zeros((len(groups), height, width), np.float32)
    for mask, (_, boxes) in zip(masks, groups, strict=True):
        _fill(mask, boxes, shape)
    return masks, [label for label, _ in groups]


def _groups(detections: Detections, mode: MaskMode) -> list[tuple[str, list[Box]]]:
    by_label: dict[str, list[Box]] = {}
    for item, box in detections.boxes:
        by_label.setdefault(item.label, []).append(box)
    if mode == "union" or not by_label:
        return [(", ".join(by_label), [box for _, box in detections.boxes])]
    if mode == "each label":
        return list(by_label.items())
    return [(item.label, [box]) for item, box in detections.boxes]


def _fill(mask: np.ndarray, boxes: Iterable[Box], shape: MaskShape) -> None:
    """Set to 1 what the boxes cover; `mask` is [H, W]."""
    height, width = mask.shape
    for box in boxes:
        x1, y1, x2, y2 = box.to_pixels(width, height)
        area = mask[y1:y2, x1:x2]
        if shape == "box":
            area[:] = 1.0
        else:
            # Pixel centres inside the ellipse that touches all four sides.
            across = (np.arange(x2 - x1) + 0.5) / (x2 - x1) * 2 - 1
            down = (np.arange(y2 - y1) + 0.5) / (y2 - y1) * 2 - 1
            area[down[:, None] ** 2 + across[None, :] ** 2 <= 1.0] = 1.0
