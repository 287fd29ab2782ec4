"""Parse, draw, choose and convert: the small nodes around boxes."""

import json

import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.detection.choose import (
    Qwen3VLFilterBoxes,
    Qwen3VLMergeBoxes,
    Qwen3VLPickBox,
    Qwen3VLScaleBoxes,
    Qwen3VLSelectBoxes,
)
from qwen3vl_nodes.nodes.detection.convert import (
    Qwen3VLBoxesToMask,
    Qwen3VLBoxesToSAM2,
    Qwen3VLBoxesToSEGS,
    Qwen3VLCoordinatesToPoints,
    Qwen3VLPointsToCoordinates,
)
from qwen3vl_nodes.nodes.detection.crop import NO_BOX_SKIP, Qwen3VLCropBoxes
from qwen3vl_nodes.nodes.detection.draw import Qwen3VLDrawDetections
from qwen3vl_nodes.nodes.detection.parse import Qwen3VLParseDetections
from qwen3vl_nodes.nodes.detection.to_text import LABELS, PIXEL_JSON, QWEN_JSON, Qwen3VLBoxesToText
from qwen3vl_nodes.nodes.shared.grounding import LEAVE_EMPTY, STOP
from qwen3vl_nodes.utils.errors import InputError, ParseError

CAT = {"x": 10, "y": 10, "width": 20, "height": 10, "label": "cat", "color": "black"}
DOG = {"x": 50, "y": 0, "width": 50, "height": 50, "label": "dog"}
BOXES = [[CAT, DOG], [DOG]]
PARSE = {"units": ["qwen"], "angle_order": ["pitch_yaw_roll"], "unreadable": [STOP]}
CAMERA = {"field_of_view": 60.0, "intrinsics": ""}


@pytest.fixture
def batch(images):
    return images(2, 50, 100)


def parse(texts, batches, **inputs):
    return run_node(Qwen3VLParseDetections, text=texts, image=batches, **(PARSE | inputs)).args


def crop(boxes, batch, padding=0, square=False, **inputs):
    wanted = {"padding": padding, "square": square} | inputs
    return run_node(Qwen3VLCropBoxes, boxes=boxes, image=batch, **wanted)


def test_an_image_without_a_hit_stops_the_list_or_is_skipped(images):
    with pytest.raises(InputError, match="no box to cut out.*'skip'"):
        crop([[]], images(1))
    assert crop([[]], images(1), no_box=NO_BOX_SKIP).args == ([], [])


@pytest.mark.parametrize("into", [crop, lambda boxes, batch: run_node(
    Qwen3VLBoxesToSEGS, boxes=boxes, image=batch, crop_factor=3.0)])  # fmt: skip
def test_more_pieces_than_memory_are_refused_before_any_is_made(into):
    box = {"x": 0, "y": 0, "width": 320, "height": 320, "label": "a"}
    with pytest.raises(InputError, match="fit in memory"):
        into([[box] * 20_000], torch.zeros(1, 320, 320, 3))


def test_texts_become_boxes_points_and_coordinates(batch):
    texts = [
        '{"bbox_2d": [100, 200, 300, 400], "label": "cat"}',
        'a {"point_2d": [500, 500], "label": "eye"} b',
    ]
    boxes, points, coordinates, count, report, boxes_3d = parse(texts, [batch])
    assert boxes == [[[{"x": 10, "y": 10, "width": 20, "height": 10, "label": "cat"}], []]]
    assert points == [[[], [{"x": 50, "y": 25, "label": "eye"}]]]
    assert coordinates == ["[]", '[{"x": 50, "y": 25}]']
    assert count == [1, 1]
    assert report == "1: 1 found\n2: 1 found"
    assert boxes_3d == [[[], []]]


def test_texts_of_images_with_different_sizes(images):
    text = '{"bbox_2d": [0, 0, 500, 500], "label": "cat"}'
    boxes = parse([text, text], [images(1, 50, 100), images(1, 200, 40)])[0]
    # A value for each batch, as lists of pictures come.
    assert [(f[0][0]["width"], f[0][0]["height"]) for f in boxes] == [(50, 25), (20, 100)]


