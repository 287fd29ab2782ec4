"""Cameras out of numbers, matrices and JSON."""

import json

import pytest
from qwen3vl_nodes.utils.detection.boxes3d import Camera
from qwen3vl_nodes.utils.detection.cameras import read_camera
from qwen3vl_nodes.utils.errors import InputError

WANTED = Camera(500.0, 510.0, 320.0, 240.0)
FLAT = {"fx": 500, "fy": 510, "cx": 320, "cy": 240}
MATRIX = [[500, 0, 320], [0, 510, 240], [0, 0, 1]]
FOUR = [[500, 0, 320, 0], [0, 510, 240, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
CAMERAS = {"office.jpg": FLAT, "lounge.jpg": {"fx": 1, "fy": 1, "cx": 1, "cy": 1}}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("500, 510, 320, 240", ""),
        ("500 510 320 240", ""),
        ("[500, 510, 320, 240]", ""),
        ("500 0 320\n0 510 240\n0 0 1", ""),
        ("[[500. 0. 320.]\n [0. 510. 240.]\n [0. 0. 1.]]", ""),
        ("500, 0, 320; 0, 510, 240; 0, 0, 1", ""),
        (json.dumps(FOUR), ""),
        (json.dumps(MATRIX), ""),
        (json.dumps(FLAT), ""),
        (json.dumps(FLAT | {"width": 640}), ""),
        (json.dumps({"fx": "500", "fy": "510", "cx": "320", "cy": "240"}), ""),
        (json.dumps({"K": MATRIX}), ""),
        (json.dumps({"camera_matrix": {"intrinsics": FLAT}}), ""),
        (json.dumps(CAMERAS), "office.jpg"),
        (json.dumps(CAMERAS), "office"),
        (json.dumps(CAMERAS), " office.png "),
        (json.dumps({"one.jpg": {"K": MATRIX}}), ""),
        ("{'fx': 500, 'fy': 510, 'cx': 320, 'cy': 240}", ""),
    ],
)
def test_what_is_a_camera(text: str, name: str):
    assert read_camera(text, name) == WANTED


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("", "", "cannot be read"),
        ("500, 510, 320", "", "cannot be read"),
        ("wide angle", "", "cannot be read"),
        ("0 0 0 0", "", "sees nothing"),
        ("nan 510 320 240", "", "cannot be read"),
        ('{"fx": 500}', "", "cannot be read"),
        ('{"fx": 500, "fy": 510, "cx": 320, "cy": "left"}', "", "cannot be read"),
        ('{"K": [[1, 2], [3]]}', "", "cannot be read"),
        ('{"fx": 500, "fy": 510, "cx": 320', "", "cannot be read"),
        ('[["a", 1], [2, 3]]', "", "cannot be read"),
        ("[" * 10_000, "", "nested"),
        (json.dumps(CAMERAS), "", "does not say which"),
        (json.dumps(CAMERAS), "attic.jpg", "'attic.jpg' does not say which"),
        (json.dumps({"a.jpg": FLAT, "a.png": FLAT}), "a", "does not say which"),
    ],
)
def test_what_is_no_camera_is_said(text: str, name: str, why: str):
    with pytest.raises(InputError, match=why):
        read_camera(text, name)
