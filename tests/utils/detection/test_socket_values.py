"""Boxes for other nodes: values, masks, crops, SEGS, SAM2, coordinates."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections, Point
from qwen3vl_nodes.utils.detection.boxes3d import Box3D
from qwen3vl_nodes.utils.detection.crops import crop_region, grown_region
from qwen3vl_nodes.utils.detection.masks import MAX_MASK_PIXELS, masks_of
from qwen3vl_nodes.utils.detection.segs import to_segs
from qwen3vl_nodes.utils.detection.socket_values import (
    box_frames,
    extent_wh,
    from_box_value,
    from_coordinates,
    from_point_value,
    to_box_3d_value,
    to_box_value,
    to_coordinates,
    to_point_value,
    to_sam2_value,
)
from qwen3vl_nodes.utils.errors import InputError, ParseError

# A busy machine is no reason to fail.

CAT = Detection("cat", Box(0.1, 0.2, 0.3, 0.4), {"color": "black"})
DOG = Detection("狗", Box(0.5, 0.5, 1.0, 1.0))
FOUND = Detections(200, 100, (CAT, DOG))


def test_box_values_are_whole_pixels_with_label_and_attributes():
    assert to_box_value(FOUND) == [
        {"x": 20, "y": 20, "width": 40, "height": 20, "label": "cat", "color": "black"},
        {"x": 100, "y": 50, "width": 100, "height": 50, "label": "狗"},
    ]
    assert all(type(v) is int for d in to_box_value(FOUND) for v in list(d.values())[:4])


def test_attributes_never_overwrite_the_place():
    item = Detection("cat", Box(0, 0, 1, 1), {"x": 7, "width": 9, "label": "dog", "score": 0.5})
    value = to_box_value(Detections(10, 10, (item,)))
    assert value == [{"x": 0, "y": 0, "width": 10, "height": 10, "label": "cat", "score": 0.5}]


def test_point_and_3d_values():
    found = Detections(
        200, 100, (Detection("eye", Point(1, 0.5), {"side": "left"}),
                   Detection("chair", Box3D(0, 0, 2, 1, 1, 1, 0, 0, 0), {"legs": 4})),
    )  # fmt: skip
    assert to_point_value(found) == [{"x": 199, "y": 50, "label": "eye", "side": "left"}]
    assert to_box_3d_value(found) == [
        {"bbox_3d": [0, 0, 2, 1, 1, 1, 0, 0, 0], "label": "chair", "legs": 4}
    ]
    assert to_coordinates(found) == '[{"x": 199, "y": 50}]'


def test_box_values_come_back():
    (back,) = from_box_value([to_box_value(FOUND)], [(200, 100)])
    assert back.items == FOUND.items
    assert to_box_value(back) == to_box_value(FOUND)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ({"x": 1, "y": 2, "width": 3, "height": 4}, 1),
        ([{"x": 1, "y": 2, "width": 3, "height": 4}], 1),
        ([[{"x": 1, "y": 2, "width": 3, "height": 4}], []], 1),
        ([], 0),
        ([[], []], 0),
        ([[{"x": 1.4, "y": 2.6, "width": 3.2, "height": 4.1, "score": 0.9}]], 2),
    ],
    ids=["one dict", "one list", "per image", "nothing", "nothing per image", "floats of SAM3"],
)
def test_values_from_other_nodes(value, count):
    found = from_box_value(value, [(100, 100), (100, 100)])
    assert len(found) == 2
    if count == 1:
        assert len(found[0].items) == 1
    if count == 2:
        assert found[1].items[0].attributes == {"score": 0.9}


@pytest.mark.parametrize(
    "value",
    [
        "text", 5, None, [5], [[5]], [[1, 2, 3, 4]], [{"x": 1}], [[{"x": 1, "y": 2, "width": 3}]],
        [{"x": float("nan"), "y": 0, "width": 1, "height": 1}], {"x": "a"}, object,
    ],
    ids=repr,
)  # fmt: skip
def test_other_values_are_refused(value):
    with pytest.raises(InputError, match="socket"):
        from_box_value(value, [(100, 100)])


@pytest.mark.parametrize("value", ["text", None, [[1, 2]], [{"x": 1}], [{"x": "a", "y": 1}]])
def test_values_that_are_no_points_are_refused(value):
    with pytest.raises(InputError, match="socket"):
        from_point_value(value, [(100, 100)])


def test_counts_that_differ_are_refused():
    value = [to_box_value(FOUND)] * 3
    with pytest.raises(InputError, match="2 images"):
        from_box_value(value, [(200, 100)] * 2)


def test_boxes_that_reach_out_are_cut_and_outside_ones_left_out():
    value = [
        {"x": -10, "y": 90, "width": 30, "height": 30, "label": "a"},
        {"x": 500, "y": 0, "width": 30, "height": 30, "label": "b"},
        {"x": 5, "y": 5, "width": 0, "height": 30, "label": "c"},
    ]
    (found,) = from_box_value(value, [(200, 100)])
    assert to_box_value(found) == [{"x": 0, "y": 90, "width": 20, "height": 10, "label": "a"}]
    assert len(found.notes) == 2


def test_extent_holds_every_box():
    frames = box_frames([[{"x": 5, "y": 6, "width": 10.5, "height": 4}], []])
    assert extent_wh(frames) == (16, 10)
    assert extent_wh([[]]) == (1, 1)


def test_coordinates_come_back():
    found = from_coordinates('[{"x": 20, "y": 30}, {"x": 0, "y": 99}]', 200, 100)
    assert to_coordinates(found) == '[{"x": 20, "y": 30}, {"x": 0, "y": 99}]'
    assert to_coordinates(from_coordinates("[[20, 30]]", 200, 100)) == '[{"x": 20, "y": 30}]'
    assert from_coordinates("", 200, 100).items == ()
    assert from_coordinates("[]", 200, 100).items == ()
    assert from_point_value([to_point_value(found)], [(200, 100)])[0].items == found.items


@pytest.mark.parametrize("text", ["hello", "[1, 2, 3]", '[{"x": 1}]', '[{"x": "a", "y": 2}]'])
def test_text_that_is_no_coordinates_is_refused(text: str):
    with pytest.raises(ParseError, match="not a list of points"):
        from_coordinates(text, 200, 100)


def test_coordinates_are_what_sam3_reads():
    """SAM3_Detect: json.loads, then p["x"] and p["y"] of each."""
    text = to_coordinates(Detections(200, 100, (Detection("", Point(0.25, 0.5)),)))
    assert [(p["x"], p["y"]) for p in json.loads(text)] == [(50, 50)]


def test_sam2_reads_lists_of_xyxy():
    """SAM2 nodes: one list for each image, each box four numbers, np.array of it is [N, 4]."""
    value = to_sam2_value(FOUND)
    assert value == [[20, 20, 60, 40], [100, 50, 200, 100]]
    assert np.array(value).shape == (2, 4)


def test_masks_as_a_union():
    masks, labels = masks_of([FOUND, Detections(200, 100)])
    assert masks.shape == (2, 100, 200)
    assert masks.dtype == np.float32
    assert masks[0].sum() == 40 * 20 + 100 * 50
    assert masks[0, 20:40, 20:60].all()
    assert not masks[1].any()
    assert labels == ["cat, 狗", ""]


def test_masks_per_box_and_per_label():
    twice = FOUND.with_items([CAT, DOG, Detection("cat", Box(0, 0, 0.1, 0.1))])
    masks, labels = masks_of([twice], "each box")
    assert labels == ["cat", "狗", "cat"]
    assert masks.shape[0] == 3
    masks, labels = masks_of([twice], "each label")
    assert labels == ["cat", "狗"]
    assert masks[0].sum() == 40 * 20 + 20 * 10


def test_a_picture_without_boxes_gives_one_empty_mask():
    for mode in ("union", "each box", "each label"):
        masks, labels = masks_of([Detections(5, 4)], mode)
        assert masks.shape == (1, 4, 5)
        assert not masks.any()
        assert labels == [""]


def test_an_ellipse_touches_its_sides_and_leaves_the_corners():
    masks, _ = masks_of([Detections(100, 100, (Detection("a", Box(0.2, 0.2, 0.8, 0.6)),))],
                        shape="ellipse")  # fmt: skip
    mask = masks[0]
    assert mask[20:60, 20:80].any(axis=0).all()
    assert mask[20:60, 20:80].any(axis=1).all()
    assert not mask[20, 20]
    assert mask.sum() == pytest.approx(np.pi * 30 * 20, rel=0.03)
    assert mask[:20].sum() == mask[60:].sum() == 0


def test_masks_of_a_picture_of_one_pixel():
    for shape in ("box", "ellipse"):
        masks, _ = masks_of([Detections(1, 1, (CAT,))], shape=shape)
        assert masks.tolist() == [[[1.0]]]


def test_masks_that_would_fill_the_memory_are_refused():
    many = Detections(10_000, 10_000, (CAT,) * (MAX_MASK_PIXELS // 100_000_000 + 1))
    with pytest.raises(InputError, match="memory"):
        masks_of([many], "each box")


def test_masks_need_one_size():
    with pytest.raises(InputError, match="size"):
        masks_of([Detections(5, 5), Detections(6, 5)])
    with pytest.raises(InputError, match="size"):
        masks_of([])


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x1, x2 = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    y1, y2 = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    return Box(x1, y1, x2, y2)


@given(boxes(), st.integers(1, 500), st.integers(1, 500), st.floats(0, 4), st.booleans())
def test_crops_lie_in_the_picture_and_hold_the_box(box, width, height, padding, square):
    x1, y1, x2, y2 = crop_region(box, width, height, padding, square)
    bx1, by1, bx2, by2 = box.to_pixels(width, height)
    assert 0 <= x1 <= bx1 < bx2 <= x2 <= width
    assert 0 <= y1 <= by1 < by2 <= y2 <= height


def test_known_crops():
    box = Box(0.4, 0.4, 0.6, 0.5)
    assert crop_region(box, 100, 100) == (40, 40, 60, 50)
    assert crop_region(box, 100, 100, padding=0.5) == (30, 35, 70, 55)
    assert crop_region(box, 100, 100, square=True) == (40, 35, 60, 55)
    assert crop_region(Box(0, 0, 0.2, 0.1), 100, 100, square=True) == (0, 0, 20, 20)
    assert crop_region(Box(0, 0, 0.2, 0.1), 100, 100, padding=0.5) == (0, 0, 30, 15)
    assert crop_region(Box(0, 0, 1, 0.1), 100, 50, square=True) == (0, 0, 100, 50)


def test_segs_keep_the_written_contract():
    """((H, W), [SEG]) with Impact's field names and order; the mask has the region's size."""
    (height, width), segments = to_segs(FOUND, crop_factor=2.0)
    assert (height, width) == (100, 200)
    first, last = segments
    assert first._fields == (
        "cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label",
        "control_net_wrapper",
    )  # fmt: skip
    assert first.cropped_image is None
    assert first.control_net_wrapper is None
    assert first.confidence == 1.0
    assert first.label == "cat"
    assert first.bbox == (20, 20, 60, 40)
    assert first.crop_region == [0, 10, 80, 50]
    assert first.cropped_mask.shape == (40, 80)
    assert first.cropped_mask.dtype == np.float32
    assert first.cropped_mask.sum() == 40 * 20
    assert first.cropped_mask[10:30, 20:60].all()
    assert last.crop_region == [0, 0, 200, 100]


def test_segs_take_a_measured_score():
    scored = FOUND.with_items([Detection("cat", Box(0, 0, 1, 1), {"score": 0.25})])
    assert to_segs(scored)[1][0].confidence == 0.25


@given(boxes(), st.integers(1, 300), st.integers(1, 300), st.floats(1, 10))
def test_grown_regions_hold_the_box(box, width, height, factor):
    x1, y1, x2, y2 = grown_region(box, width, height, factor)
    bx1, by1, bx2, by2 = box.to_pixels(width, height)
    assert 0 <= x1 <= bx1 < bx2 <= x2 <= width
    assert 0 <= y1 <= by1 < by2 <= y2 <= height
