"""Folder Images, Save Captions and Caption Review on a host: what they give, refuse and write."""

import json
import math
import os

import numpy as np
import pytest
import torch
from node_running import run_node
from PIL import Image
from qwen3vl_nodes.loaders.host import comfyui
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from qwen3vl_nodes.nodes.folders.caption_review import Qwen3VLCaptionReview
from qwen3vl_nodes.nodes.folders.folder_images import Qwen3VLFolderImages
from qwen3vl_nodes.nodes.folders.save_captions import Qwen3VLSaveCaptions
from qwen3vl_nodes.nodes.forms.folder_widgets import BESIDE, UNDER_OUTPUT
from qwen3vl_nodes.utils.captions.policy import APPEND, OVERWRITE, OVERWRITE_ALL, SKIP
from qwen3vl_nodes.utils.dataset import piece
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.folder_lock import only_writer
from qwen3vl_nodes.utils.roots.safe_paths import OWNER_FILE
from scripted_model import ScriptedModel

TAKE = {
    "folder": "input/pics", "recursive": True, "only_without_caption": False, "place": BESIDE,
    "start": 0, "count": 0,
}  # fmt: skip
SAVE = {"folder": "input/pics", "mode": SKIP, "place": BESIDE, "prefix": "", "suffix": ""}
REVIEW = {
    "folder": "input/pics", "recursive": True, "place": BESIDE, "first": 0, "count": 24,
    "columns": 4,
}  # fmt: skip
NAMES = ["a1.png", "a2.png", "a10.png", "sub/c.png"]


@pytest.fixture
def pics(comfy):
    """input/pics: three pictures of one colour each, 10, 20 and 30, and one more in a folder."""
    folder = comfy / "input" / "pics"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(NAMES, 1):
        Image.new("RGB", (8 * number, 8), (10 * number, 0, 0)).save(folder / name)
    return folder


def take(**chosen):
    return run_node(Qwen3VLFolderImages, **(TAKE | chosen))


def state(**chosen):
    return Qwen3VLFolderImages.fingerprint_inputs(**(TAKE | chosen))


def save(names, captions, **chosen):
    widgets = {key: [value] for key, value in (SAVE | chosen).items()}
    return run_node(Qwen3VLSaveCaptions, names=names, captions=captions, **widgets)[0]


