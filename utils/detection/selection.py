"""Choosing among detections: by label, order, size, shape and overlap. Nothing has a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import InputError
from .boxes import Box, Detection, Detections, Shape
from .overlap import KeptBoxes

# Stored in workflows: append only. Ties keep the order of the answer.
ORDERS: dict[str, Callable[[Shape], float]] = {
    "as found": lambda shape: 0.0,
    "largest first": lambda shape: -_area(shape),
    "smallest first": lambda shape: +_area(shape),
    "leftmost first": lambda shape: _center(shape)[0],
    "rightmost first": lambda shape: -_center(shape)[0],
    "topmost first": lambda shape: _center(shape)[1],
    "bottommost first": lambda shape: -_center(shape)[1],
    "nearest the middle first": lambda shape: math.dist(_center(shape), (0.5, 0.5)),
}


def with_labels(detections: Detections, labels: str) -> Detections:
    """Only those with one of the comma-separated labels, upper or lower case; empty: all."""
    wanted = {label.strip().casefold() for label in labels.split(",")} - {""}
    if not wanted:
        return detections
    return detections.where(lambda item: item.label.strip().casefold() in wanted)


def in_order(detections: Detections, order: str) -> Detections:
    """Sorted by one of `ORDERS`.

    Raises:
        InputError: no such order.
    """
    if order not in ORDERS:
        raise InputError(f"There is no order {order!r}.", f"Known are {', '.join(ORDERS)}.")
    return detections.with_items(
        sorted(detections.items, key=lambda item: ORDERS[order](item.shape))
    )


def some_of(detections: Detections, first: int, count: int) -> Detections:
    """`count` items from number `first` (0 is the first, -1 the last); count 0: all after it."""
    items = detections.items
    start = max(0, len(items) + first) if first < 0 else first
    return detections.with_items(items[start : start + count if count else None])


@dataclass(frozen=True, slots=True)
class BoxLimits:
    """Sizes and shapes of boxes to keep.

    Areas are parts of the picture 0..1; aspect is width over height in pixels.
    """

    min_area: float = 0.0
    max_area: float = 1.0
    min_aspect: float = 0.0
    max_aspect: float = math.inf

    def keep(self, detections: Detections) -> Detections:
        """Only the boxes inside the limits; points and 3D boxes stay."""
        return detections.where(
            lambda item: not isinstance(item.shape, Box) or self._accepts(item.shape, detections)
        )

    def _accepts(self, box: Box, picture: Detections) -> bool:
        width = (box.x2 - box.x1) * picture.width
        height = (box.y2 - box.y1) * picture.height
        aspect = width / height if height else math.inf
        return (
            self.min_area <= box.area <= self.max_area
            and self.min_aspect <= aspect <= self.max_aspect
        )


def without_duplicates(
    detections: Detections, max_iou: float, same_label: bool = True
) -> Detections:
    """Without boxes that overlap an earlier one by more than `max_iou`.

    Args:
        same_label: boxes with other labels are never duplicates.
    """
    return detections.with_items(_distinct(detections.items, max_iou, same_label))


def merged(first: Detections, second: Detections, max_iou: float = 1.0) -> Detections:
    """Both lists of one picture, the first in front; duplicates of the same label once.

    Raises:
        InputError: they belong to pictures of different sizes.
    """
    if (first.width, first.height) != (second.width, second.height):
        raise InputError(
            f"Boxes of a picture of {first.width} x {first.height} pixels and of one of "
            f"{second.width} x {second.height} cannot be merged.",
            "Scale one of them first.",
        )
    return Detections(
        first.width,
        first.height,
        tuple(_distinct((*first.items, *second.items), max_iou, same_label=True)),
        first.truncated or second.truncated,
        first.repaired or second.repaired,
        first.notes + second.notes,
    )


def _distinct(items: Sequence[Detection], max_iou: float, same_label: bool) -> list[Detection]:
    if max_iou >= 1:
        return list(items)
    kept, boxes = [], KeptBoxes(len(items))
    for item in items:
        if isinstance(item.shape, Box):
            label = item.label if same_label else None
            if (boxes.overlaps(item.shape, label)[0] > max_iou).any():
                continue
            boxes.add(item.shape, item.label)
        kept.append(item)
    return kept


def _area(shape: Shape) -> float:
    return shape.area if isinstance(shape, Box) else 0.0


def _center(shape: Shape) -> tuple[float, float]:
    # A 3D box has its centre in metres, which sorts left to right and top to bottom as well.
    if isinstance(shape, Box):
        return shape.center
    return shape.x, shape.y
