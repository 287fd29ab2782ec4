"""Distances, depth order and flat boxes of 3D boxes."""

import pytest
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections
from qwen3vl_nodes.utils.detection.boxes3d import Box3D, Camera
from qwen3vl_nodes.utils.detection.distances import (
    MAX_PAIRS,
    as_flat_boxes,
    depth_order,
    distance_metres,
    seen_box,
)

CAMERA = Camera(100, 100, 50, 50)


def cube(x=0.0, y=0.0, z=4.0, side=1.0) -> Box3D:
    return Box3D(x, y, z, side, side, side, 0.0, 0.0, 0.0)


def found(*boxes: tuple[str, Box3D]) -> Detections:
    return Detections(100, 100, tuple(Detection(label, box) for label, box in boxes))


def test_distances_are_of_the_middle():
    assert distance_metres(cube(3, 0, 4)) == 5
    assert distance_metres(cube(0, 0, 0)) == 0


def test_a_flat_box_goes_around_all_corners():
    flat = seen_box(cube(z=2, side=2), CAMERA, 100, 100)
    assert flat == Box(0, 0, 1, 1)  # its near side, 1 m away, is 200 pixels wide
    flat = seen_box(cube(z=10.5, side=1), CAMERA, 100, 100)
    assert flat is not None
    assert flat.xyxy == pytest.approx((0.45, 0.45, 0.55, 0.55))


@pytest.mark.parametrize("box", [cube(z=-4), cube(z=0.2), cube(x=50)])
def test_what_is_not_in_the_picture_has_no_flat_box(box):
    assert seen_box(box, CAMERA, 100, 100) is None
    flat = as_flat_boxes(found(("ghost", box)), CAMERA)
    assert not flat.items
    assert '"ghost" is not in the picture' in flat.notes[0]


def test_flat_boxes_come_nearest_first_with_their_distance():
    flat = as_flat_boxes(found(("far", cube(z=8)), ("near", cube(z=4))), CAMERA)
    assert [(item.label, item.attributes["distance"]) for item in flat.items] == [
        ("near", 4.0),
        ("far", 8.0),
    ]


def test_the_order_is_told_in_metres():
    lines = depth_order(found(("far", cube(-1, 0, 8)), ("near", cube(1, 0, 4)))).splitlines()
    assert lines == [
        "1. near: 4.12 m away, 1.00 m to the right",
        "2. far: 8.06 m away, 1.00 m to the left",
        "near to far: 4.47 m between their middles",
    ]
    assert depth_order(found()) == ""


def test_pairs_are_bounded():
    many = found(*((f"thing {n}", cube(z=n + 1)) for n in range(30)))
    assert len(depth_order(many).splitlines()) == 30 + MAX_PAIRS
