"""Boxes and points on a real ComfyUI: into core's nodes by POST /prompt, exact values back."""

import json
import urllib.error

import hosting
import numpy as np
import pytest
from core_nodes import needs_core
from PIL import Image

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]

TEXT = """```json
[
	{"bbox_2d": [100, 200, 300, 400], "label": "cat", "color": "black"},
	{"bbox_2d": [500, 500, 900, 1000], "label": "dog"},
	{"point_2d": [250, 500], "label": "eye"}
]
```"""
WIDTH, HEIGHT = 200, 100
CAT = {"x": 20, "y": 20, "width": 40, "height": 20, "label": "cat", "color": "black"}
DOG = {"x": 100, "y": 50, "width": 80, "height": 50, "label": "dog"}


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def parsed(text=TEXT):
    """Text and picture into node 3: boxes 0, points 1, coordinates 2, count 3, report 4."""
    return {
        "1": node("PrimitiveStringMultiline", value=text),
        "2": node("LoadImage", image="grey.png"),
        "3": node(
            "Qwen3VLParseDetections", text=["1", 0], image=["2", 0], units="qwen",
            angle_order="pitch_yaw_roll", unreadable="stop with an error",
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(demo_server):
    picture = Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90))
    picture.save(demo_server.folder / "input" / "grey.png")
    return demo_server


def ran(server, prompt):
    entry = server.run(prompt)
    assert hosting.error_of(entry) == ""
    return entry["outputs"]


def picture(server, outputs, node_id):
    """The first picture that a Preview Image node wrote."""
    name = outputs[node_id]["images"][0]["filename"]
    (path,) = server.folder.rglob(name)
    return np.asarray(Image.open(path))


def errors_of(server, prompt, node_id):
    """The types of error that validation finds at a node, none if it is all right."""
    try:
        # 200 where another branch of the prompt can run.
        answer = server.post("/prompt", {"prompt": prompt})
    except urllib.error.HTTPError as refused:
        answer = json.loads(refused.read())
    found = answer["node_errors"].get(node_id, {"errors": []})["errors"]
    return [error["type"] for error in found]


def test_the_published_socket_strings(server):
    info = server.get("/object_info")
    outputs = {name: info[name]["output"] for name in info if name.startswith("Qwen3VL")}
    assert outputs["Qwen3VLDetect"] == ["STRING", "BOX,BOUNDING_BOX", "IMAGE", "INT", "STRING"]
    assert outputs["Qwen3VLPoint"] == ["STRING", "POINT", "STRING", "IMAGE", "STRING"]
    assert outputs["Qwen3VLDetect3D"] == [
        "STRING", "BOX3D", "IMAGE", "STRING", "IMAGE", "BOX,BOUNDING_BOX", "STRING",
    ]  # fmt: skip
    assert outputs["Qwen3VLPickBox"][0] == "BOX,BOUNDING_BOX"
    assert outputs["Qwen3VLBoxesToSAM2"] == ["BBOX"]
    assert outputs["Qwen3VLBoxesToSEGS"] == ["SEGS"]


@needs_core("SAM3_Detect")
def test_the_sockets_of_sam3(server):
    info = server.get("/object_info")
    assert info["SAM3_Detect"]["input"]["optional"]["bboxes"][0] == "BOUNDING_BOX"
    assert info["SAM3_Detect"]["input"]["optional"]["positive_coords"][0] == "STRING"


def test_the_exact_values(server):
    prompt = parsed() | {
        "4": node("Qwen3VLBoxesToText", boxes=["3", 0], image=["2", 0], write_as="JSON, pixels"),
        "5": node("PreviewAny", source=["3", 2]),
        "6": node("PreviewAny", source=["3", 0]),
        "7": node("PreviewAny", source=["3", 1]),
    }
    outputs = ran(server, prompt)
    assert json.loads(outputs["4"]["text"][0]) == [CAT, DOG]
    assert outputs["5"]["text"] == ['[{"x": 50, "y": 50}]']
    assert json.loads(outputs["6"]["text"][0]) == [[CAT, DOG]]
    assert json.loads(outputs["7"]["text"][0]) == [[{"x": 50, "y": 50, "label": "eye"}]]
    assert outputs["3"]["report"] == ["1: 3 found"]
    assert outputs["3"]["text"][0].splitlines()[:2] == [
        "3 found: cat, dog, eye", "- cat at 20, 20, 40 x 20 pixels",
    ]  # fmt: skip
    assert outputs["3"]["boxes"] == [[CAT, DOG]]
    assert outputs["3"]["points"] == [[{"x": 50, "y": 50, "label": "eye"}]]


