"""Places in pictures: units, rounding, guards, and the way to text and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.detection.boxes import (
    QWEN_SIDE,
    Box,
    Detection,
    Detections,
    Point,
    coordinate_faults,
)
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.parsing.detections import parse_detections, to_qwen_text

# A busy machine is no reason to fail.

fractions = st.floats(0, 1, allow_nan=False)
sides = st.integers(1, 20_000)
labels = st.text(st.characters(codec="utf-8"), max_size=60)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | labels,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(labels, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x1, x2 = sorted((draw(fractions), draw(fractions)))
    y1, y2 = sorted((draw(fractions), draw(fractions)))
    return Box(x1, y1, x2, y2)


def test_thousandths_become_fractions():
    assert Box.from_qwen(100, 200, 300, 400) == Box(0.1, 0.2, 0.3, 0.4)
    assert Point.from_qwen(250, 1000) == Point(0.25, 1.0)
    assert QWEN_SIDE == 1000


@pytest.mark.parametrize(
    ("box", "size", "pixels"),
    [
        (Box(0.1, 0.2, 0.3, 0.4), (1000, 500), (100, 100, 300, 200)),
        (Box(0, 0, 1, 1), (1, 1), (0, 0, 1, 1)),
        (Box(0, 0, 1, 1), (640, 480), (0, 0, 640, 480)),
        (Box(0.5, 0.5, 0.5001, 0.5001), (100, 100), (50, 50, 51, 51)),
        (Box(1, 1, 1, 1), (100, 50), (99, 49, 100, 50)),
        (Box(0.999, 0, 1, 0.001), (7, 3000), (6, 0, 7, 3)),
    ],
)
def test_pixels_of_boxes(box: Box, size: tuple[int, int], pixels: tuple[int, ...]):
    assert box.to_pixels(*size) == pixels


@given(boxes(), sides, sides)
def test_every_box_has_pixels_inside_every_picture(box: Box, width: int, height: int):
    x1, y1, x2, y2 = box.to_pixels(width, height)
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height


@given(fractions, fractions, sides, sides)
def test_every_point_is_a_pixel(x: float, y: float, width: int, height: int):
    px, py = Point(x, y).to_pixels(width, height)
    assert 0 <= px < width
    assert 0 <= py < height


@given(st.data(), sides, sides)
def test_whole_pixels_survive(data: st.DataObject, width: int, height: int):
    x1 = data.draw(st.integers(0, width - 1))
    y1 = data.draw(st.integers(0, height - 1))
    x2 = data.draw(st.integers(x1 + 1, width))
    y2 = data.draw(st.integers(y1 + 1, height))
    box = Box.from_pixels(x1, y1, x2, y2, width, height)
    assert box.to_pixels(width, height) == (x1, y1, x2, y2)


@given(st.lists(st.floats(-1e9, 1e9), min_size=4, max_size=4))
def test_from_qwen_clamps_and_swaps_whatever_comes(values: list[float]):
    box = Box.from_qwen(*values)
    assert 0 <= box.x1 <= box.x2 <= 1
    assert 0 <= box.y1 <= box.y2 <= 1
    inside = all(0 <= value <= QWEN_SIDE for value in values)
    faults = coordinate_faults(values, QWEN_SIDE, QWEN_SIDE)
    assert ("clamped" in faults) == (not inside)
    assert ("swapped" in faults) == (values[0] > values[2] or values[1] > values[3])


@given(st.lists(st.tuples(boxes(), labels, st.dictionaries(labels, json_values, max_size=3))))
def test_round_trip_through_text(things: list[tuple[Box, str, dict]]):
    taken = {"bbox_2d", "bbox", "bounding_box", "box", "point_2d", "point", "bbox_3d", "box_2d"}
    items = [
        Detection(label, box, {k: v for k, v in extra.items() if k not in taken | {"label"}})
        for box, label, extra in things
        if Box.from_qwen(*box.to_qwen()).area > 0
    ]
    found = parse_detections(to_qwen_text(items), 640, 480)
    assert not found.repaired
    assert not found.truncated
    assert [item.label for item in found.items] == [item.label for item in items]
    assert [dict(i.attributes) for i in found.items] == [dict(i.attributes) for i in items]
    for (_, box), item in zip(found.boxes, items, strict=True):
        assert isinstance(item.shape, Box)
        assert box.xyxy == pytest.approx(item.shape.xyxy, abs=1 / QWEN_SIDE)


def test_a_label_with_the_mark_of_thinking_survives():
    items = [Detection("a </think> b", Box(0, 0, 0.5, 0.5), {"</think>": "<think>"})]
    found = parse_detections(to_qwen_text(items), 640, 480)
    assert list(found.items) == items


@given(st.lists(st.tuples(fractions, fractions, labels), max_size=20))
def test_points_round_trip_through_text(things: list[tuple[float, float, str]]):
    items = [Detection(label, Point(x, y)) for x, y, label in things]
    found = parse_detections(to_qwen_text(items), 640, 480)
    assert [item.label for item in found.items] == [label for _, _, label in things]
    for (_, point), (x, y, _) in zip(found.points, things, strict=True):
        assert (point.x, point.y) == pytest.approx((x, y), abs=1 / QWEN_SIDE)


@given(boxes(), boxes())
def test_iou_is_a_symmetric_fraction(one: Box, other: Box):
    assert 0 <= one.iou(other) <= 1
    assert one.iou(other) == other.iou(one)
    if one.area > 1e-12:
        assert one.iou(one) == pytest.approx(1)


def test_iou_of_known_boxes():
    one, other = Box(0, 0, 0.5, 0.5), Box(0.25, 0, 0.75, 0.5)
    assert one.iou(other) == pytest.approx(1 / 3)
    assert one.iou(Box(0.5, 0.5, 1, 1)) == 0
    assert Box(0.1, 0.1, 0.1, 0.9).iou(Box(0.1, 0.1, 0.1, 0.9)) == 0


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, math.inf])
def test_values_outside_the_picture_are_refused(bad: float):
    with pytest.raises(InputError):
        Point(bad, 0.5)
    with pytest.raises(InputError):
        Box(0, 0, bad, 1)


def test_exchanged_corners_are_refused_inside():
    with pytest.raises(InputError, match="exchanged"):
        Box(0.5, 0, 0.4, 1)
    with pytest.raises(InputError, match="exchanged"):
        Box(0, 0.5, 1, 0.4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_infinite_coordinates_are_no_places(bad: float):
    with pytest.raises(InputError):
        Box.from_qwen(0, 0, bad, 1)
    with pytest.raises(InputError):
        Point.from_pixels(bad, 0, 10, 10)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_a_picture_without_pixels_is_refused(size: tuple[int, int]):
    with pytest.raises(InputError):
        Detections(*size)


def test_a_detection_needs_a_shape():
    with pytest.raises(InputError):
        Detection("cat", (0, 0, 1, 1))  # type: ignore[arg-type]


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        Box(0, 0, 1, 1).x1 = 0.5  # type: ignore[misc]


def test_scale_keeps_fractions():
    found = Detections(100, 50, (Detection("cat", Box(0.1, 0.2, 0.3, 0.4)),))
    scaled = found.scale(400, 100)
    assert scaled.items == found.items
    assert scaled.boxes[0][1].to_pixels(scaled.width, scaled.height) == (40, 20, 120, 40)


def test_contains_counts_the_edge():
    box = Box(0.1, 0.1, 0.5, 0.5)
    assert box.contains(Point(0.1, 0.5))
    assert not box.contains(Point(0.1, 0.51))
