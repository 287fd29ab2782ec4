"""What BOX, POINT and BOX3D sockets carry, and the other shapes that node packs expect.

BOX is core's: a list for each image of `{"x", "y", "width", "height", "label", ...}` in pixels,
whole numbers because core's ImageCropV2 slices with them. POINT has `{"x", "y", "label", ...}`.
BOX3D has `{"bbox_3d": 9 numbers as in the official format, "label", ...}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import InputError, ParseError
from ..text.json_find import find_json
from ..text.numbers import to_number
from ..text.printable import clean_text
from .boxes import Box, Detection, Detections, Point
from .boxes3d import Box3D

SizeWH = tuple[int, int]
_BOX_KEYS = ("x", "y", "width", "height")
_POINT_KEYS = ("x", "y")


def to_box_value(detections: Detections) -> list[dict[str, Any]]:
    """The boxes of one image as a BOX list."""
    value = []
    for item, box in detections.boxes:
        x1, y1, x2, y2 = box.to_pixels(detections.width, detections.height)
        place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
        value.append(_with_words(place, item))
    return value


def to_point_value(detections: Detections) -> list[dict[str, Any]]:
    """The points of one image as a POINT list."""
    value = []
    for item, point in detections.points:
        x, y = point.to_pixels(detections.width, detections.height)
        value.append(_with_words({"x": x, "y": y}, item))
    return value


def to_box_3d_value(detections: Detections) -> list[dict[str, Any]]:
    """The 3D boxes of one image as a BOX3D list; angles pitch, yaw, roll in units of pi."""
    return [_with_words({"bbox_3d": box.to_qwen()}, item) for item, box in detections.boxes_3d]


def to_coordinates(detections: Detections) -> str:
    """The points of one image as SAM3 and KJNodes read them: `[{"x": 12, "y": 34}, ...]`."""
    pixels = [p.to_pixels(detections.width, detections.height) for _, p in detections.points]
    return json.dumps([{"x": x, "y": y} for x, y in pixels])


def to_sam2_value(detections: Detections) -> list[list[int]]:
    """The boxes of one image as SAM2 nodes read them: a list of [x1, y1, x2, y2] pixels."""
    size = detections.width, detections.height
    return [list(box.to_pixels(*size)) for _, box in detections.boxes]


def from_box_value(value: Any, sizes_wh: Sequence[SizeWH]) -> list[Detections]:
    """A BOX value from any node as `Detections`, one for each image of `sizes_wh`.

    Takes one dict, a list of dicts (for every image), or a list for each image. What reaches
    out of an image is cut off; a box outside it, or without area, is left out with a note.

    Raises:
        InputError: not such a value, or lists for another number of images.
    """
    frames = _matched(box_frames(value), len(sizes_wh))
    return [_read_boxes(f, w, h) for f, (w, h) in zip(frames, sizes_wh, strict=True)]


def from_point_value(value: Any, sizes_wh: Sequence[SizeWH]) -> list[Detections]:
    """A POINT value as `Detections`, one for each image of `sizes_wh`.

    Raises:
        InputError: not such a value, or lists for another number of images.
    """
    frames = _matched(_frames(value, _POINT_KEYS), len(sizes_wh))
    return [_read_points(f, w, h) for f, (w, h) in zip(frames, sizes_wh, strict=True)]


def from_box_3d_value(value: Any, sizes_wh: Sequence[SizeWH]) -> list[Detections]:
    """A BOX3D value as `Detections`, one for each image of `sizes_wh`.

    Raises:
        InputError: not such a value, an impossible box, or lists for another number of images.
    """
    frames = _matched(_frames(value, ()), len(sizes_wh))
    return [
        Detections(*size_wh, tuple(_box_3d_item(part) for part in frame))
        for frame, size_wh in zip(frames, sizes_wh, strict=True)
    ]


def from_coordinates(text: str, width: int, height: int) -> Detections:
    """Points from a coordinates STRING in pixels: `[{"x": 1, "y": 2}]` or `[[1, 2]]`.

    Raises:
        ParseError: the text is not that. Empty text and `[]` are no points.
    """
    values = [one.value for one in find_json(text)]
    parts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not values and text.strip():
        raise _not_coordinates(text)
    items = []
    for pair in parts:
        is_list = isinstance(pair, list) and len(pair) == 2
        part = {"x": pair[0], "y": pair[1]} if is_list else pair
        if not isinstance(part, dict) or any(to_number(part.get(k)) is None for k in _POINT_KEYS):
            raise _not_coordinates(text)
        items.append(_point_item(part, width, height))
    return Detections(width, height, tuple(items))


def box_frames(value: Any) -> list[list[Mapping[str, Any]]]:
    """A BOX value as one list of dicts for each image.

    Raises:
        InputError: a part has no x, y, width and height.
    """
    return _frames(value, _BOX_KEYS)


def point_frames(value: Any) -> list[list[Mapping[str, Any]]]:
    """A POINT value as one list of dicts for each image.

    Raises:
        InputError: a part has no x and y.
    """
    return _frames(value, _POINT_KEYS)


def point_extent_wh(frames: Sequence[Sequence[Mapping[str, Any]]]) -> SizeWH:
    """The smallest picture that holds every point: for nodes that need no picture."""
    points = [point for frame in frames for point in frame]
    width = max((_number(point, "x") for point in points), default=0)
    height = max((_number(point, "y") for point in points), default=0)
    return max(1, int(width) + 1), max(1, int(height) + 1)


def extent_wh(frames: Sequence[Sequence[Mapping[str, Any]]]) -> SizeWH:
    """The smallest picture that holds every box: for nodes that need no picture."""
    boxes = [box for frame in frames for box in frame]
    width = max((_number(box, "x") + _number(box, "width") for box in boxes), default=1)
    height = max((_number(box, "y") + _number(box, "height") for box in boxes), default=1)
    return max(1, -int(-width // 1)), max(1, -int(-height // 1))


def _frames(value: Any, keys: Sequence[str]) -> list[list[Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        value = [[value]]
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(f, (list, tuple)) for f in value):
        raise _wrong_value(value, keys)
    for part in (part for frame in value for part in frame):
        if not isinstance(part, Mapping) or any(to_number(part.get(key)) is None for key in keys):
            raise _wrong_value(part, keys)
    return [list(frame) for frame in value]


def _matched(
    frames: list[list[Mapping[str, Any]]], images: int
) -> Iterator[list[Mapping[str, Any]]]:
    """One list for each image; a single one serves all, as in core."""
    if len(frames) not in (0, 1, images):
        raise InputError(
            f"There are {images} images, but lists of boxes or points for {len(frames)}.",
            "Connect the images that the boxes were found in.",
        )
    for number in range(images):
        yield (frames[0] if len(frames) == 1 else frames[number]) if frames else []


def _read_boxes(frame: Sequence[Mapping[str, Any]], width: int, height: int) -> Detections:
    items, notes = [], []
    for number, part in enumerate(frame, 1):
        x, y, box_width, box_height = (_number(part, key) for key in _BOX_KEYS)
        box = Box.from_pixels(x, y, x + box_width, y + box_height, width, height)
        if box.area > 0:
            items.append(Detection(_label(part), box, _rest(part, _BOX_KEYS)))
        else:
            notes.append(f"box {number} left out, it has no area inside the picture")
    return Detections(width, height, tuple(items), notes=tuple(notes))


def _read_points(frame: Sequence[Mapping[str, Any]], width: int, height: int) -> Detections:
    return Detections(width, height, tuple(_point_item(part, width, height) for part in frame))


def _point_item(part: Mapping[str, Any], width: int, height: int) -> Detection:
    point = Point.from_pixels(_number(part, "x"), _number(part, "y"), width, height)
    return Detection(_label(part), point, _rest(part, _POINT_KEYS))


def _box_3d_item(part: Mapping[str, Any]) -> Detection:
    numbers = part.get("bbox_3d")
    if not isinstance(numbers, (list, tuple)) or any(to_number(n) is None for n in numbers):
        raise _wrong_value(part, ("bbox_3d",))
    box = Box3D.from_qwen([to_number(n) or 0.0 for n in numbers])
    return Detection(_label(part), box, _rest(part, ("bbox_3d",)))


def _with_words(place: dict[str, Any], item: Detection) -> dict[str, Any]:
    whole = {**place, "label": item.label}
    return whole | {key: part for key, part in item.attributes.items() if key not in whole}


def _label(part: Mapping[str, Any]) -> str:
    label = part.get("label")
    return "" if label is None else clean_text(str(label))


def _rest(part: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in (*keys, "label")}


def _number(part: Mapping[str, Any], key: str) -> float:
    return to_number(part.get(key)) or 0.0


def _wrong_value(value: Any, keys: Sequence[str]) -> InputError:
    return InputError(
        f"{str(value)[:80]!r} is not what this socket carries: {', '.join(keys) or 'dicts'}.",
        "Connect the output of a detecting node.",
    )


def _not_coordinates(text: str) -> ParseError:
    return ParseError(
        f"{text[:80]!r} is not a list of points.", 'Write [{"x": 12, "y": 34}, ...] in pixels.'
    )
