"""Caption Folder's further widgets: formats, kinds, wording, choice, places and switches."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from caption_runs import tree
from folder_node import Unloadable, captioned, pictures, texts
from PIL import Image
from qwen3vl_nodes.loaders.host import comfyui_folders
from qwen3vl_nodes.loaders.host.owner_settings import owner_settings
from qwen3vl_nodes.nodes.forms.folder_widgets import UNDER_OUTPUT
from qwen3vl_nodes.utils.captions.ledger import LEDGER_NAME
from qwen3vl_nodes.utils.captions.policy import (
    APPEND,
    MODES,
    OVERWRITE,
    OVERWRITE_ALL,
    PREPEND,
)
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.atomic_write import TEMP_SUFFIX
from scripted_model import ScriptedModel


@pytest.mark.parametrize(
    ("kind", "name"), [("txt", "a.txt"), ("json", "a.json"), ("jsonl", "captions.jsonl")]
)
def test_each_format_has_the_caption_and_is_known_again(comfy, kind, name):
    folder = pictures(comfy, "a.png")
    assert captioned(format=kind) == "written a.png\nwritten 1, skipped 0, failed 0"
    text = (folder / name).read_text()
    said = json.loads(text) if kind != "txt" else {"caption": text, "file_name": "a.png"}
    assert (said["caption"], said["file_name"]) == ("a cat", "a.png")
    if kind != "txt":
        assert said["model"] == "scripted" and said["preset"] == "Short caption"
        assert isinstance(said["seed"], int) and said["stopped_by"] == "end"
    assert "skipped a.png: has a caption" in captioned(Unloadable(), format=kind)
    assert captioned(format=kind, mode=OVERWRITE, seed=1).endswith("written 1, skipped 0, failed 0")


def test_more_presets_make_more_captions(comfy):
    folder = pictures(comfy, "a.png", "s/b.png")
    model = ScriptedModel(lambda n, _: f"answer {n}")
    ledger = captioned(model, more_presets="Tags\n\n Alt text \n")
    assert ledger.endswith("written 6, skipped 0, failed 0")
    assert "written a.png [tags]" in ledger and "written s/b.png [alt_text]" in ledger
    assert set(texts(folder)) == {
        "a.txt", "a.tags.txt", "a.alt_text.txt", "s/b.txt", "s/b.tags.txt", "s/b.alt_text.txt",
    }  # fmt: skip
    assert len({model.prompt_of(n) for n in range(3)}) == 3
    assert captioned(Unloadable(), more_presets="Alt text\nTags").endswith("skipped 6, failed 0")


@pytest.mark.parametrize("more", ["Tags\nTags", "Short caption", "No such preset"])
def test_presets_that_cannot_be_are_named_before_anything_happens(comfy, more):
    folder = pictures(comfy, "a.png")
    with pytest.raises((InputError, ValueError)):
        captioned(Unloadable(), more_presets=more)
    assert list(folder.iterdir()) == [folder / "a.png"]


@pytest.mark.parametrize(
    ("widgets", "caption"),
    [
        ({"trigger_word": "sks"}, "sks, A cat. It sits."),
        ({"trigger_word": "cat"}, "A cat. It sits."),
        ({"trigger_word": "{class}"}, "sks dog, A cat. It sits."),
        ({"replace": "cat => dog\nIt sits. =>"}, "A dog. "),
        ({"max_characters": 8}, "A cat."),
        ({"max_characters": 15, "trigger_word": "{class}"}, "sks dog, A cat."),
        ({"prefix": "p ", "trigger_word": "t", "suffix": " s"}, "p t, A cat. It sits. s"),
    ],
)
@pytest.mark.parametrize("above", [True, False])
def test_the_words_of_a_caption(comfy, widgets, caption, above):
    """A class is a folder's below the one that is captioned, or that one's own."""
    folder = pictures(comfy, "10_sks dog/a.png")
    name = "input/pics" if above else "input/pics/10_sks dog"
    captioned("A cat. It sits.", folder=name, **widgets)
    assert texts(folder) == {"10_sks dog/a.txt": caption}


def test_an_answer_of_which_nothing_is_left_is_a_failure(comfy):
    folder = pictures(comfy, "a.png")
    assert "failed  a.png: Nothing is left of the answer" in captioned(replace="a cat =>")
    assert not texts(folder)


def test_a_line_of_replace_that_says_nothing_is_named(comfy):
    pictures(comfy, "a.png")
    with pytest.raises(InputError, match="Line 1 of replace"):
        captioned(Unloadable(), replace="cat")


def test_include_and_exclude(comfy):
    folder = pictures(comfy, "a.jpg", "b.png", "s/c.jpg", "s/d.png")
    captioned(include="*.jpg, s/*", exclude="s/d*")
    assert set(texts(folder)) == {"a.txt", "s/c.txt"}
    with pytest.raises(InputError, match="look at include and exclude"):
        captioned(include="*.webp")


@pytest.mark.parametrize(("background", "grey"), [("white", 255), ("gray", 128), ("black", 0)])
def test_a_transparent_picture_lies_on_the_background(comfy, background, grey):
    folder = pictures(comfy)
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(folder / "a.png")
    model = ScriptedModel("x")
    captioned(model, background=background)
    pixels = model.requests[0].messages[-1].parts[0].pixels
    assert abs(int(pixels[0, 0, 0]) - grey) <= 1 and np.ptp(pixels) == 0
    other = captioned(mode=OVERWRITE, background="white")
    assert ("written 1" in other) == (background != "white")  # it is a part of the recipe


@pytest.mark.parametrize("kind", ["txt", "json", "jsonl"])
@pytest.mark.parametrize("mode", MODES)
def test_a_dry_run_writes_nothing_and_loads_nothing(comfy, kind, mode):
    if kind != "txt" and mode in (APPEND, PREPEND):
        kind = "txt"
    folder = pictures(comfy, "a.png", "b.png", "c.png", "d.png")
    captioned(include="b.png, c.png", format=kind)
    (folder / "c.txt").write_text("mine")
    (folder / "d.png").write_bytes(b"broken")
    os.utime(folder / "b.png", (1, 1))
    before = tree(comfy)
    ledger = captioned(Unloadable(), format=kind, mode=mode, dry_run=True, allow_overwrite_all=True)
    assert "pending a.png" in ledger and "failed  d.png: d.png is no PNG" in ledger
    counts = re.fullmatch(r"would write (\d), skipped (\d), failed 1", ledger.splitlines()[-1])
    assert counts and int(counts[1]) + int(counts[2]) == 3
    assert tree(comfy) == before
    captioned(Unloadable(), place=UNDER_OUTPUT, dry_run=True)
    assert tree(comfy) == before


def test_overwrite_all_needs_its_switch(comfy):
    folder = pictures(comfy, "a.png")
    (folder / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="Switch allow_overwrite_all on"):
        captioned(Unloadable(), mode=OVERWRITE_ALL)
    assert texts(folder) == {"a.txt": "mine"}
    captioned(mode=OVERWRITE_ALL, allow_overwrite_all=True)
    assert texts(folder) == {"a.txt": "a cat"}
    with pytest.raises(AssertionError, match="for nothing"):
        captioned(Unloadable(), mode=OVERWRITE_ALL, allow_overwrite_all=True, seed=1)
    captioned(Unloadable(), mode=OVERWRITE_ALL, allow_overwrite_all=True)


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize("mode", [APPEND, PREPEND])
def test_nothing_is_added_to_a_caption_in_json(comfy, kind, mode):
    pictures(comfy, "a.png")
    with pytest.raises(InputError, match=f"added to a caption in {kind}"):
        captioned(Unloadable(), format=kind, mode=mode)


def test_words_are_added_once(comfy):
    folder = pictures(comfy, "a.png", "b.png")
    (folder / "a.txt").write_text("mine\n")
    for _ in range(2):
        captioned(mode=APPEND, prefix=", ")
    assert texts(folder) == {"a.txt": "mine, a cat", "b.txt": ", a cat"}
    assert "others" in captioned("new", mode=OVERWRITE, include="a*")
    captioned("so", mode=PREPEND, suffix=": ", include="a*")
    assert texts(folder)["a.txt"] == "so: mine, a cat"


def test_a_read_only_folder_is_captioned_in_the_output_folder(comfy, monkeypatch):
    photos = comfy / "photos"
    pictures(comfy, "a.png").rename(photos)
    owner = comfy / "qwen3vl.toml"
    owner.write_text(f'[folders.photos]\npath = "{photos.as_posix()}"\n')
    monkeypatch.setattr(comfyui_folders, "owner_settings", lambda: owner_settings(owner))
    before = tree(photos)
    with pytest.raises(InputError, match="read-only.*Choose the output folder"):
        captioned(Unloadable(), folder="photos")
    ledger = captioned(folder="photos", place=UNDER_OUTPUT)
    assert ledger.endswith("written 1, skipped 0, failed 0") and tree(photos) == before
    assert texts(comfy / "output") == {"captions/photos/a.txt": "a cat"}


def test_a_renamed_or_copied_picture_asks_nothing_and_loads_no_model(comfy):
    folder = pictures(comfy, "a.png", "b.png")
    captioned(ScriptedModel(lambda n, _: f"answer {n}"))
    (folder / "a.png").rename(folder / "z.png")
    (folder / "b.png").rename(folder / "c.png")
    (folder / "b.txt").rename(folder / "c.txt")
    ledger = captioned(Unloadable())
    assert "written z.png: as a.txt was, of the same picture" in ledger
    assert texts(folder) == {"a.txt": "answer 0", "c.txt": "answer 1", "z.txt": "answer 0"}


def test_the_whole_ledger_is_a_file(comfy):
    folder = pictures(comfy, "b.png", "a.png")
    ledger = captioned()
    lines = (folder / LEDGER_NAME).read_text().splitlines()
    assert sorted(lines[:-1]) == sorted(ledger.splitlines()[:-1])
    assert lines[-1] == "written 2, skipped 0, failed 0"


@pytest.mark.parametrize(
    "name", [".qwen3vl.lock", ".qwen3vl.jsonl", ".qwen3vl-ledger.log", "captions.jsonl"]
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_nothing_of_ours_is_opened_through_a_link(comfy, name, dry_run):
    folder = pictures(comfy, "a.png")
    (comfy / "precious").write_text("precious")
    (folder / name).symlink_to(comfy / "precious")
    with pytest.raises(InputError, match="is a link, a folder or a pipe"):
        captioned(Unloadable(), format="jsonl", dry_run=dry_run)
    assert (comfy / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "may_read"), [(".qwen3vl.jsonl", 0), (".qwen3vl.jsonl", 1), (LEDGER_NAME, 0)]
)
def test_a_file_of_ours_that_cannot_be_opened_is_named(comfy, monkeypatch, name, may_read):
    folder = pictures(comfy, "a.png")
    (folder / name).write_text("x")
    really_open = os.open

    def locked(path, flags, *args, **kwargs):
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if Path(path).name == name and (writes or not may_read):
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", locked)
    with pytest.raises(InputError, match=r"cannot be written into .*Permission denied"):
        captioned(Unloadable())


def test_what_a_killed_run_left_half_written_is_swept(comfy):
    folder = pictures(comfy, "s/a.png")
    (folder / "s" / f".0123.txt{TEMP_SUFFIX}").write_text("half")
    captioned()
    assert not list(folder.rglob(f"*{TEMP_SUFFIX}"))