@pytest.mark.parametrize(
    ("units", "text", "width"),
    [
        ("qwen", '{"bbox_2d": [0, 0, 500, 500]}', 50),
        ("pixels", '{"bbox_2d": [0, 0, 25, 50]}', 25),
        ("fractions", '{"bbox_2d": [0, 0, 0.75, 0.5]}', 75),
    ],
)
def test_units(images, units, text, width):
    boxes = parse([text], [images(1, 50, 100)], units=[units])[0]
    assert boxes[0][0][0]["width"] == width


def test_counts_that_differ_are_refused(batch):
    with pytest.raises(InputError, match="1 texts for 2 images"):
        parse(["[]"], [batch])


def test_unreadable_text_stops_or_is_left_empty(batch):
    texts = ["[]", '{"bbox_2d": [1, 2, "x", 4]}']
    with pytest.raises(ParseError, match="Image 2 of 2"):
        parse(texts, [batch])
    boxes, *_, report, _ = parse(texts, [batch], unreadable=[LEAVE_EMPTY])
    assert boxes == [[[], []]]
    assert "unreadable" in report


def test_everything_is_drawn_on_a_copy(batch):
    before = batch.clone()
    points = [[{"x": 5, "y": 5, "label": "eye"}], []]
    chair = [[], [{"bbox_3d": [0, 0, 3, 1, 1, 1, 0, 0, 0], "label": "chair"}]]
    inputs = {"image": batch, "labels": True, **CAMERA}
    drawn = run_node(Qwen3VLDrawDetections, boxes=BOXES, points=points, boxes_3d=chair, **inputs)[0]
    assert drawn.shape == (2, 50, 100, 3)
    assert torch.equal(batch, before)
    assert not torch.equal(drawn[0], before[0]) and not torch.equal(drawn[1], before[1])
    nothing = run_node(Qwen3VLDrawDetections, **inputs)[0]
    assert torch.allclose(nothing, before, atol=1 / 255)


def test_one_box_of_core_is_drawn_on_every_image(batch):
    drawn = run_node(
        Qwen3VLDrawDetections, image=batch, boxes={"x": 1, "y": 1, "width": 9, "height": 9},
        labels=False, **CAMERA,
    )[0]  # fmt: skip
    assert all(not torch.allclose(a, b, atol=0.01) for a, b in zip(drawn, batch, strict=True))


@pytest.mark.parametrize(
    ("write_as", "text"),
    [
        (QWEN_JSON, '[\n\t{"bbox_2d": [500, 0, 1000, 1000], "label": "dog"}\n]'),
        (PIXEL_JSON, json.dumps([DOG])),
        (LABELS, "dog"),
    ],
)
def test_boxes_as_text(batch, write_as, text):
    texts = run_node(Qwen3VLBoxesToText, boxes=BOXES, image=batch, write_as=write_as)[0]
    assert texts[1] == text


def select(boxes, image, **inputs):
    chosen = {"labels": "", "order": "as found", "first": 0, "how_many": 1} | inputs
    return run_node(Qwen3VLSelectBoxes, boxes=boxes, image=image, **chosen).args


def test_boxes_are_selected(batch):
    assert select(BOXES, batch) == ([[CAT], [DOG]], [1, 1])
    assert select(BOXES, batch, order="largest first")[0] == [[DOG], [DOG]]
    assert select(BOXES, batch, labels="CAT", how_many=0) == ([[CAT], []], [1, 0])


def test_one_box_is_picked_for_core_crop_image():
    box, *numbers, label = run_node(Qwen3VLPickBox, boxes=BOXES, image_number=0, box_number=1).args
    assert box == DOG
    assert (numbers, label) == ([50, 0, 50, 50], "dog")
    assert all(type(n) is int for n in numbers)


@pytest.mark.parametrize(("image_number", "box_number"), [(2, 0), (1, 1)])
def test_a_box_that_is_not_there_is_said_to_be(image_number, box_number):
    with pytest.raises(InputError, match="There is no"):
        run_node(Qwen3VLPickBox, boxes=BOXES, image_number=image_number, box_number=box_number)