def texts(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.txt")}


# Folder Images


def test_all_pictures_come_in_order_with_names_and_captions(pics):
    (pics / "a2.txt").write_text("mine")
    images, names, captions, report = output = take()
    assert names == NAMES and captions == ["", "mine", "", ""]
    assert [tuple(image.shape) for image in images] == [(1, 8, 8 * n, 3) for n in (1, 2, 3, 4)]
    assert images[2].dtype == torch.float32
    assert images[2][0, 0, 0].tolist() == pytest.approx([30 / 255, 0, 0])
    assert report == "pictures 0 to 3 of 4" and output.ui["text"] == [report]


@pytest.mark.parametrize(
    ("start", "count", "names", "place"),
    [
        (0, 1, ["a1.png"], "picture 0 of 4"),
        (1, 2, ["a2.png", "a10.png"], "pictures 1 to 2 of 4"),
        (3, 5, ["sub/c.png"], "picture 3 of 4"),
        (2, 0, ["a10.png", "sub/c.png"], "pictures 2 to 3 of 4"),
    ],
)
def test_a_piece_is_start_and_count(pics, start, count, names, place):
    assert list(take(start=start, count=count)[1:4:2]) == [names, place]


def end_of(output):
    """What a piece without pictures says; nothing that is linked to its lists runs."""
    stopped = type(comfyui.nothing())  # a host that cannot stop what is behind has None
    assert [[type(one) for one in output[n]] for n in range(3)] == [[stopped]] * 3
    assert output.ui == {"text": [output[3]], "done": [True]}
    return output[3]


@pytest.mark.parametrize("start", [4, 400])
def test_a_start_beyond_the_end_is_no_fault_and_says_how_many_there_are(pics, start):
    said = end_of(take(start=start, count=1))
    assert said.startswith(
        "Nothing is left to do: input/pics has 4 pictures, 0 to 3, and start is "
    )
    assert "set start back to 0" in said


@pytest.mark.parametrize("start", [0, 1])
def test_a_folder_whose_pictures_all_have_captions_is_no_fault(pics, start):
    for name in NAMES:
        (pics / name).with_suffix(".txt").write_text("mine")
    said = end_of(take(only_without_caption=True, start=start))
    assert said.startswith(
        f"Nothing is left to do: every picture of input/pics from {start} on has a"
    )
    assert "Switch only_without_caption off" in said and "\n" not in said


def test_a_broken_picture_is_left_out_and_named(pics):
    (pics / "a2.png").write_bytes(b"no picture")
    _, names, _, report = take(count=3)
    assert names == ["a1.png", "a10.png"]
    lines = report.splitlines()
    assert lines[0] == "pictures 0 to 2 of 4" and len(lines) == 2
    assert lines[1].startswith("failed  a2.png: a2.png is no PNG")
    with pytest.raises(InputError, match=r"Of picture 1 of 4 .* none can be given. a2.png: a2.png"):
        take(start=1, count=1)


def test_captioned_pictures_are_passed_over_and_broken_ones_do_not_shorten_the_piece(pics):
    (pics / "a1.txt").write_text("mine")
    (pics / "a2.png").write_bytes(b"no picture")
    _, names, captions, report = take(only_without_caption=True, count=1)
    assert names == ["a10.png"] and captions == [""]
    lines = report.splitlines()
    assert lines[:2] == ["pictures 0 to 2 of 4", "1 passed over, which have a caption"]
    assert lines[2].startswith("failed  a2.png") and len(lines) == 3


def test_every_picture_gets_its_turn_though_captions_appear_meanwhile(pics):
    """One a prompt with an increasing start: none is jumped over, and then it ends."""
    taken = []
    for start in range(10):
        output = take(only_without_caption=True, start=start, count=1)
        if "done" in output.ui:
            break
        names = output[1]
        taken += names
        save(names, ["text"])
    assert taken == NAMES


def test_twins_can_get_no_caption_and_do_not_block_the_rest(pics):
    Image.new("RGB", (8, 8)).save(pics / "a1.bmp")
    _, names, _, report = take(only_without_caption=True, count=1)
    assert names == ["a2.png"]
    assert report.count("same name but for its ending") == 2
    assert take()[1][:2] == ["a1.bmp", "a1.png"]  # to look at they are fine


def test_too_much_for_memory_says_how_many_fit(pics, monkeypatch):
    monkeypatch.setattr(piece, "MAX_IMAGE_BYTES", 3 * 8 * (8 + 16) * 4)
    assert len(take(count=2)[0]) == 2
    with pytest.raises(InputError, match=r"Only 2 pictures fit, from 0 to 1.*start to 2"):
        take()


@pytest.mark.parametrize(
    ("kind", "file", "content", "caption"),
    [
        ("json", "a1.json", '{"caption": "一只猫"}', "一只猫"),
        ("json", "a1.json", "[1]", ""),
        ("json", "a1.json", "[" * 100_000, ""),
        ("jsonl", "captions.jsonl", '{"file_name": "a1.png", "caption": "x"}\n[broken\n', "x"),
        ("txt", "a1.txt", "x" * (4 * 1024 * 1024 + 1), ""),
    ],
    ids=["json", "no object", "deep", "jsonl", "too large"],
)
def test_captions_of_every_format_and_what_is_none(pics, kind, file, content, caption):
    (pics / file).write_text(content)
    _, names, captions, report = take(format=kind)
    assert captions == [caption, "", "", ""] and names == NAMES
    assert ("The caption of a1.png cannot be read" in report) == (caption == "")


def test_the_file_of_all_captions_that_is_a_folder_is_named(pics):
    (pics / "captions.jsonl").mkdir()
    with pytest.raises(InputError, match="captions in input/pics cannot be read"):
        take(format="jsonl")


def test_captions_are_looked_for_at_the_place(pics, comfy):
    place = comfy / "output" / "captions" / "input" / "pics"
    place.mkdir(parents=True)
    (place / "a1.txt").write_text("there")
    assert take(place=UNDER_OUTPUT)[2] == ["there", "", "", ""]
    assert take(place=UNDER_OUTPUT, only_without_caption=True)[1] == NAMES[1:]


def test_transparency_is_laid_on_the_background(pics):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(pics / "a1.png")
    values = [take(count=1, background=name)[0][0].max().item() for name in ("white", "black")]
    assert values == [1.0, 0.0]


def test_links_that_lead_out_and_links_to_folders_are_told(pics, comfy):
    (comfy / "secret").mkdir()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(comfy / "secret" / "s.png")
    (pics / "a0.png").symlink_to(comfy / "secret" / "s.png")
    (pics / "more").symlink_to(comfy / "secret")
    _, names, _, report = take()
    assert names == NAMES
    assert "failed  a0.png" in report and "is not inside" in report
    assert "more/ It is a link" in report


def test_a_folder_that_may_only_be_read_can_be_read(pics, monkeypatch):
    allowed = comfyui.allowed_folders()
    root = type(allowed.roots[0])("photos", pics, writable=False)
    more = type(allowed)((*allowed.roots, root))
    monkeypatch.setattr(comfyui, "allowed_folders", lambda: more)
    assert take(folder="photos")[1] == NAMES
    with pytest.raises(InputError, match=f"read-only.*{OWNER_FILE}"):
        save(["a1.png"], ["x"], folder="photos")
    assert save(["a1.png"], ["x"], folder="photos", place=UNDER_OUTPUT).endswith("failed 0")


def test_an_empty_folder_is_an_error_that_tells_what_could_not_be_seen(pics, comfy):
    (comfy / "input" / "empty").mkdir()
    (comfy / "input" / "empty" / "link").symlink_to(pics)
    with pytest.raises(InputError, match=r"input/empty holds no picture .*link/: It is a link"):
        take(folder="input/empty")
    with pytest.raises(InputError, match="holds no picture"):
        take(include="*.webp")


def test_the_fingerprint_changes_with_what_is_there_and_with_nothing_else(pics):
    before = state()
    assert state() == before and isinstance(before, str)
    seen = {before}
    for change in (
        lambda: (pics / "a1.txt").write_text("mine"),
        lambda: (pics / "a1.txt").write_text("ours"),
        lambda: os.utime(pics / "a2.png", (1, 1)),
        lambda: Image.new("RGB", (9, 9)).save(pics / "a3.png"),
        (pics / "a10.png").unlink,
    ):
        change()
        seen.add(state())
    assert len(seen) == 6


def test_the_fingerprint_is_of_the_piece(pics):
    first, rest = state(count=1), state(start=1)
    (pics / "a1.txt").write_text("mine")
    assert state(count=1) != first and state(start=1) == rest
    assert state(folder="input/nowhere") != state(folder="input/nowhere")  # so that it runs
    linked = {name: value for name, value in TAKE.items() if name != "place"}
    assert math.isnan(Qwen3VLFolderImages.fingerprint_inputs(**linked))


# Save Captions


def test_captions_are_written_and_ours(pics):
    ledger = save(NAMES, ["one", "two", "three", "four"])
    assert ledger.endswith("written 4, skipped 0, failed 0")
    assert texts(pics) == {
        "a1.txt": "one",
        "a2.txt": "two",
        "a10.txt": "three",
        "sub/c.txt": "four",
    }
    assert save(NAMES[:1], ["new"]).splitlines()[0] == "skipped a1.png: has a caption"
    again = save(NAMES[:2], ["one", "new"], mode=OVERWRITE)
    assert "skipped a1.png: is up to date" in again and "written a2.png" in again
    assert texts(pics)["a2.txt"] == "new"
    assert json.loads((pics / ".qwen3vl.jsonl").read_text().splitlines()[0])["caption"] == "a1.txt"


def test_what_others_wrote_stays(pics):
    (pics / "a1.txt").write_text("mine")
    save(["a2.png"], ["ours"])
    (pics / "a2.txt").write_text("ours, edited")
    ledger = save(NAMES[:2], ["x", "y"], mode=OVERWRITE)
    assert ledger.count("written or edited by others") == 2
    with pytest.raises(InputError, match="Switch allow_overwrite_all on"):
        save(NAMES[:2], ["x", "y"], mode=OVERWRITE_ALL)
    assert texts(pics) == {"a1.txt": "mine", "a2.txt": "ours, edited"}
    save(NAMES[:2], ["x", "y"], mode=OVERWRITE_ALL, allow_overwrite_all=True)
    assert texts(pics) == {"a1.txt": "x", "a2.txt": "y"}


def test_the_same_text_is_added_once(pics):
    (pics / "a1.txt").write_text("mine")
    for text in ("x", "x", "y"):
        save(["a1.png"], [text], mode=APPEND)
    assert texts(pics)["a1.txt"] == "mine x y"


def test_equal_pictures_keep_captions_of_their_own(pics):
    (pics / "a2.png").write_bytes((pics / "a1.png").read_bytes())
    save(["a1.png"], ["one"])
    save(["a2.png"], ["two"])
    assert texts(pics) == {"a1.txt": "one", "a2.txt": "two"}


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "/etc/passwd", "a1.png/../../secret.png", "", "a1.txt", "nowhere.png",
     "a1", ".hidden.png", "link/s.png", "sub", "a1.png\0", "A1.PNG", "\ud800.png", None,
     ["a1.png"]],
)  # fmt: skip
def test_only_pictures_of_the_folder_can_be_named(pics, comfy, name):
    Image.new("RGB", (8, 8)).save(comfy / "input" / "secret.png")
    (comfy / "outside").mkdir()
    Image.new("RGB", (8, 8)).save(comfy / "outside" / "s.png")
    (pics / "link").symlink_to(comfy / "outside")
    Image.new("RGB", (8, 8)).save(pics / ".hidden.png")
    before = sorted(p for p in comfy.rglob("*") if not p.name.startswith(".qwen3vl"))
    ledger = save([name], ["text"])
    assert "no picture of this name" in ledger
    assert ledger.splitlines()[-1] == "written 0, skipped 0, failed 1"
    assert sorted(p for p in comfy.rglob("*") if not p.name.startswith(".qwen3vl")) == before


