"""Caption Folder with films beside pictures: on a switch, each asked as what it is."""

import json
from pathlib import Path

import pytest
from films import write_film
from folder_node import Unloadable, captioned, pictures, texts
from qwen3vl_nodes.utils.captions.place import WHOLE_NAMES
from qwen3vl_nodes.utils.errors import InputError, TooLargeError
from qwen3vl_nodes.utils.images.picture import Clip, Picture
from scripted_model import ScriptedModel


@pytest.fixture
def folder(comfy) -> Path:
    made = pictures(comfy, "a.png", "sub/b.png")
    write_film(made / "c.mp4")
    write_film(made / "sub" / "d.WEBM", codec="libvpx-vp9", container="webm")
    return made


def test_films_are_left_alone_unless_switched_on(folder):
    ledger = captioned()
    assert sorted(texts(folder)) == ["a.txt", "sub/b.txt"]
    assert "c.mp4" not in ledger


def test_films_get_captions_beside_pictures(folder):
    model = ScriptedModel(lambda number, _: f"caption {number}")
    ledger = captioned(model, films=True, instructions="This image matters.")
    assert sorted(texts(folder)) == ["a.txt", "c.txt", "sub/b.txt", "sub/d.txt"]
    assert ledger.splitlines()[-1] == "written 4, skipped 0, failed 0"
    asked = {}
    for request in model.requests:
        media, words = request.messages[-1].parts
        asked.setdefault(type(media), set()).add(words)
    assert asked == {
        Picture: {"Describe this image in one sentence. This image matters."},
        Clip: {"Describe this video in one sentence. This image matters."},
    }
    clips = [r.messages[-1].parts[0] for r in model.requests]
    assert {len(clip.times) for clip in clips if isinstance(clip, Clip)} == {12}
    assert captioned(Unloadable(), films=True).splitlines()[-1] == "written 0, skipped 4, failed 0"


def test_a_changed_film_is_captioned_again_and_a_renamed_one_keeps_its_own(folder):
    captioned("first", films=True)
    (folder / "c.mp4").rename(folder / "e.mp4")
    write_film(folder / "sub" / "d.WEBM", codec="libvpx-vp9", container="webm", count=24)
    model = ScriptedModel("second")
    captioned(model, films=True)
    assert texts(folder)["e.txt"] == "first"
    assert texts(folder)["sub/d.txt"] == "second"
    assert len(model.requests) == 1


def test_a_broken_film_is_a_line_and_a_damaged_one_is_said(folder):
    (folder / "bad.mp4").write_bytes(b"#EXTM3U\n")
    whole = write_film(folder / "cut.mkv", count=96).read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    ledger = captioned(films=True)
    assert "bad.mp4" in ledger and "is a playlist (m3u8)" in ledger
    assert "the file is cut off" in next(line for line in ledger.splitlines() if "cut" in line)
    assert ledger.splitlines()[-1] == "written 5, skipped 0, failed 1"


def test_a_picture_and_a_film_of_one_name_clash(comfy):
    folder = pictures(comfy, "a.png")
    write_film(folder / "a.mp4")
    assert "failed 2" in captioned(films=True)
    assert "written 2" in captioned(films=True, naming=WHOLE_NAMES)


def test_json_tells_what_a_film_was_asked(folder):
    captioned(films=True, format="json")
    said = json.loads((folder / "c.json").read_text())
    assert "Describe this video in one sentence." in json.dumps(said)
    assert "2 a second" in json.dumps(said)


def test_a_film_too_large_for_the_memory_is_shown_with_half_its_frames(folder):
    class Small(ScriptedModel):
        def generate(self, requests, on_progress=None):
            for number, request in enumerate(requests):
                self.requests.append(request)
                media = request.messages[-1].parts[0]
                if isinstance(media, Clip) and len(media.times) > 6:
                    yield number, TooLargeError("Too large.", "Smaller.")
                else:
                    yield from ((number, outcome) for _, outcome in super().generate([request]))

    model = Small("fits")
    assert "written 4" in captioned(model, films=True)
    shown = [r.messages[-1].parts[0] for r in model.requests]
    assert {len(c.times) for c in shown if isinstance(c, Clip)} == {12, 6}


def test_a_dry_run_reads_films_and_writes_nothing(folder):
    ledger = captioned(Unloadable(), films=True, dry_run=True)
    assert ledger.splitlines()[-1] == "would write 4, skipped 0, failed 0"
    assert not texts(folder)


def test_a_folder_of_films_alone(comfy):
    folder = comfy / "input" / "pics"
    folder.mkdir(parents=True)
    write_film(folder / "a.mp4")
    with pytest.raises(InputError, match="picture"):
        captioned()
    assert "written 1" in captioned(films=True)
