"""3D boxes: the official projection, angle orders, guards."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.detection.boxes3d import EDGES, Box3D, Camera, projected_edges
from qwen3vl_nodes.utils.drawing.line_clipping import clip_line
from qwen3vl_nodes.utils.errors import InputError

# A busy machine is no reason to fail.

metres = st.floats(-50, 50)
sizes = st.floats(0, 20)
angles = st.floats(-1, 1)
numbers_9 = st.tuples(metres, metres, metres, sizes, sizes, sizes, angles, angles, angles)


def rotation(axis: str, angle: float) -> list[list[float]]:
    c, s = math.cos(angle), math.sin(angle)
    return {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis]


def times(matrix: list[list[float]], vector: list[float]) -> list[float]:
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]


@given(numbers_9)
def test_corners_are_turned_about_x_then_y_then_z(values: tuple[float, ...]):
    """Written a second way, with matrices, from the description of the official code."""
    x, y, z, sx, sy, sz, pitch, yaw, roll = values
    corners = Box3D.from_qwen(values).corners()
    expected = []
    for ix in (1, -1):
        for iy in (1, -1):
            for iz in (1, -1):
                vector = [ix * sx / 2, iy * sy / 2, iz * sz / 2]
                for axis, angle in (("x", pitch), ("y", yaw), ("z", roll)):
                    vector = times(rotation(axis, angle * math.pi), vector)
                expected.append((vector[0] + x, vector[1] + y, vector[2] + z))
    for corner, wanted in zip(corners, expected, strict=True):
        assert corner == pytest.approx(wanted, abs=1e-9)


def test_the_edges_are_the_official_twelve():
    official = [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7)]
    official += [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert sorted(EDGES) == sorted(official)


def test_the_official_camera():
    camera = Camera.from_field_of_view(640, 480)
    assert camera.fx == pytest.approx(640 / (2 * math.tan(math.radians(30))))
    assert camera.fy == pytest.approx(480 / (2 * math.tan(math.radians(30))))
    assert (camera.cx, camera.cy) == (320, 240)


def test_projection_of_a_known_place():
    camera = Camera(500, 400, 320, 240)
    assert camera.project(1, -0.5, 2) == (570, 140)


@pytest.mark.parametrize("z", [0.0, -1.0, 1e-9])
def test_nothing_is_seen_behind_the_camera(z: float):
    assert Camera(500, 500, 320, 240).project(0, 0, z) is None


def test_edges_with_a_corner_behind_are_left_out():
    camera = Camera.from_field_of_view(640, 480)
    whole = Box3D(0, 0, 5, 1, 1, 1, 0, 0, 0)
    half = Box3D(0, 0, 0, 1, 1, 1, 0, 0, 0)
    behind = Box3D(0, 0, -5, 1, 1, 1, 0, 0, 0)
    counts = [len(projected_edges(box, camera)) for box in (whole, half, behind)]
    assert counts == [12, 4, 0]


def test_the_other_angle_order():
    values = [0, 0, 2, 1, 1, 1, 0.1, 0.2, 0.3]
    official = Box3D.from_qwen(values)
    other = Box3D.from_qwen(values, "roll_pitch_yaw")
    in_pi = [[a / math.pi for a in (b.pitch, b.yaw, b.roll)] for b in (official, other)]
    assert in_pi[0] == pytest.approx([0.1, 0.2, 0.3])
    assert in_pi[1] == pytest.approx([0.2, 0.3, 0.1])


@given(numbers_9, st.sampled_from(["pitch_yaw_roll", "roll_pitch_yaw"]))
def test_round_trip(values: tuple[float, ...], order):
    assert Box3D.from_qwen(values, order).to_qwen(order) == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
def test_impossible_places_are_refused(bad: float):
    with pytest.raises(InputError):
        Box3D(0, 0, bad, 1, 1, 1, 0, 0, 0)


def test_negative_sizes_and_wrong_counts_are_refused():
    with pytest.raises(InputError, match="sizes"):
        Box3D(0, 0, 2, 1, -1, 1, 0, 0, 0)
    with pytest.raises(InputError, match="9 numbers"):
        Box3D.from_qwen([1, 2, 3])


@pytest.mark.parametrize("degrees", [0, 180, -5, math.nan])
def test_impossible_fields_of_view_are_refused(degrees: float):
    with pytest.raises(InputError, match="field of view"):
        Camera.from_field_of_view(640, 480, degrees)


@pytest.mark.parametrize("camera", [(0, 1, 0, 0), (1, -1, 0, 0), (1, 1, math.nan, 0)])
def test_impossible_cameras_are_refused(camera: tuple[float, ...]):
    with pytest.raises(InputError):
        Camera(*camera)


coordinates = st.floats(-1e12, 1e12)


@given(coordinates, coordinates, coordinates, coordinates)
def test_clipped_lines_lie_in_the_picture(x1: float, y1: float, x2: float, y2: float):
    cut = clip_line((x1, y1), (x2, y2), 100, 50)
    for x, y in cut or ():
        assert -1e-3 <= x <= 99 + 1e-3
        assert -1e-3 <= y <= 49 + 1e-3


def test_known_clips():
    assert clip_line((-10, 5), (110, 5), 100, 50) == ((0, 5), (99, 5))
    assert clip_line((10, 5), (20, 6), 100, 50) == ((10, 5), (20, 6))
    assert clip_line((-10, -5), (-1, 60), 100, 50) is None
    assert clip_line((10, -5), (10, -1), 100, 50) is None
    assert clip_line((math.inf, 5), (1, 5), 100, 50) is None