def test_a_picture_that_is_a_link_out_gets_no_caption(pics, comfy):
    Image.new("RGB", (8, 8)).save(comfy / "s.png")
    (pics / "a1.png").unlink()
    (pics / "a1.png").symlink_to(comfy / "s.png")
    assert "failed  a1.png" in save(["a1.png"], ["text"])
    assert not texts(pics)


@pytest.mark.parametrize("text", ["", " \n", None, 5], ids=repr)
def test_no_text_is_no_caption(pics, text):
    ledger = save(["a1.png"], [text])
    assert "failed  a1.png: Its caption has no text" in ledger and not texts(pics)


def test_a_text_that_is_replaced_away_or_too_large_is_no_caption(pics):
    assert "no text any more" in save(["a1.png"], ["gone"], replace="gone =>")
    assert "more than 4 MiB" in save(["a1.png"], ["x" * (4 * 1024 * 1024 + 1)])
    assert not texts(pics)


def test_a_name_twice_and_twins_fail_and_the_rest_is_written(pics):
    Image.new("RGB", (8, 8)).save(pics / "a10.bmp")
    ledger = save(["a1.png", "a2.png", "a1.png", "a10.png"], ["x", "y", "z", "w"])
    assert ledger.count("failed  a1.png: It is named 2 times") == 2
    assert "failed  a10.png: Another file has the same name" in ledger
    assert ledger.endswith("written 1, skipped 0, failed 3")
    assert texts(pics) == {"a2.txt": "y"}