def test_boxes_are_filtered(batch):
    inputs = {
        "min_area": 0.0, "max_area": 100.0, "min_aspect": 0.0, "max_aspect": 0.0,
        "max_overlap": 1.0, "same_label": True,
    }  # fmt: skip

    def kept(boxes, **more):
        return run_node(Qwen3VLFilterBoxes, boxes=boxes, image=batch, **(inputs | more)).args

    assert kept(BOXES) == (BOXES, [2, 1])
    assert kept(BOXES, min_area=10.0)[0] == [[DOG], [DOG]]
    assert kept(BOXES, max_area=10.0)[0] == [[CAT], []]
    assert kept(BOXES, min_aspect=1.5)[0] == [[CAT], []]
    assert kept(BOXES, max_aspect=1.5)[0] == [[DOG], [DOG]]
    assert kept([[DOG, DOG, CAT]], max_overlap=0.5)[0][0] == [DOG, CAT]


def test_boxes_are_merged_image_by_image():
    both = run_node(Qwen3VLMergeBoxes, boxes_1=BOXES, boxes_2=[[DOG], []], max_overlap=1.0)[0]
    assert both == [[CAT, DOG, DOG], [DOG]]
    once = run_node(Qwen3VLMergeBoxes, boxes_1=BOXES, boxes_2=[[DOG], []], max_overlap=0.9)[0]
    assert once == BOXES
    with pytest.raises(InputError, match="3 images"):
        run_node(Qwen3VLMergeBoxes, boxes_1=BOXES, boxes_2=[[], [], []], max_overlap=1.0)


def test_boxes_are_scaled_to_another_size(batch, images):
    scaled = run_node(
        Qwen3VLScaleBoxes, boxes=BOXES, from_image=batch, to_image=images(1, 100, 400)
    )[0]
    assert scaled[0][0] == CAT | {"x": 40, "y": 20, "width": 80, "height": 20}


def test_boxes_become_masks(batch):
    mask, labels = run_node(
        Qwen3VLBoxesToMask, boxes=BOXES, image=batch, mode="each box", shape="box"
    ).args
    assert mask.shape == (3, 50, 100) and mask.dtype == torch.float32
    assert labels == ["cat", "dog", "dog"]
    assert mask[0].sum() == 200


@pytest.mark.parametrize("boxes", [[[], []], []])
def test_no_boxes_become_empty_masks_and_lists(batch, boxes):
    mask, labels = run_node(
        Qwen3VLBoxesToMask, boxes=boxes, image=batch, mode="each label", shape="ellipse"
    ).args
    assert mask.shape == (2, 50, 100) and not mask.any()
    assert labels == ["", ""]
    assert run_node(Qwen3VLBoxesToSAM2, boxes=boxes, image=batch)[0] == [[], []]
    segs = run_node(Qwen3VLBoxesToSEGS, boxes=boxes, image=batch, crop_factor=3.0)[0]
    assert segs == [((50, 100), []), ((50, 100), [])]
    with pytest.raises(InputError, match="no box to cut out"):
        crop(boxes, batch)


def test_masks_of_an_image_of_one_pixel(images):
    one = {"x": 0, "y": 0, "width": 1, "height": 1}
    mask = run_node(
        Qwen3VLBoxesToMask, boxes=one, image=images(1, 1, 1), mode="union", shape="ellipse"
    )[0]
    assert mask.tolist() == [[[1.0]]]


def test_boxes_become_sam2_and_segs(batch):
    assert run_node(Qwen3VLBoxesToSAM2, boxes=BOXES, image=batch)[0] == [
        [[10, 10, 30, 20], [50, 0, 100, 50]],
        [[50, 0, 100, 50]],
    ]
    segs = run_node(Qwen3VLBoxesToSEGS, boxes=BOXES, image=batch, crop_factor=2.0)[0]
    assert [shape for shape, _ in segs] == [(50, 100)] * 2
    assert [seg.label for seg in segs[0][1]] == ["cat", "dog"]


def test_points_and_coordinates():
    points = [[{"x": 5, "y": 7, "label": "eye"}], []]
    texts = run_node(Qwen3VLPointsToCoordinates, points=points)[0]
    assert texts == ['[{"x": 5, "y": 7}]', "[]"]
    image = torch.zeros(2, 20, 30, 3)
    back = run_node(Qwen3VLCoordinatesToPoints, coordinates=texts[0], image=image)[0]
    assert back == [[{"x": 5, "y": 7, "label": ""}]] * 2
    with pytest.raises(ParseError):
        run_node(Qwen3VLCoordinatesToPoints, coordinates="here", image=image)


