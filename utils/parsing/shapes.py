"""Numbers in a model's answer into boxes, points and 3D boxes, with a note for every change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..detection.boxes import QWEN_SIDE, Box, Point, Shape, coordinate_faults
from ..detection.boxes3d import AngleOrder, Box3D
from ..errors import InputError
from ..text.numbers import to_number
from .place_forms import COUNTS, UNREADABLE, spelled_out

# What the numbers of an answer count. Qwen3-VL: thousandths; Qwen2.5-VL: pixels.
Units = Literal["qwen", "pixels", "fractions"]
UNITS: tuple[Units, ...] = ("qwen", "pixels", "fractions")

MAX_NOTES = 50


@dataclass(slots=True)
class ShapeReader:
    """Reads the shapes of one answer and remembers what it had to change.

    `seen` counts the values it was given, `unreadable` those that were no shape; `notes` says
    which and why.
    """

    width: int
    height: int
    units: Units = "qwen"
    order: AngleOrder = "pitch_yaw_roll"
    notes: list[str] = field(default_factory=list)
    seen: int = 0
    unreadable: int = 0
    largest: float = 0.0
    spelled: bool = False  # some were written as x and y, or with a size, as pixels mostly are
    _unsaid: int = 0

    def read(self, key: str, value: Any, what: str) -> list[Shape]:
        """The shapes written under `key`: one, several if it is a list of lists, or none.

        Args:
            key: a key of `COUNTS` or `UNREADABLE`.
            value: whatever the answer has there.
            what: names the item in a note, e.g. `item 3 "cat"`.
        """
        self.seen += 1
        if key in UNREADABLE:
            self.unreadable += 1
            self.note(f"{what}: left out, {UNREADABLE[key]}")
            return []
        groups = _groups(value, COUNTS[key])
        if not groups:
            self.unreadable += 1
            self.note(f"{what}: left out, its {key} is not {COUNTS[key]} finite numbers")
            return []
        shapes = [self._shape(numbers, what) for numbers in groups]
        return [shape for shape in shapes if shape is not None]

    def note(self, sentence: str) -> None:
        """Remember a sentence; beyond `MAX_NOTES` only their number."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(sentence)
        else:
            self._unsaid += 1

    def all_notes(self) -> tuple[str, ...]:
        """The notes, with a last one about the whole answer where there is something to say."""
        notes = list(self.notes)
        if self._unsaid:
            notes.append(f"and {self._unsaid} more notes like these")
        if self.units == "qwen" and self.largest > QWEN_SIDE:
            notes.append(
                f"Coordinates reach {self.largest:g}, but Qwen3-VL counts to {QWEN_SIDE}: these "
                "look like pixels, as Qwen2.5-VL writes them."
            )
        elif self.units == "qwen" and 0 < self.largest <= 1:
            notes.append("All coordinates are 0 to 1: they look like fractions, not thousandths.")
        elif self.units == "qwen" and self.spelled:
            notes.append(
                "Places written as x and y were read as thousandths; where they count pixels, "
                "choose the units pixels."
            )
        return tuple(notes)

    def _shape(self, numbers: Sequence[float], what: str) -> Shape | None:
        if len(numbers) == COUNTS["bbox_3d"]:
            return self._box_3d(numbers, what)
        width, height = self._sides()
        self.largest = max(self.largest, *numbers)
        for fault in coordinate_faults(numbers, width, height):
            self.note(f"{what}: {fault}, it was {_short(numbers)}")
        if len(numbers) == COUNTS["point_2d"]:
            x, y = numbers
            return Point.from_pixels(x, y, width, height)
        x1, y1, x2, y2 = numbers
        box = Box.from_pixels(x1, y1, x2, y2, width, height)
        if box.area == 0:
            self.note(f"{what}: left out, it has no area inside the picture: {_short(numbers)}")
            return None
        return box

    def _box_3d(self, numbers: Sequence[float], what: str) -> Box3D | None:
        try:
            return Box3D.from_qwen(numbers, self.order)
        except InputError as error:
            self.unreadable += 1
            self.note(f"{what}: left out. {error.problem}")
            return None

    def _sides(self) -> tuple[int, int]:
        if self.units == "pixels":
            return self.width, self.height
        side = QWEN_SIDE if self.units == "qwen" else 1
        return side, side


def _groups(value: Any, count: int) -> list[list[float]] | None:
    """`value` as one or several lists of `count` numbers; None if it is not that."""
    if isinstance(value, str):
        value = _list_in_text(value)
    if isinstance(value, dict):
        place = spelled_out(value)
        value = place.value if place and COUNTS[place.kind] == count else None
    if not isinstance(value, list) or not value:
        return None
    if not any(isinstance(part, list) for part in value):
        numbers = _numbers(value, count)
        return [numbers] if numbers else None
    if count == 4 and len(value) == 2:  # [[x1, y1], [x2, y2]]
        corners = [_numbers(part, 2) for part in value]
        if corners[0] and corners[1]:
            return [corners[0] + corners[1]]
    groups = [_numbers(part, count) for part in value]
    return [group for group in groups if group] if all(groups) else None


def _numbers(value: Any, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    numbers = [to_number(part) for part in value]
    return [n for n in numbers if n is not None] if None not in numbers else None


def _list_in_text(text: str) -> Any:
    """`"[1, 2, 3, 4]"` and `"1, 2, 3, 4"` as lists."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    return inner.replace(",", " ").split()


def _short(numbers: Sequence[float]) -> str:
    return json.dumps([round(number, 3) for number in numbers])