def test_lists_of_different_lengths_are_refused(pics):
    with pytest.raises(InputError, match="2 names for 1 captions"):
        save(NAMES[:2], ["one"])
    assert not texts(pics)


def test_wording_is_that_of_caption_folder(pics):
    (pics / "10_sks dog").mkdir()
    (pics / "a1.png").rename(pics / "10_sks dog" / "a1.png")
    save(
        ["10_sks dog/a1.png"], [" A cat. It sits on a mat. "],
        trigger_word="{class}", replace="cat => dog", max_characters=22, prefix="p ", suffix=".",
    )  # fmt: skip
    assert texts(pics) == {"10_sks dog/a1.txt": "p sks dog, A dog.."}


def test_json_tells_what_was_given(pics):
    save(["a1.png"], ["cat"], format="json", prefix="a ")
    said = json.loads((pics / "a1.json").read_text())
    assert said["caption"] == "a cat" and said["given"] == "cat" and said["source"] == "workflow"
    save(["a2.png"], ["cat"], format="jsonl")
    assert json.loads((pics / "captions.jsonl").read_text())["file_name"] == "a2.png"


def test_a_dry_run_writes_nothing(pics):
    before = sorted(pics.rglob("*"))
    ledger = save([*NAMES[:2], "x.png"], ["x", "y", "z"], dry_run=True)
    assert ledger.endswith("would write 2, skipped 0, failed 1")
    assert sorted(pics.rglob("*")) == before


def test_many_captions_are_written_in_groups_and_all_are(pics, monkeypatch):
    monkeypatch.setattr("qwen3vl_nodes.utils.dataset.saving.WRITTEN_TOGETHER", 3)
    assert save(NAMES, list("wxyz")).endswith("written 4, skipped 0, failed 0")
    assert len(texts(pics)) == 4


def test_an_interrupt_keeps_the_captions_before_it(pics, monkeypatch):
    class Interrupted(BaseException):
        pass

    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted

    monkeypatch.setattr(comfyui, "check_interrupt", stop)
    with pytest.raises(Interrupted):
        save(NAMES, list("wxyz"))
    assert set(texts(pics)) == {"a1.txt", "a2.txt"}


