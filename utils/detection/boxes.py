"""Where things are in a picture: fractions 0..1 inside, 0-1000 only to and from Qwen3-VL.

Source of the convention: Qwen3-VL cookbook "2d_grounding" (coordinates relative to the original
picture, 0 to 1000). Pixels appear only through `to_pixels` and `from_pixels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InputError
from .boxes3d import Box3D

# Qwen3-VL counts both sides of every picture in thousandths.
QWEN_SIDE = 1000


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a picture: `x`, `y` in fractions 0..1 of its width and height."""

    x: float
    y: float

    def __post_init__(self) -> None:
        _check_fractions(self, (self.x, self.y))

    @classmethod
    def from_qwen(cls, x: float, y: float) -> Point:
        """From thousandths; what lies outside the picture moves to its edge."""
        return cls(_fraction(x, QWEN_SIDE), _fraction(y, QWEN_SIDE))

    @classmethod
    def from_pixels(cls, x: float, y: float, width: int, height: int) -> Point:
        """From pixels of a picture of `width` x `height`; outside moves to the edge."""
        return cls(_fraction(x, width), _fraction(y, height))

    def to_qwen(self) -> tuple[int, int]:
        """(x, y) in whole thousandths."""
        return round(self.x * QWEN_SIDE), round(self.y * QWEN_SIDE)

    def to_pixels(self, width: int, height: int) -> tuple[int, int]:
        """(x, y), a pixel inside a picture of `width` x `height`."""
        return min(round(self.x * width), width - 1), min(round(self.y * height), height - 1)

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in fractions; boxes have one too."""
        return self.x, self.y


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a picture, corners in fractions 0..1, x1 <= x2 and y1 <= y2."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        _check_fractions(self, (self.x1, self.y1, self.x2, self.y2))
        if self.x1 > self.x2 or self.y1 > self.y2:
            raise InputError(f"{self} has its corners exchanged.", "Give the upper left one first.")

    @classmethod
    def from_qwen(cls, x1: float, y1: float, x2: float, y2: float) -> Box:
        """From thousandths; outside is cut off, exchanged corners are put in order."""
        return cls.from_pixels(x1, y1, x2, y2, QWEN_SIDE, QWEN_SIDE)

    @classmethod
    def from_pixels(
        cls, x1: float, y1: float, x2: float, y2: float, width: int, height: int
    ) -> Box:
        """From pixels of a picture of `width` x `height`; outside cut off, corners ordered."""
        left, right = sorted((_fraction(x1, width), _fraction(x2, width)))
        top, bottom = sorted((_fraction(y1, height), _fraction(y2, height)))
        return cls(left, top, right, bottom)

    def to_qwen(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) in whole thousandths."""
        x1, y1, x2, y2 = (round(value * QWEN_SIDE) for value in self.xyxy)
        return x1, y1, x2, y2

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) in whole pixels, x2 and y2 exclusive.

        At least one pixel wide and high, and inside the picture, so that a crop or a mask of
        it is never empty.
        """
        x1 = min(round(self.x1 * width), width - 1)
        y1 = min(round(self.y1 * height), height - 1)
        return x1, y1, max(x1 + 1, round(self.x2 * width)), max(y1 + 1, round(self.y2 * height))

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2) in fractions."""
        return self.x1, self.y1, self.x2, self.y2

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in fractions."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    @property
    def area(self) -> float:
        """Part of the picture it covers, 0..1."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def intersection(self, other: Box) -> float:
        """Part of the picture that both cover, 0..1."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return max(0.0, width) * max(0.0, height)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0..1; boxes without area have 0 with anything."""
        both = self.intersection(other)
        union = self.area + other.area - both
        return min(1.0, both / union) if union > 0 else 0.0

    def contains(self, point: Point) -> bool:
        """Whether the point lies inside or on the edge."""
        return self.x1 <= point.x <= self.x2 and self.y1 <= point.y <= self.y2


Shape = Box | Point | Box3D


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing found: what it is, where it is, and what else was said about it.

    `attributes` hold JSON values under the names that the model or another node gave them. A
    score is there only if someone measured one.
    """

    label: str
    shape: Shape
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.shape, (Box, Point, Box3D)):
            raise InputError(f"{self.shape!r} is not a shape.", "Use a Box, Point or Box3D.")


@dataclass(frozen=True, slots=True)
class Detections:
    """Everything found in one picture of `width` x `height` pixels, in the order it was found.

    Args:
        truncated: the answer was cut off, so more may be there.
        repaired: the answer was not valid JSON, or its places had not the names asked for.
        notes: one sentence for each value that was changed or left out.
    """

    width: int
    height: int
    items: tuple[Detection, ...] = ()
    truncated: bool = False
    repaired: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(
                f"A picture of {self.width} x {self.height} pixels has no place for boxes.",
                "Give the size of the picture that the boxes belong to.",
            )

    @property
    def boxes(self) -> list[tuple[Detection, Box]]:
        """Every detection that is a box, with it."""
        return [(item, item.shape) for item in self.items if isinstance(item.shape, Box)]

    @property
    def points(self) -> list[tuple[Detection, Point]]:
        """Every detection that is a point, with it."""
        return [(item, item.shape) for item in self.items if isinstance(item.shape, Point)]

    @property
    def boxes_3d(self) -> list[tuple[Detection, Box3D]]:
        """Every detection that is a 3D box, with it."""
        return [(item, item.shape) for item in self.items if isinstance(item.shape, Box3D)]

    def with_items(self, items: Iterable[Detection]) -> Detections:
        """The same picture and notes with other detections."""
        return replace(self, items=tuple(items))

    def where(self, keep: Callable[[Detection], bool]) -> Detections:
        """Only the detections that `keep` accepts."""
        return self.with_items(item for item in self.items if keep(item))

    def scale(self, width: int, height: int) -> Detections:
        """For the same picture at another size; fractions stay as they are."""
        return replace(self, width=width, height=height)


def coordinate_faults(values: Sequence[float], width: float, height: float) -> list[str]:
    """What `from_pixels` would have to change: "clamped", "swapped", or nothing.

    `values` is (x, y) or (x1, y1, x2, y2) on a picture of `width` x `height`; for Qwen3-VL
    both are `QWEN_SIDE`.
    """
    faults = []
    if min(values) < 0 or max(values[0::2]) > width or max(values[1::2]) > height:
        faults.append("clamped")
    if len(values) == 4 and (values[0] > values[2] or values[1] > values[3]):
        faults.append("swapped")
    return faults


def _fraction(value: float, side: float) -> float:
    if not math.isfinite(value):
        raise InputError(f"{value} is not a coordinate.", "Give a finite number.")
    return min(1.0, max(0.0, value / side))


def _check_fractions(owner: object, values: Sequence[float]) -> None:
    if not all(0.0 <= value <= 1.0 for value in values):  # NaN fails too
        raise InputError(
            f"{type(owner).__name__} with {', '.join(map(str, values))} is outside its picture.",
            "Coordinates are fractions 0 to 1: use from_qwen or from_pixels.",
        )
