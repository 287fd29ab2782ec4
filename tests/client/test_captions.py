"""Captions that come home: in every form, whole, and never over somebody else's."""

import errno
import json
import os
import time
from pathlib import Path

import pytest
from caption_client import captions, json_lines
from caption_client.captions import OwnCaptions, part_path, put_in_place, sweep
from caption_client.json_lines import place_of
from qwen3vl_utils.captions.place import Place

ALL = ("--mode", "overwrite all", "--allow-overwrite-all")
TWO = ("--more-presets", "Tags")


def lines_in(folder):
    return (folder / "captions.jsonl").read_text("utf-8").splitlines()


def line(name, caption, variant=""):
    return json.dumps({"file_name": name, "variant": variant, "caption": caption})


def leftovers(folder):
    return [path for path in folder.rglob(".*") if path.suffix == ".part"]


@pytest.mark.parametrize("form", ["txt", "json"])
def test_a_file_for_every_preset(call, folder, form):
    code, out, _ = call("--folder", folder, "--recursive", "--format", form, *TWO)
    assert code == 0
    assert out.splitlines()[:2] == ["written a.png", "written a.png [tags]"]
    assert out.endswith("written 6, skipped 0, failed 0\n")
    found = {p.relative_to(folder).as_posix() for p in folder.rglob(f"*.{form}")}
    stems = ("a", "b 图", "sub/c")
    assert found == {f"{stem}{kind}.{form}" for stem in stems for kind in ("", ".tags")}
    if form == "json":
        assert json.loads((folder / "a.json").read_text())["caption"] == "caption of a"


def test_only_the_missing_one_of_several_is_written(call, folder):
    (folder / "a.tags.txt").write_text("mine")
    code, out, _ = call("--folder", folder, "--include", "a*", *TWO)
    assert (code, out.splitlines()) == (
        0, ["written a.png", "skipped a.png [tags]: has a caption",
            "written 1, skipped 1, failed 0"],
    )  # fmt: skip
    assert (folder / "a.tags.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("form", "file", "content"),
    [("txt", "a.txt", "mine"), ("json", "a.json", "{}"), ("jsonl", "captions.jsonl", None)],
)
def test_overwriting_own_leaves_what_people_wrote(call, folder, form, file, content):
    content = line("a.png", "mine") + "\n" if content is None else content
    (folder / file).write_text(content)
    code, out, _ = call("--folder", folder, "--overwrite", "--format", form)
    assert code == 0
    assert "skipped a.png: its caption was written or edited by others" in out
    assert (folder / file).read_text("utf-8").startswith(content)


@pytest.mark.parametrize(("form", "file"), [("txt", "a.txt"), ("jsonl", "captions.jsonl")])
def test_overwriting_own_replaces_what_nobody_edited(call, folder, comfyui, form, file):
    call("--folder", folder, "--format", form)
    comfyui.captions = {
        name: text.replace("caption of", "better") for name, text in comfyui.captions.items()
    }
    code, out, _ = call("--folder", folder, "--overwrite", "--format", form)
    assert (code, out.splitlines()[-1]) == (0, "written 2, skipped 0, failed 0")
    text = (folder / file).read_text("utf-8")
    assert "better a" in text
    assert "caption of a" not in text
    (folder / file).write_text(text.replace("better a", "edited"), "utf-8")
    code, out, _ = call("--folder", folder, "--overwrite", "--format", form)
    assert out.splitlines()[-1] == "written 1, skipped 1, failed 0"
    assert "edited" in (folder / file).read_text("utf-8")


@pytest.mark.parametrize(
    ("form", "file", "mine"),
    [("txt", "a.txt", "mine"), ("jsonl", "captions.jsonl", line("a.png", "mine") + "\n")],
)
def test_overwriting_all_replaces_everything(call, folder, form, file, mine):
    (folder / file).write_text(mine)
    assert call("--folder", folder, "--format", form, *ALL)[0] == 0
    assert "mine" not in (folder / file).read_text("utf-8")


def test_lines_are_added_and_none_is_lost(call, folder):
    """Those of others, broken ones, and one without a line break at the end."""
    mine = [
        line("gone.png", "x"),
        "{",
        "",
        '{"file_name": "a.png", "text": "other keys"}',
        "[" * 9999,
    ]
    (folder / "captions.jsonl").write_text("\n".join(mine))
    code, out, _ = call("--folder", folder, "--recursive", "--format", "jsonl", *TWO)
    assert (code, out.splitlines()[-1]) == (0, "written 6, skipped 0, failed 0")
    found = lines_in(folder)
    assert found[: len(mine)] == mine
    slots = [(said["file_name"], said["variant"]) for said in map(json.loads, found[len(mine) :])]
    assert sorted(slots) == sorted(
        (name, kind) for name in ("a.png", "b 图.JPG", "sub/c.webp") for kind in ("", "tags")
    )
    before = (folder / "captions.jsonl").read_bytes()
    code, out, _ = call("--folder", folder, "--recursive", "--format", "jsonl", *TWO)
    assert out.splitlines()[-1] == "written 0, skipped 6, failed 0"
    assert (folder / "captions.jsonl").read_bytes() == before


def test_a_line_that_the_server_lacks_is_a_failure(call, folder, comfyui, monkeypatch):
    write = comfyui._caption

    def write_one(place, name, *rest):
        return write(place, name, *rest) if name == "a.png" else ("written", "")

    monkeypatch.setattr(comfyui, "_caption", write_one)
    code, out, _ = call("--folder", folder, "--format", "jsonl")
    assert (code, "failed  b 图.JPG: its caption could not be fetched" in out) == (1, True)
    assert len(lines_in(folder)) == 1


