"""The ways in which an item of an answer names its places: keys of many models and packs.

Qwen3-VL's own are `bbox_2d`, `point_2d` and `bbox_3d`. A place whose form cannot be told for sure
is no place here, and a form of which the numbers would mean another place is named as unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..text.json_find import UnfinishedList
from ..text.numbers import to_number

# How many numbers make a shape, by the name the answer gives it.
COUNTS = {
    "bbox_2d": 4,
    "bbox": 4,
    "bounding_box": 4,
    "box": 4,
    "point_2d": 2,
    "point": 2,
    "bbox_3d": 9,
}
# Several of them, as a list of lists.
_PLURALS = {
    "bboxes_2d": "bbox_2d", "bboxes": "bbox_2d", "bounding_boxes": "bbox_2d", "boxes": "bbox_2d",
    "points_2d": "point_2d", "points": "point_2d",
}  # fmt: skip
# Places by their name, of a kind that the number of numbers tells.
_EITHER = ("coordinates", "coords", "location", "position", "rect", "bounds", "xyxy")
# Read as ours their numbers would be a wrong place: they are said to be unreadable.
UNREADABLE = {
    "box_2d": "box_2d is another model's format with y before x",  # Gemini's
    "xywh": "xywh does not say whether it begins at a corner or in the middle",
    **dict.fromkeys(
        ("polygon", "polygons", "segmentation", "quad", "quadrangle"),
        "a polygon is neither a box nor a point",
    ),
}
# An item whose numbers each have a key: corners, or a corner and a size, or a place.
CORNERS = (
    ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"), ("left", "top", "right", "bottom"),
)  # fmt: skip
CORNER_AND_SIZE = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
)
POINT_KEYS = ("x", "y")
# The first of these that an item has is its label; the last ones only where it has no name either.
LABEL_KEYS = (
    "label", "text_content", "name", "category", "class", "object_name", "class_name",
    "category_name", "object", "ref",
)  # fmt: skip
LATE_LABEL_KEYS = ("text", "description")
_LABEL_LISTS = (*LABEL_KEYS, "labels", "names", "classes", "categories", "objects", "texts")
# Lists of numbers without a name asked for that are no places, whatever they look like.
_OTHER_NUMBERS = re.compile(r"colou?r|rgb|hsv|hsl|size|shape|score|count|date|time|padding", re.I)


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """Where an item says it is: `keys` of the item hold `value`, which is of the kind `kind`, a
    key of `COUNTS` or `UNREADABLE`.
    """

    kind: str
    value: Any
    keys: tuple[str, ...]


def places_of(item: Mapping[str, Any]) -> list[NamedPlace]:
    """What of an item names places: the surest form that it has, all the others say more of it.

    null or nothing is how a model says that it does not know the place; it is a place without a
    value.
    """
    if found := [NamedPlace(key, item[key], (key,)) for key in COUNTS if key in item]:
        return found
    plural = [key for key in _PLURALS if _holds_numbers(item.get(key))]
    if plural:
        return [NamedPlace(_PLURALS[key], item[key], (key,)) for key in plural]
    if named := [NamedPlace(key, item[key], (key,)) for key in UNREADABLE if key in item]:
        return named
    if spelled := spelled_out(item):
        return [spelled]
    for key in _EITHER:
        if (kind := {4: "bbox_2d", 2: "point_2d"}.get(_length(item.get(key)))) is not None:
            return [NamedPlace(kind, item[key], (key,))]
    return []


def spelled_out(item: Mapping[str, Any]) -> NamedPlace | None:
    """A place whose numbers each have a key, as one with a list of them."""
    if len(item) < len(POINT_KEYS):
        return None
    for keys in CORNERS:
        if (numbers := _all(item, keys)) is not None:
            return NamedPlace("bbox_2d", numbers, keys)
    for keys in CORNER_AND_SIZE:
        if (numbers := _all(item, keys)) is not None:
            x, y, wide, high = numbers
            return NamedPlace("bbox_2d", [x, y, x + wide, y + high], keys)
    numbers = _all(item, POINT_KEYS)
    return NamedPlace("point_2d", numbers, POINT_KEYS) if numbers is not None else None


def labels_of(item: Mapping[str, Any], count: int) -> tuple[str, list[Any]] | None:
    """The key and the labels of `count` places, where an item lists one for each."""
    for key in _LABEL_LISTS:
        value = item.get(key)
        one_each = isinstance(value, list) and len(value) == count > 1
        if one_each and all(isinstance(part, str) for part in value or ()):
            return key, list(value or ())
    return None


def bare_numbers(value: Any, label: str = "") -> Iterator[tuple[str, list[Any]]]:
    """(label, numbers) of every list of 4 or 9 numbers that nothing but a label names, as in
    `{"cat": [1, 2, 3, 4]}`. In an object that says anything else a list is something else.
    """
    if isinstance(value, UnfinishedList) and not any(isinstance(part, list) for part in value):
        return
    if isinstance(value, list):
        if len(value) in (4, 9) and all(to_number(part) is not None for part in value):
            yield label, value
        else:
            for part in value:
                yield from bare_numbers(part, label)
    elif isinstance(value, dict) and all(isinstance(p, (list, dict)) for p in value.values()):
        for key, part in value.items():
            # What has a name and no place was cut off.
            if key not in COUNTS and not _OTHER_NUMBERS.search(key):
                yield from bare_numbers(part, key)


def _holds_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers or of such lists, and not of items."""
    if not isinstance(value, list) or not value:
        return False
    return all(to_number(part) is not None or _length(part) for part in value)


def _length(value: Any) -> int:
    """How many numbers a list has; 0 where it is anything else."""
    numbers = isinstance(value, list) and all(to_number(part) is not None for part in value)
    return len(value) if numbers else 0


def _all(item: Mapping[str, Any], keys: Sequence[str]) -> list[float] | None:
    numbers: list[float] = []
    for key in keys:
        if (number := to_number(item.get(key))) is None:
            return None
        numbers.append(number)
    return numbers