def test_a_folder_in_use_and_a_full_disk_are_refused(pics, monkeypatch):
    with only_writer(pics), pytest.raises(InputError, match="Another run"):
        save(NAMES[:1], ["x"])
    usage = atomic_write.shutil.disk_usage("/")._replace(free=1_500_000)
    monkeypatch.setattr(atomic_write.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(InputError, match="Make room"):
        save(NAMES[:1], ["x"])
    assert not texts(pics)


def test_a_picture_that_vanished_gets_no_caption(pics, monkeypatch):
    real = comfyui.check_interrupt

    def vanish():
        (pics / "a1.png").unlink(missing_ok=True)
        real()

    monkeypatch.setattr(comfyui, "check_interrupt", vanish)
    ledger = save(NAMES[:2], ["x", "y"])
    assert "failed  a1.png" in ledger and texts(pics) == {"a2.txt": "y"}


@pytest.mark.parametrize("folder", ["..", "/etc", "input/pics/../..", "nowhere/pics"])
def test_folders_that_are_not_allowed_are_refused_everywhere(pics, folder):
    for refused in (
        lambda: take(folder=folder),
        lambda: save(NAMES[:1], ["x"], folder=folder),
        lambda: run_node(Qwen3VLCaptionReview, **(REVIEW | {"folder": folder})),
    ):
        with pytest.raises(InputError, match=r"is not inside"):
            refused()
    said = [
        Qwen3VLFolderImages.validate_inputs(folder),
        Qwen3VLSaveCaptions.validate_inputs([folder]),
        Qwen3VLCaptionReview.validate_inputs(folder),
    ]
    assert all("is not inside" in str(text) for text in said)


def test_a_new_folder_is_allowed_and_so_is_a_linked_one(pics):
    for node in (Qwen3VLFolderImages, Qwen3VLCaptionReview):
        assert node.validate_inputs("input/pics") is True and node.validate_inputs() is True
    assert Qwen3VLSaveCaptions.validate_inputs(["input/pics"]) is True
    assert Qwen3VLSaveCaptions.validate_inputs() is True


def test_caption_folder_and_save_captions_know_each_others_captions(pics):
    inputs = {
        "folder": "input/pics", "recursive": True, "preset": "Short caption", "instructions": "",
        "system_prompt": "", "seed": 0, "mode": OVERWRITE, "place": BESIDE, "prefix": "",
        "suffix": "",
    }  # fmt: skip
    save(NAMES[:1], ["saved"])
    run_node(Qwen3VLCaptionFolder, model=ScriptedModel("asked"), **inputs)
    assert set(texts(pics).values()) == {"asked"}
    save(NAMES[:1], ["saved"], mode=OVERWRITE)
    assert texts(pics)["a1.txt"] == "saved"


# Caption Review


def review(**chosen):
    return run_node(Qwen3VLCaptionReview, **(REVIEW | chosen))


def test_the_sheet_shows_pictures_with_and_without_caption_and_broken_ones(pics):
    (pics / "a1.txt").write_text("a caption")
    (pics / "a2.png").write_bytes(b"no picture")
    from comfy_api.latest import ui

    output = review()
    sheet = output[0]
    assert sheet.dtype == torch.float32 and sheet.shape[0] == 1 and sheet.shape[3] == 3
    assert 0 <= sheet.min() < sheet.max() <= 1
    text = output.ui["text"][0].splitlines()
    assert text[0] == "pictures 0 to 3 of 4, 3 without a caption"
    assert text[1].startswith("1  a2.png: a2.png is no PNG") and len(text) == 2
    assert output.ui["report"] == ["input/pics"]
    # A host without a browser has no previews.
    assert len(output.ui.get("images", [])) == hasattr(ui, "PreviewImage")


def test_a_caption_changes_the_sheet(pics):
    before = review()[0]
    (pics / "a1.txt").write_text("a caption")
    assert not np.array_equal(before.numpy(), review()[0].numpy())


def test_a_range_of_the_sheet(pics):
    assert review(first=1, count=2).ui["text"] == ["pictures 1 to 2 of 4, 2 without a caption"]
    assert review(first=3, columns=1)[0].shape[2] < review(columns=2)[0].shape[2]
    with pytest.raises(InputError, match=r"no picture 4: input/pics has 4 \(0 to 3\)"):
        review(first=4)


def test_a_caption_that_cannot_be_read_is_said_on_the_sheet(pics):
    (pics / "a1.json").write_text("[1]")
    text = review(format="json").ui["text"][0]
    assert "0  a1.png: The caption of a1.png cannot be read" in text


def test_the_fingerprint_of_a_sheet_changes_with_its_captions(pics):
    look = Qwen3VLCaptionReview.fingerprint_inputs
    before = look(**REVIEW)
    assert look(**REVIEW) == before
    (pics / "a1.txt").write_text("x")
    assert look(**REVIEW) != before
    assert look(**(REVIEW | {"folder": "input/no"})) != look(**(REVIEW | {"folder": "input/no"}))
