"""Edit Caption: a caption written by hand is the user's, and nothing else is touched."""

import json

import pytest
from folder_node import captioned, pictures, texts
from node_running import run_node
from qwen3vl_nodes.nodes.folders.caption_review import Qwen3VLCaptionReview
from qwen3vl_nodes.nodes.folders.edit_caption import ANY, ONLY_IF_SEEN, Qwen3VLEditCaption
from qwen3vl_nodes.utils.captions.place import BESIDE
from qwen3vl_nodes.utils.captions.policy import OVERWRITE
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.folder_lock import only_writer

EDIT = {"folder": "input/pics", "picture": "a.png", "caption": "mine", "place": BESIDE}
REVIEW = {
    "folder": "input/pics", "recursive": True, "place": BESIDE, "first": 0, "count": 24,
    "columns": 4,
}  # fmt: skip


@pytest.fixture
def pics(comfy):
    folder = pictures(comfy, "a.png", "b.png", "sub/c.png")
    captioned("a cat", recursive=True)
    return folder


def edit(**chosen):
    return run_node(Qwen3VLEditCaption, **(EDIT | chosen))[0]


def test_a_caption_by_hand_is_left_alone_by_overwrite_own(pics):
    assert edit() == "a.png: the caption was written."
    assert texts(pics) == {"a.txt": "mine", "b.txt": "a cat", "sub/c.txt": "a cat"}
    ledger = captioned("a dog", recursive=True, mode=OVERWRITE, prefix="p, ")
    assert ledger.endswith("written 2, skipped 1, failed 0")
    assert texts(pics)["a.txt"] == "mine" and texts(pics)["b.txt"] == "p, a dog"


def test_an_equal_caption_stays_the_runs_own(pics):
    before = (pics / "a.txt").stat().st_mtime_ns
    assert edit(caption="a cat") == "a.png: the caption was there already."
    assert (pics / "a.txt").stat().st_mtime_ns == before
    captioned("a dog", recursive=True, mode=OVERWRITE, prefix="p, ")
    assert texts(pics)["a.txt"] == "p, a dog"


@pytest.mark.parametrize(
    ("there", "seen", "written"),
    [("a cat", "a cat", True), ("a cat", "", False), ("other", "a cat", False), (None, "", True),
     (None, "a cat", False), ("  \n", "", True)],
)  # fmt: skip
def test_only_the_caption_that_was_seen_is_replaced(pics, there, seen, written):
    file = pics / "a.txt"
    file.unlink() if there is None else file.write_text(there)
    if written:
        edit(replace=ONLY_IF_SEEN, seen=seen)
        assert file.read_text() == "mine"
        return
    with pytest.raises(InputError, match="The caption of a.png is another one by now"):
        edit(replace=ONLY_IF_SEEN, seen=seen)
    assert (file.read_text() if file.exists() else None) == there


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"picture": "../../out.png"}, "input/pics has no picture '../../out.png'"),
        ({"picture": "/etc/passwd"}, "has no picture"),
        ({"picture": ""}, "has no picture ''"),
        ({"picture": "a.txt"}, "has no picture 'a.txt'"),
        ({"folder": "input/../.."}, "is not inside"),
        ({"caption": " \n"}, "The caption is empty"),
        ({"caption": "x" * (4 * 1024**2 + 1)}, "more than 4 MiB"),
    ],
)
def test_what_is_refused_changes_nothing(pics, chosen, problem):
    before = texts(pics)
    with pytest.raises(InputError, match=problem):
        edit(**chosen)
    assert texts(pics) == before


def test_twins_and_a_folder_in_which_a_run_goes_on_are_refused(pics):
    with only_writer(pics), pytest.raises(InputError, match="Another run is captioning"):
        edit()
    (pics / "a.jpg").write_bytes(b"twin")
    with pytest.raises(InputError, match="same name but for its ending"):
        edit()
    edit(naming="a.jpg.txt")
    assert (pics / "a.png.txt").read_text() == "mine"


def test_a_caption_in_json_says_that_it_was_made_by_hand(pics):
    edit(format="json", picture="sub/c.png")
    made = json.loads((pics / "sub" / "c.json").read_text())
    assert (made["caption"], made["source"]) == ("mine", "by hand")


def test_review_gives_what_its_box_needs_to_edit(pics):
    (pics / "b.txt").unlink()
    (pics / "d.png").write_bytes(b"no picture")
    shown = run_node(Qwen3VLCaptionReview, **REVIEW).ui
    assert shown["captions"] == [
        {"number": 0, "name": "a.png", "text": "a cat"},
        {"number": 1, "name": "b.png", "text": ""},
        {"number": 3, "name": "sub/c.png", "text": "a cat"},
    ]
    (where,) = shown["edit"]
    edit(**where, picture="sub/c.png", replace=ONLY_IF_SEEN, seen="a cat")
    edit(**where, picture="b.png", replace=ANY)
    assert texts(pics) == {"a.txt": "a cat", "b.txt": "mine", "sub/c.txt": "mine"}
