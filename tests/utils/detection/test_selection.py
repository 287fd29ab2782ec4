"""Selecting, filtering, merging, and looking tile by tile."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections, Point
from qwen3vl_nodes.utils.detection.overlap import KeptBoxes
from qwen3vl_nodes.utils.detection.selection import (
    ORDERS,
    BoxLimits,
    in_order,
    merged,
    some_of,
    with_labels,
    without_duplicates,
)
from qwen3vl_nodes.utils.detection.tiling import cut_out, put_together, tiles_of
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Picture

# A busy machine is no reason to fail.


def item(label: str, *xyxy: float) -> Detection:
    return Detection(label, Box(*xyxy))


BIG = item("Cat", 0.5, 0.0, 1.0, 0.5)
SMALL = item("dog", 0.1, 0.8, 0.2, 0.9)
WIDE = item("cat", 0.2, 0.3, 0.6, 0.4)
FOUND = Detections(200, 100, (BIG, SMALL, WIDE))


def labels_of(detections: Detections) -> list[str]:
    return [one.label for one in detections.items]


def test_labels_are_chosen_in_any_case():
    assert labels_of(with_labels(FOUND, "cat")) == ["Cat", "cat"]
    assert labels_of(with_labels(FOUND, " DOG , bird")) == ["dog"]
    assert with_labels(FOUND, " , ") is FOUND
    assert labels_of(with_labels(FOUND, "at")) == []


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("as found", ["Cat", "dog", "cat"]),
        ("largest first", ["Cat", "cat", "dog"]),
        ("smallest first", ["dog", "cat", "Cat"]),
        ("leftmost first", ["dog", "cat", "Cat"]),
        ("rightmost first", ["Cat", "cat", "dog"]),
        ("topmost first", ["Cat", "cat", "dog"]),
        ("bottommost first", ["dog", "cat", "Cat"]),
        ("nearest the middle first", ["cat", "Cat", "dog"]),
    ],
)
def test_orders(order: str, expected: list[str]):
    assert labels_of(in_order(FOUND, order)) == expected


def test_every_order_is_tested_and_others_are_refused():
    assert len(ORDERS) == 8
    with pytest.raises(InputError, match="no order"):
        in_order(FOUND, "best first")


def test_ties_keep_the_order_of_the_answer():
    same = FOUND.with_items([item(str(n), 0.1, 0.1, 0.2, 0.2) for n in range(9)])
    for order in ORDERS:
        assert labels_of(in_order(same, order)) == [str(n) for n in range(9)]


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [
        (0, 0, ["Cat", "dog", "cat"]),
        (0, 1, ["Cat"]),
        (1, 1, ["dog"]),
        (-1, 1, ["cat"]),
        (-9, 1, ["Cat"]),
        (9, 1, []),
        (1, 9, ["dog", "cat"]),
    ],
)
def test_some_of(first: int, count: int, expected: list[str]):
    assert labels_of(some_of(FOUND, first, count)) == expected


def test_limits_of_area_and_aspect():
    assert labels_of(BoxLimits(min_area=0.02).keep(FOUND)) == ["Cat", "cat"]
    assert labels_of(BoxLimits(max_area=0.1).keep(FOUND)) == ["dog", "cat"]
    # On a picture of 200 x 100 the three are 100 x 50, 20 x 10 and 80 x 10 pixels.
    assert labels_of(BoxLimits(min_aspect=3).keep(FOUND)) == ["cat"]
    assert labels_of(BoxLimits(max_aspect=2.5).keep(FOUND)) == ["Cat", "dog"]
    assert BoxLimits().keep(FOUND) == FOUND


def test_limits_leave_points_alone():
    found = Detections(10, 10, (Detection("eye", Point(0.5, 0.5)), SMALL))
    assert labels_of(BoxLimits(min_area=0.5).keep(found)) == ["eye"]


def test_duplicates_go_and_the_first_stays():
    near = item("Cat", 0.5, 0.0, 1.0, 0.48)
    other = item("tiger", 0.5, 0.0, 1.0, 0.48)
    found = FOUND.with_items([BIG, near, other])
    assert labels_of(without_duplicates(found, 0.5)) == ["Cat", "tiger"]
    assert labels_of(without_duplicates(found, 0.5, same_label=False)) == ["Cat"]
    assert without_duplicates(found, 1.0).items == found.items


def test_merging_keeps_both_lists_in_order():
    both = merged(FOUND, FOUND.with_items([SMALL, WIDE]))
    assert labels_of(both) == ["Cat", "dog", "cat", "dog", "cat"]
    assert labels_of(merged(FOUND, FOUND, max_iou=0.9)) == ["Cat", "dog", "cat"]
    with pytest.raises(InputError, match="cannot be merged"):
        merged(FOUND, Detections(100, 100))


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 2), (3, 2), (4, 4)])
def test_tiles_cover_the_picture_and_overlap(columns: int, rows: int):
    tiles = tiles_of(columns, rows)
    assert len(tiles) == columns * rows
    seen = np.zeros((300, 400), int)
    for tile in tiles:
        x1, y1, x2, y2 = tile.to_pixels(400, 300)
        seen[y1:y2, x1:x2] += 1
    assert seen.min() == 1
    assert seen.max() == (2 if min(columns, rows) > 1 else 1) ** 2 or columns * rows == 1


def test_a_tile_is_cut_out():
    pixels = np.arange(40 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(30, 40, 3)
    part = cut_out(Picture(pixels), Box(0.5, 0, 1, 0.5))
    assert (part.pixels == pixels[:15, 20:]).all()
    assert not np.shares_memory(part.pixels, pixels)


def test_a_thing_found_twice_is_one_and_a_cut_one_is_whole():
    tiles = [Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)]
    whole = Detections(1000, 1000, (item("cat", 0.3, 0.3, 0.7, 0.7),))
    left = Detections(
        500, 1000, (item("cat", 0.6, 0.3, 1.0, 0.7), item("fly", 0.1, 0.1, 0.2, 0.15))
    )
    right = Detections(500, 1000, (item("cat", 0.0, 0.3, 0.4, 0.7),))
    found = put_together(whole, tiles, [left, right])
    assert labels_of(found) == ["cat", "fly"]
    assert found.boxes[0][1] == Box(0.3, 0.3, 0.7, 0.7)
    assert found.boxes[1][1].xyxy == pytest.approx((0.05, 0.1, 0.1, 0.15))


def test_a_larger_box_from_a_tile_takes_the_place_of_its_part():
    whole = Detections(1000, 1000, (item("cat", 0.1, 0.1, 0.2, 0.2), item("dog", 0.6, 0.6, 1, 1)))
    part = Detections(500, 500, (item("cat", 0.2, 0.2, 0.6, 0.6),))
    found = put_together(whole, [Box(0, 0, 0.5, 0.5)], [part])
    assert labels_of(found) == ["cat", "dog"]
    assert found.boxes[0][1].xyxy == pytest.approx((0.1, 0.1, 0.3, 0.3))


def test_flags_and_notes_of_tiles_are_kept():
    part = Detections(500, 500, (), truncated=True, repaired=True, notes=("clamped",))
    found = put_together(Detections(1000, 1000), [Box(0, 0, 0.5, 0.5)], [part])
    assert found.truncated
    assert found.repaired
    assert found.notes == ("tile 1: clamped",)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.8), st.floats(0, 0.8)), max_size=12))
def test_putting_together_is_deterministic_and_idempotent(things):
    boxes = [item("cat", x, y, x + 0.15, y + 0.15) for _, x, y in things]
    tiles = [Box(0, 0, 1, 1)]
    once = put_together(Detections(1000, 1000), tiles, [Detections(1000, 1000, tuple(boxes))])
    again = put_together(Detections(1000, 1000), tiles, [Detections(1000, 1000, tuple(boxes))])
    assert once == again
    assert len(put_together(once, tiles, [once]).items) == len(once.items)


def test_thousands_of_boxes_are_compared_in_time():
    """An answer of the longest length holds about this many."""
    steps = [n / 8_000 for n in range(4_000)]
    many = Detections(1000, 1000, tuple(item("cat", s, s, s + 0.4, s + 0.4) for s in steps))
    started = time.process_time()
    assert 1 < len(without_duplicates(many, 0.5).items) < 20
    assert len(without_duplicates(many, 0.99999).items) == 4_000
    put_together(many, [Box(0, 0, 1, 1)], [many])
    assert time.process_time() - started < 8


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=20))
def test_comparing_all_at_once_is_comparing_each(corners):
    boxes = [Box(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    kept = KeptBoxes(len(boxes))
    for box in boxes:
        iou, inside = kept.overlaps(box)
        earlier = boxes[: kept.count]
        assert iou.tolist() == pytest.approx([box.iou(other) for other in earlier], abs=1e-9)
        assert all(0 <= part <= 1 + 1e-9 for part in inside)
        kept.add(box, "cat")
