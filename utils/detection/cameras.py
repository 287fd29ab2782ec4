"""A camera out of what people have of it: four numbers, a matrix, or JSON.

Source: Qwen3-VL cookbook "3d_grounding", whose `cam_infos.json` holds fx, fy, cx and cy for each
picture by its file name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, ParseError
from ..text.json_find import find_json
from ..text.numbers import to_number
from .boxes3d import Camera

_NUMBERS = ("fx", "fy", "cx", "cy")
# Where JSON of other tools keeps the matrix.
_MATRIX_KEYS = ("K", "intrinsics", "intrinsic", "camera_matrix", "cam_K", "intrinsic_matrix")
# A matrix as COLMAP, OpenCV and numpy print it.
_MATRIX_SIZES = (9, 16)


def read_camera(text: str, name: str = "") -> Camera:
    """The camera that a text describes, in pixels of its picture.

    Args:
        text: "fx, fy, cx, cy"; a 3 x 3 or 4 x 4 matrix of intrinsics, row by row; JSON with these
            names or a matrix; or JSON with such a value for each picture.
        name: the picture's name, for JSON of several pictures.

    Raises:
        InputError: not that, or a camera that sees nothing.
    """
    words = text.replace(",", " ").replace("[", " ").replace("]", " ").replace(";", " ").split()
    numbers = [to_number(word) for word in words]
    if words and None not in numbers:
        return _from_numbers([n for n in numbers if n is not None], text)
    try:
        found = find_json(text)
    except ParseError as error:
        raise InputError(f"The camera cannot be read: {error.problem}", _REMEDY) from error
    if len(found) != 1 or found[0].truncated:
        raise _not_a_camera(text)
    return _from_json(found[0].value, name, text)


_REMEDY = "Write fx, fy, cx, cy in pixels, a 3 x 3 matrix, or JSON with these names."


def _not_a_camera(text: str) -> InputError:
    return InputError(f"The camera {' '.join(text[:80].split())!r} cannot be read.", _REMEDY)


def _from_numbers(numbers: list[float], text: str) -> Camera:
    if len(numbers) == 4:
        return Camera(*numbers)
    if len(numbers) in _MATRIX_SIZES:
        side = math.isqrt(len(numbers))
        return Camera(numbers[0], numbers[side + 1], numbers[2], numbers[side + 2])
    raise _not_a_camera(text)


def _from_json(value: Any, name: str, text: str) -> Camera:
    if isinstance(value, list):
        flat = [to_number(part) for row in value for part in (row if _is_row(row) else [row])]
        if None in flat:
            raise _not_a_camera(text)
        return _from_numbers([n for n in flat if n is not None], text)
    if not isinstance(value, Mapping):
        raise _not_a_camera(text)
    if all(key in value for key in _NUMBERS):
        numbers = [to_number(value[key]) for key in _NUMBERS]
        if None in numbers:
            raise _not_a_camera(text)
        return Camera(*(n for n in numbers if n is not None))
    for key in _MATRIX_KEYS:
        if isinstance(value.get(key), (list, Mapping)):
            return _from_json(value[key], name, text)
    return _of_picture(value, name, text)


def _of_picture(value: Mapping[str, Any], name: str, text: str) -> Camera:
    """The entry of one picture, by its whole name or without its ending."""
    entries = {key: part for key, part in value.items() if isinstance(part, (list, Mapping))}
    if not entries:
        raise _not_a_camera(text)
    wanted = name.strip()
    if not wanted and len(entries) == 1:
        return _from_json(next(iter(entries.values())), name, text)
    stem = wanted.rsplit(".", 1)[0]
    same = [k for k in entries if k == wanted] or [
        k for k in entries if stem and k.rsplit(".", 1)[0] == stem
    ]
    if len(same) != 1:
        known = ", ".join(list(entries)[:8])
        raise InputError(
            f"The cameras hold {known[:160]}, but {wanted or 'no name'!r} does not say which.",
            "Write the name of one of them.",
        )
    return _from_json(entries[same[0]], "", text)


def _is_row(value: Any) -> bool:
    return isinstance(value, list)