@needs_core("DrawBBoxes")
def test_boxes_into_core_draw_bboxes(server):
    outputs = ran(
        server,
        parsed()
        | {
            "4": node("DrawBBoxes", image=["2", 0], bboxes=["3", 0]),
            "5": node("PreviewImage", images=["4", 0]),
        },
    )
    drawn = picture(server, outputs, "5")
    assert (drawn[20, 20:60] != 90).any(axis=1).all()
    assert (drawn[50, 100:180] != 90).any(axis=1).all()
    assert (drawn[:15] == 90).all()


@needs_core("CropByBBoxes")
def test_boxes_into_core_crop_by_bboxes(server):
    crop = node(
        "CropByBBoxes", image=["2", 0], bboxes=["3", 0], output_width=160, output_height=80,
        padding=0, keep_aspect="stretch",
    )  # fmt: skip
    outputs = ran(server, parsed() | {"4": crop, "5": node("PreviewImage", images=["4", 0])})
    assert picture(server, outputs, "5").shape[:2] == (80, 160)


def test_one_box_into_core_crop_image(server):
    outputs = ran(
        server,
        parsed()
        | {
            "4": node("Qwen3VLPickBox", boxes=["3", 0], image_number=0, box_number=1),
            "5": node("ImageCropV2", image=["2", 0], crop_region=["4", 0]),
            "6": node("PreviewImage", images=["5", 0]),
        },
    )
    assert picture(server, outputs, "6").shape[:2] == (50, 80)


@needs_core("SAM3_Detect")
def test_boxes_and_points_link_to_sam3(server):
    """Its weights are not here: validation finds fault with the checkpoint alone."""

    def sam3(**inputs):
        return parsed() | {
            "4": node("UNETLoader", unet_name="sam3.safetensors", weight_dtype="default"),
            "5": node(
                "SAM3_Detect", model=["4", 0], image=["2", 0], threshold=0.5,
                refine_iterations=2, individual_masks=False, **inputs,
            ),
            "6": node("MaskPreview", mask=["5", 0]),
        }  # fmt: skip

    right = sam3(bboxes=["3", 0], positive_coords=["3", 2])
    assert errors_of(server, right, "5") == []
    assert errors_of(server, right, "4") == ["value_not_in_list"]
    # The same question with wrong links, so that the answer above means something.
    assert errors_of(server, sam3(bboxes=["2", 0]), "5") == ["return_type_mismatch"]
    assert errors_of(server, sam3(positive_coords=["3", 0]), "5") == ["return_type_mismatch"]


def test_core_boxes_go_into_our_nodes(server):
    prompt = {
        "1": node("LoadImage", image="grey.png"),
        "2": node("PrimitiveBoundingBox", x=20, y=20, width=40, height=20),
        "3": node("Qwen3VLBoxesToMask", boxes=["2", 0], image=["1", 0], mode="union", shape="box"),
        "4": node("MaskPreview", mask=["3", 0]),
        "5": node("Qwen3VLCropBoxes", image=["1", 0], boxes=["2", 0], padding=0, square=False),
        "6": node("PreviewImage", images=["5", 0]),
    }
    outputs = ran(server, prompt)
    assert picture(server, outputs, "6").shape[:2] == (20, 40)
    assert (picture(server, outputs, "4")[20:40, 20:60] == 255).all()


def test_crops_run_the_next_node_once_for_each(server):
    prompt = parsed() | {
        "4": node("Qwen3VLCropBoxes", image=["2", 0], boxes=["3", 0], padding=0, square=False),
        "5": node("PreviewImage", images=["4", 0]),
    }
    assert len(ran(server, prompt)["5"]["images"]) == 2


def test_a_list_of_texts_belongs_to_a_batch_of_images(server):
    prompt = parsed() | {
        "4": node("RepeatImageBatch", image=["2", 0], amount=3),
        "5": node("Qwen3VLBoxesToText", boxes=["3", 0], image=["4", 0], write_as="JSON, 0 to 1000"),
        "6": node(
            "Qwen3VLParseDetections", text=["5", 0], image=["4", 0], units="qwen",
            angle_order="pitch_yaw_roll", unreadable="stop with an error",
        ),
        "7": node("PreviewAny", source=["6", 0]),
    }  # fmt: skip
    outputs = ran(server, prompt)
    assert len(outputs["5"]["text"]) == 3
    assert json.loads(outputs["7"]["text"][0]) == [[CAT, DOG]] * 3


def test_an_unreadable_text_is_an_error_with_its_remedy(server):
    entry = server.run(parsed('[{"bbox_2d": [1, 2], "label": "cat"}]'))
    error = hosting.error_of(entry)
    assert "Image 1 of 1" in error and "cannot be read" in error


@needs_core("DrawBBoxes")
def test_nothing_found_goes_on(server):
    prompt = parsed("There is no cat.") | {
        "4": node("DrawBBoxes", image=["2", 0], bboxes=["3", 0]),
        "5": node("PreviewImage", images=["4", 0]),
    }
    assert (picture(server, ran(server, prompt), "5") == 90).all()
