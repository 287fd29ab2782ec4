"""Camera: from text, from a file in the input folder, and nowhere else."""

import json
import os

import pytest
from node_running import run_node
from qwen3vl_nodes.nodes.detection.camera import NO_FILE, Qwen3VLCamera, camera_files
from qwen3vl_nodes.utils.detection.boxes3d import Camera
from qwen3vl_nodes.utils.errors import InputError

FLAT = {"fx": 500, "fy": 510, "cx": 320, "cy": 240}


def camera(parameters="", file=NO_FILE, picture=""):
    return run_node(Qwen3VLCamera, parameters=parameters, file=file, picture=picture)


def test_from_text():
    output = camera("500, 510, 320, 240")
    assert output[0] == Camera(500, 510, 320, 240)
    assert output[1] == "500, 510, 320, 240"


def test_from_a_file_of_several_pictures(comfy):
    (comfy / "input" / "cams.json").write_text(json.dumps({"a.jpg": FLAT, "b.jpg": {}}))
    (comfy / "input" / "picture.png").write_bytes(b"")
    assert camera_files() == [NO_FILE, "cams.json"]
    assert camera("", "cams.json", "a")[0] == Camera(500, 510, 320, 240)
    with pytest.raises(InputError, match="does not say which"):
        camera("", "cams.json", "c")


def test_a_changed_file_is_a_changed_input(comfy):
    path = comfy / "input" / "cams.json"
    path.write_text(json.dumps(FLAT))
    before = Qwen3VLCamera.fingerprint_inputs("", "cams.json", "")
    assert before == Qwen3VLCamera.fingerprint_inputs("", "cams.json", "")
    path.write_text(json.dumps(FLAT | {"fx": 501}))
    assert before != Qwen3VLCamera.fingerprint_inputs("", "cams.json", "")


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "gone.json", "sub/a.json"])
def test_other_places_are_refused(comfy, name):
    (comfy / "secret.json").write_text(json.dumps(FLAT))
    (comfy / "input" / "sub").mkdir()
    (comfy / "input" / "sub" / "a.json").write_text(json.dumps(FLAT))
    with pytest.raises(InputError, match="no camera file"):
        camera("", name)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_that_leads_out_is_refused(comfy):
    (comfy / "secret.json").write_text(json.dumps(FLAT))
    (comfy / "input" / "link.json").symlink_to(comfy / "secret.json")
    with pytest.raises(InputError, match="leads out"):
        camera("", "link.json")


def test_what_is_no_camera_is_said():
    with pytest.raises(InputError, match="cannot be read"):
        camera("wide")
