"""3D boxes from above."""

import math
import random

import numpy as np
import pytest
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections
from qwen3vl_nodes.utils.detection.boxes3d import Box3D, Camera
from qwen3vl_nodes.utils.drawing.annotate import color_of
from qwen3vl_nodes.utils.drawing.birds_eye import GROUND, birds_eye, footprint


def box(x=0.0, y=0.0, z=2.0, size=(1.0, 1.0, 1.0), yaw=0.0) -> Box3D:
    return Box3D(x, y, z, *size, 0.0, yaw, 0.0)


def seen(*boxes: tuple[str, Box3D], labels: bool = False) -> np.ndarray:
    items = tuple(Detection(label, shape) for label, shape in boxes)
    return birds_eye(Detections(640, 480, items), labels=labels).pixels


def middle(pixels: np.ndarray, label: str) -> tuple[float, float]:
    rows, columns = np.nonzero((pixels == color_of(label)).all(axis=-1))
    return float(columns.mean()), float(rows.mean())


def area(outline) -> float:
    pairs = zip(outline, [*outline[1:], outline[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def test_a_footprint_goes_around_the_box():
    assert sorted(footprint(box(size=(2, 1, 4)))) == [(-1, 0), (-1, 4), (1, 0), (1, 4)]
    assert area(footprint(box(size=(2, 1, 4), yaw=0.7))) == pytest.approx(8, abs=1e-4)
    assert footprint(box(size=(0, 1, 0))) == [(0.0, 2.0)]
    assert len(footprint(box(size=(2, 1, 0)))) == 2


def test_right_is_right_and_farther_is_higher():
    pixels = seen(("left", box(-2, z=3)), ("right", box(2, z=3)), ("far", box(0, z=6)))
    left, right, far = (middle(pixels, label) for label in ("left", "right", "far"))
    assert left[0] < far[0] < right[0]
    assert far[1] < left[1]
    assert left[1] == pytest.approx(right[1], abs=2)


def test_labels_are_written_on_a_switch():
    plain, labelled = seen(("cup", box())), seen(("cup", box()), labels=True)
    assert (plain != labelled).any()


def test_only_3d_boxes_are_drawn():
    flat = Detections(640, 480, (Detection("cat", Box(0, 0, 1, 1)),))
    empty = Detections(640, 480)
    assert (birds_eye(flat).pixels == birds_eye(empty).pixels).all()
    assert tuple(birds_eye(empty).pixels[-1, -1]) == GROUND


def test_the_view_is_that_of_the_camera():
    found = Detections(640, 480, (Detection("cup", box()),))
    narrow = birds_eye(found, Camera(2000, 2000, 320, 240), labels=False).pixels
    wide = birds_eye(found, Camera(200, 200, 320, 240), labels=False).pixels
    assert (narrow != wide).any()


@pytest.mark.parametrize("metres", [1e-3, 0.05, 1, 99_000])
def test_every_scale_is_drawn(metres: float):
    pixels = seen(("thing", box(metres / 2, 0, metres / 2, (metres / 10,) * 3)), labels=True)
    assert (pixels == color_of("thing")).all(axis=-1).any()


def test_any_boxes_are_drawn():
    dice = random.Random(3)
    for _ in range(60):
        scale = 10 ** dice.uniform(-3, 4)
        boxes = [
            (
                f"thing {n}",
                Box3D(
                    *(dice.uniform(-scale, scale) for _ in range(3)),
                    *(dice.uniform(0, scale) for _ in range(3)),
                    *(dice.uniform(-math.pi, math.pi) for _ in range(3)),
                ),
            )
            for n in range(dice.randint(0, 5))
        ]
        assert seen(*boxes, labels=True).shape == (640, 640, 3)
