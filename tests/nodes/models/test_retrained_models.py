"""Captions of a model whose files have changed under its name are made again; old ones are not."""

import json
import shutil

import pytest
from folder_node import Unloadable, captioned, pictures, texts
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.utils.captions.journal import JOURNAL_NAME
from qwen3vl_nodes.utils.captions.policy import APPEND, OVERWRITE, SKIP
from scripted_model import ScriptedModel


def model_of(making, answer="a cat"):
    """The model "scripted" with files of its own."""
    model = ScriptedModel(answer)
    model.making = making
    return model


def unloadable(making):
    model = Unloadable()
    model.making = making
    return model


def lines(folder):
    return [json.loads(line) for line in (folder / JOURNAL_NAME).read_text().splitlines()]


def test_another_making_is_written_again(comfy):
    folder = pictures(comfy, "a.png", "b.png")
    captioned(model_of("11", "first"))
    assert {line["making"] for line in lines(folder)} == {"11"}
    assert captioned(unloadable("11"), mode=OVERWRITE).count("is up to date") == 2
    assert captioned(unloadable("22"), mode=SKIP).count("has a caption") == 2
    assert captioned(model_of("22", "second"), mode=OVERWRITE).endswith(
        "written 2, skipped 0, failed 0"
    )
    assert set(texts(folder).values()) == {"second"}
    assert captioned(unloadable("22"), mode=OVERWRITE).count("is up to date") == 2


def test_what_a_person_edited_stays(comfy):
    folder = pictures(comfy, "a.png")
    captioned(model_of("11"))
    (folder / "a.txt").write_text("mine")
    assert "written or edited by others" in captioned(unloadable("22"), mode=OVERWRITE)


def test_lines_of_older_releases_are_judged_as_before(comfy):
    """They do not say what made them: nobody's folder is captioned anew for that."""
    folder = pictures(comfy, "a.png")
    captioned(model_of(""))
    assert "making" not in lines(folder)[0]
    for making in ("11", "22", ""):
        assert "is up to date" in captioned(unloadable(making), mode=OVERWRITE)
    captioned(model_of("11"), mode=OVERWRITE, seed=5)  # another recipe: a new line, which says it
    assert lines(folder)[-1]["making"] == "11"
    assert "is up to date" in captioned(unloadable(""), mode=OVERWRITE, seed=5)
    assert "written 1" in captioned(model_of("22"), mode=OVERWRITE, seed=5)


def test_a_copied_picture_gets_no_caption_of_other_files(comfy):
    folder = pictures(comfy, "a.png")
    captioned(model_of("11", "first"))
    shutil.copyfile(folder / "a.png", folder / "b.png")
    assert "as a.txt was" in captioned(unloadable("11"), mode=SKIP)
    shutil.copyfile(folder / "a.png", folder / "c.png")
    captioned(model_of("22", "second"), mode=SKIP)
    assert texts(folder) == {"a.txt": "first", "b.txt": "first", "c.txt": "second"}


def test_adding_to_a_caption_of_other_files(comfy):
    """As with any other recipe: it is added to."""
    folder = pictures(comfy, "a.png")
    captioned(model_of("11", "first"))
    captioned(model_of("22", "second"), mode=APPEND, prefix=", ")
    assert texts(folder) == {"a.txt": "first, second"}


@pytest.mark.parametrize("value", [7, ["x"], "x" * 10_000, None])
def test_a_strange_making_in_a_journal_harms_nobody(comfy, value):
    folder = pictures(comfy, "a.png")
    captioned(model_of("11"))
    (line,) = lines(folder)
    (folder / JOURNAL_NAME).write_text(json.dumps(line | {"making": value}) + "\n")
    assert "written 1" in captioned(model_of("11"), mode=OVERWRITE)


def test_a_local_model_says_what_its_files_are(comfy):
    """Of the same name and settings, when a file of it is saved anew."""
    model = LocalModel(LoadSettings("Tiny"))
    assert len(model.making) == 32 and model.making == LocalModel(LoadSettings("Tiny")).making
    assert LocalModel(LoadSettings("Tiny", dtype="bf16")).making != model.making
    assert LocalModel(LoadSettings("not here")).making == ""