def test_crops_are_a_list_in_their_own_sizes(batch):
    crops, labels = crop(BOXES, batch).args
    assert [tuple(c.shape) for c in crops] == [(1, 10, 20, 3), (1, 50, 50, 3), (1, 50, 50, 3)]
    assert labels == ["cat", "dog", "dog"]
    assert torch.equal(crops[0][0], batch[0, 10:20, 10:30])
    assert torch.equal(crops[2][0], batch[1, 0:50, 50:100])
    (whole,) = crop([[CAT]], (batch[:1] * 255).byte())[0]
    assert whole.max() <= 1 and whole.dtype == torch.float32
    square = crop(BOXES, batch, padding=10, square=True)[0]
    assert tuple(square[0].shape) == (1, 24, 24, 3)


@pytest.mark.parametrize(
    "node",
    [Qwen3VLBoxesToMask, Qwen3VLBoxesToSAM2, Qwen3VLBoxesToSEGS],
)
def test_boxes_of_other_images_are_refused(node, images):
    more = {
        Qwen3VLBoxesToMask: {"mode": "union", "shape": "box"},
        Qwen3VLBoxesToSEGS: {"crop_factor": 3.0},
    }.get(node, {})
    with pytest.raises(InputError, match="3 images"):
        run_node(node, boxes=BOXES, image=images(3), **more)
    with pytest.raises(InputError, match="socket"):
        run_node(node, boxes="boxes", image=images(3), **more)
    with pytest.raises(InputError, match="3 images"):
        crop(BOXES, images(3))


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        (Qwen3VLDrawDetections, {"labels": True, **CAMERA}),
        (Qwen3VLBoxesToText, {"write_as": LABELS}),
        (Qwen3VLSelectBoxes, {"labels": "", "order": "as found", "first": 0, "how_many": 1}),
        (Qwen3VLBoxesToMask, {"mode": "union", "shape": "box"}),
        (Qwen3VLBoxesToSAM2, {}),
        (Qwen3VLBoxesToSEGS, {"crop_factor": 3.0}),
    ],
)
@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 0, 8, 3), (8, 8, 3)])
def test_an_empty_batch_is_refused(node, inputs, shape):
    with pytest.raises(InputError):
        run_node(node, boxes=[[CAT]], image=torch.zeros(shape), **inputs)
    with pytest.raises(InputError):
        crop([[CAT]], torch.zeros(shape))


def test_socket_strings_are_published():
    """A published string is for ever."""
    outputs = {
        Qwen3VLParseDetections: ["BOX,BOUNDING_BOX", "POINT", "STRING", "INT", "STRING", "BOX3D"],
        Qwen3VLDrawDetections: ["IMAGE"],
        Qwen3VLBoxesToText: ["STRING"],
        Qwen3VLSelectBoxes: ["BOX,BOUNDING_BOX", "INT"],
        Qwen3VLPickBox: ["BOX,BOUNDING_BOX", "INT", "INT", "INT", "INT", "STRING"],
        Qwen3VLFilterBoxes: ["BOX,BOUNDING_BOX", "INT"],
        Qwen3VLMergeBoxes: ["BOX,BOUNDING_BOX"],
        Qwen3VLScaleBoxes: ["BOX,BOUNDING_BOX"],
        Qwen3VLBoxesToMask: ["MASK", "STRING"],
        Qwen3VLBoxesToSAM2: ["BBOX"],
        Qwen3VLBoxesToSEGS: ["SEGS"],
        Qwen3VLPointsToCoordinates: ["STRING"],
        Qwen3VLCoordinatesToPoints: ["POINT"],
        Qwen3VLCropBoxes: ["IMAGE", "STRING"],
    }
    for node, types in outputs.items():
        assert node.GET_NODE_INFO_V1()["output"] == types, node


OUTSIDE = {"x": 500, "y": 0, "width": 9, "height": 9, "label": "cat"}


def test_a_box_outside_its_image_does_not_go_without_a_word(images, caplog):
    """As when the boxes were found in a larger version of the image."""
    image = images(1, 50, 100)
    bboxes = run_node(Qwen3VLBoxesToSAM2, boxes=OUTSIDE, image=image)[0]
    assert bboxes == [[]]
    assert "image 1, which has 100 x 50 pixels: box 1 left out" in caplog.text
    with pytest.raises(InputError, match="to cut out; box 1 left out, it has no area inside"):
        run_node(Qwen3VLCropBoxes, boxes=OUTSIDE, image=image, padding=0, square=False)