def test_of_two_lines_for_one_place_the_later_counts(call, folder, comfyui):
    """And lines for pictures that were not sent are not taken in."""

    def double():
        for name in comfyui.captions:
            strange = line("../x.png", "x") + "\n"
            comfyui.captions[name] += line("a.png", "later") + "\n" + strange

    comfyui.on_caption = double
    assert call("--folder", folder, "--format", "jsonl")[0] == 0
    assert [json.loads(text)["caption"] for text in lines_in(folder)] == [
        "later",
        "caption of b 图",
    ]


@pytest.mark.parametrize(
    ("form", "file", "mine"),
    [
        ("txt", "a.txt", "mine"),
        ("json", "a.json", "mine"),
        ("jsonl", "captions.jsonl", line("a.png", "mine") + "\n"),
    ],
)
def test_a_caption_that_appears_meanwhile_stays(call, folder, comfyui, form, file, mine):
    comfyui.on_caption = lambda: (folder / file).write_text(mine)
    code, out, _ = call("--folder", folder, "--format", form)
    assert (code, out.splitlines()[0]) == (0, "skipped a.png: a caption was written here meanwhile")
    assert (folder / file).read_text("utf-8").startswith(mine)


def test_a_caption_that_appears_at_the_very_last_moment_stays(call, folder, monkeypatch):
    """Between the look and the writing: only the writing itself can tell."""
    own_add = OwnCaptions.add

    def add(self, name, content):
        own_add(self, name, content)
        (folder / name).write_text("mine")

    monkeypatch.setattr(OwnCaptions, "add", add)
    monkeypatch.setattr(captions.os.path, "lexists", lambda _: False)
    code, out, _ = call("--folder", folder)
    assert (code, (folder / "a.txt").read_text()) == (0, "mine")
    assert out.endswith("written 0, skipped 2, failed 0\n")


@pytest.mark.parametrize(("form", "limit"), [("txt", "MAX_CAPTION_BYTES"), ("jsonl", "MAX_BYTES")])
def test_a_caption_too_large_is_a_failure(call, folder, monkeypatch, form, limit):
    monkeypatch.setattr(json_lines if form == "jsonl" else captions, limit, 10)
    code, out, _ = call("--folder", folder, "--format", form)
    assert (code, out.count("has more than 10 bytes")) == (1, 2)
    assert leftovers(folder) == []
    assert not list(folder.glob("*.txt")) and not (folder / "captions.jsonl").exists()


@pytest.mark.parametrize("form", ["txt", "jsonl"])
def test_a_full_disk_is_said_and_leaves_no_half_caption(call, folder, monkeypatch, form):
    mine = line("x.png", "mine")
    (folder / "captions.jsonl").write_text(mine)
    monkeypatch.setattr(captions.os, "fsync", _no_space)
    code, out, _ = call("--folder", folder, "--format", form)
    assert (code, out.count("No space left on device")) == (1, 2)
    assert leftovers(folder) == []
    assert list(folder.glob("*.txt")) == []
    assert (folder / "captions.jsonl").read_text() == mine


def test_after_a_full_disk_the_captions_are_not_made_again(call, folder, comfyui, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(captions, "put_in_place", _no_space)
        assert call("--folder", folder)[0] == 1
    comfyui.calls.clear()
    code, out, _ = call("--folder", folder)
    assert (code, comfyui.calls["caption"]) == (0, 0)
    assert out.endswith("written 2, skipped 0, failed 0\n")


def _no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_written_into(call, folder, comfyui, monkeypatch):
    def refuse(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(OwnCaptions, "add", refuse)
    code, out, _ = call("--folder", folder)
    assert (code, out.count("could not be written here: Permission denied")) == (1, 2)


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for number, there in enumerate([False, True]):
        with part_path(tmp_path) as part:
            part.write_text(str(number))
            assert put_in_place(part, tmp_path / "a.txt", replace=False) is not there
    assert (tmp_path / "a.txt").read_text() == "0"
    assert leftovers(tmp_path) == []


def test_what_a_killed_run_left_is_swept_and_what_is_being_written_stays(call, folder):
    old, new = (folder / f".caption_folder-{name}.part" for name in ("old", "new"))
    other = folder / "other.part"
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, time.time() - 2 * captions._STALE_SECONDS))
    call("--folder", folder)
    assert [path.exists() for path in (old, new, other)] == [False, True, True]
    sweep(Path("no such folder"))


def test_marks_survive_a_line_that_was_cut_off(tmp_path):
    own = OwnCaptions(tmp_path)
    own.add("a.txt", b"a")
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b'\n["b.txt", "12')
    own = OwnCaptions(tmp_path)
    own.add("c.txt", b"c")
    own.add("c.txt", b"c")
    own = OwnCaptions(tmp_path)
    marks = [own.has(name, name[:1].encode()) for name in ("a.txt", "b.txt", "c.txt")]
    assert marks == [True, False, True]
    assert len(file.read_text().split()) == 2 + 2 + 2
    assert not own.has("a.txt", b"edited")


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        (b'{"file_name": "a.png", "caption": "x"}', Place("a.png")),
        (b'{"file_name": "a.png", "variant": null, "caption": ""}', Place("a.png")),
        (b'{"file_name": "a.png", "variant": "tags", "caption": "x"}', Place("a.png", "tags")),
        (b'{"file_name": "a.png", "text": "x"}', None),
        (b'{"file_name": 5, "caption": "x"}', None),
        (b"[]", None), (b"", None), (b"\xff\xfe", None), (b"[" * 100_000, None),
    ],
)  # fmt: skip
def test_the_place_that_a_line_is_for(text, slot):
    assert place_of(text) == slot
