"""Boxes into the SEGS value of the Impact Pack.

Written from its public contract: `((height, width), [SEG, ...])`, where SEG is a named tuple of
cropped_image, cropped_mask, confidence, crop_region, bbox, label, control_net_wrapper. Its
nodes read the fields by name, so an own tuple with the same names fits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..text.numbers import to_number
from .boxes import Detection, Detections
from .crops import RegionXYXY, grown_region
from .masks import MAX_MASK_PIXELS


class SEG(NamedTuple):
    """One segment; `crop_region` and `bbox` are x1, y1, x2, y2 in pixels."""

    cropped_image: Any
    cropped_mask: np.ndarray  # float32 [height, width] of the crop region, 1 inside the box
    confidence: float
    crop_region: list[int]
    bbox: RegionXYXY
    label: str
    control_net_wrapper: Any = None


def to_segs(detections: Detections, crop_factor: float = 3.0) -> tuple[tuple[int, int], list[SEG]]:
    """The boxes of one picture as SEGS: `((height, width), segments)`.

    Args:
        crop_factor: size of the region that a detailer works on, in sizes of the box.

    Raises:
        InputError: more segments than memory.
    """
    width, height = detections.width, detections.height
    regions = [grown_region(box, width, height, crop_factor) for _, box in detections.boxes]
    if sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in regions) > MAX_MASK_PIXELS:
        raise InputError(
            f"The masks of {len(regions)} segments do not fit in memory.",
            "Filter the boxes, lower crop_factor, or scale the picture down.",
        )
    segments = []
    for (item, box), (left, top, right, bottom) in zip(detections.boxes, regions, strict=True):
        x1, y1, x2, y2 = box.to_pixels(width, height)
        mask = np.zeros((bottom - top, right - left), np.float32)
        mask[y1 - top : y2 - top, x1 - left : x2 - left] = 1.0
        region = [left, top, right, bottom]
        segments.append(SEG(None, mask, _confidence(item), region, (x1, y1, x2, y2), item.label))
    return (height, width), segments


def _confidence(item: Detection) -> float:
    """The measured score if the box came with one; 1.0, as Impact has it for masks, if not."""
    score = to_number(item.attributes.get("score"))
    return 1.0 if score is None else score
