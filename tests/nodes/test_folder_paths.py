"""Thousands of hostile names through every node that takes one: nothing outside is touched."""

import contextlib
import shutil

import pytest
from canary_tree import make_canary_tree
from node_running import run_node
from path_payloads import payloads_for
from PIL import Image
from qwen3vl_nodes.loaders.host import comfyui
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from qwen3vl_nodes.nodes.folders.caption_review import Qwen3VLCaptionReview
from qwen3vl_nodes.nodes.folders.folder_images import Qwen3VLFolderImages
from qwen3vl_nodes.nodes.folders.save_captions import Qwen3VLSaveCaptions
from qwen3vl_nodes.nodes.forms.folder_widgets import BESIDE, UNDER_OUTPUT
from qwen3vl_nodes.utils.errors import InputError
from scripted_model import ScriptedModel

ASKED = {
    "recursive": True, "preset": "Short caption", "instructions": "", "system_prompt": "",
    "seed": 0, "mode": "overwrite all", "allow_overwrite_all": True, "prefix": "", "suffix": "",
}  # fmt: skip


@pytest.fixture
def tree(comfy, monkeypatch):
    """Allowed folders and secrets beside them, pictures in both."""
    folder = comfy / "canary"
    folder.mkdir()
    tree = make_canary_tree(folder)
    for place in ("input/pics", "photos/2024", "outside", "outside/private", "input2"):
        Image.new("RGB", (4, 4)).save(tree.base / place / "p.png")
    monkeypatch.setattr(comfyui, "allowed_folders", tree.allowed)
    return tree


def caption(place):
    def run(name):
        run_node(Qwen3VLCaptionFolder, model=ScriptedModel("x"), folder=name, place=place, **ASKED)

    return run


def save(folder, names):
    shared = {"mode": [ASKED["mode"]], "place": [BESIDE], "prefix": [""], "suffix": [""]}
    return run_node(
        Qwen3VLSaveCaptions, folder=[folder], names=names, captions=["x"] * len(names),
        allow_overwrite_all=[True], **shared,
    )[0]  # fmt: skip


def save_into(name):
    save(name, ["p.png"])


def images(name):
    chosen = {"recursive": True, "only_without_caption": False, "place": BESIDE}
    run_node(Qwen3VLFolderImages, folder=name, start=0, count=0, **chosen)


def review(name):
    run_node(
        Qwen3VLCaptionReview, folder=name, recursive=True, place=BESIDE, first=0, count=1, columns=1
    )


def validate(name):
    for node in (Qwen3VLCaptionFolder, Qwen3VLFolderImages, Qwen3VLCaptionReview):
        assert node.validate_inputs(folder=name) in (True,) or isinstance(
            node.validate_inputs(folder=name), str
        )


# A run of the last ones costs more, so they take every fifth name; together all of them.
@pytest.mark.parametrize(
    ("entry", "step"),
    [
        (caption(BESIDE), 1), (validate, 1), (caption(UNDER_OUTPUT), 3), (images, 3),
        (save_into, 3), (review, 5),
    ],
    ids=["caption", "validate", "caption under output", "images", "save into", "review"],
)  # fmt: skip
def test_no_name_leads_out(tree, entry, step):
    names = payloads_for(tree)[::step]
    before = tree.state()
    with tree.alarm() as touched:
        for name in names:
            with contextlib.suppress(InputError):
                entry(name)
    assert touched == []
    assert tree.state() == before
    assert len(names) > 800


def test_no_name_of_a_picture_leads_out(tree):
    """The names that Save Captions gets from other nodes; what is no picture there fails."""
    names = [name for name in payloads_for(tree) if name != "p.png"]
    before = tree.state()
    with tree.alarm() as touched:
        ledger = save("input/pics", names)
    assert touched == []
    assert tree.state() == before
    assert ledger.endswith(f"written 0, skipped 0, failed {len(names)}")
    assert not list((tree.base / "input" / "pics").rglob("p*.txt"))


def test_the_nodes_do_work_on_that_tree(tree):
    """Otherwise the test above would prove nothing."""
    caption(BESIDE)("input/pics")
    assert (tree.base / "input" / "pics" / "p.txt").read_text() == "x"
    assert save("input/pics", ["p.png"]).startswith("written p.png")
    images("photos")
    review("input/pics")
    shutil.rmtree(tree.base / "input" / "pics")
    with pytest.raises(InputError):
        images("input/pics")


def test_a_link_made_after_the_check_of_the_folder_is_seen_at_the_picture(tree):
    """A picture inside an allowed folder that is a link out is a failure, and is not opened."""
    (tree.base / "input" / "pics" / "out.png").symlink_to(tree.base / "outside" / "p.png")
    with tree.alarm() as touched:
        ledger = run_node(
            Qwen3VLCaptionFolder, model=ScriptedModel("x"), folder="input/pics", place=BESIDE,
            **ASKED,
        )[0]  # fmt: skip
    assert "failed  out.png" in ledger and "link that leads out" in ledger
    assert touched == []
