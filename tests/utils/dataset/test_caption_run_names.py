"""Folder runs over names and links that a disk can hold and a workflow could not write."""

import os
import sys

import pytest
from caption_runs import caption_all, made, make, recipe, run, states, wanted_of
from qwen3vl_nodes.utils.captions.policy import OVERWRITE


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "A.jpg"),
        ("é.png", "e\u0301.jpg"),
        ("a.png", "a.tags.png"),
        ("x/a.png", "x/a.b.png"),
    ],
    ids=["capitals", "accents", "variant", "in a folder"],
)
def test_pictures_that_would_share_a_caption_are_both_named(tmp_path, names):
    folder = make(tmp_path / "in", *names, "other.png")
    variants = [recipe(), recipe("t", "tags"), recipe("b", "b")]
    files = run(folder, recipes=variants)
    assert caption_all(files) == ["other.png", "other.png [tags]", "other.png [b]"]
    assert files.ledger.summary == "written 3, skipped 0, failed 6"
    assert "Rename" in str(files.ledger)


def test_in_one_file_for_all_pictures_with_one_stem_do_not_clash(tmp_path):
    files = run(make(tmp_path, "a.png", "a.jpg"), form="jsonl")
    assert sorted(caption_all(files)) == ["a.jpg", "a.png"]


@pytest.mark.parametrize("name", ["link.png", " link.png"])
def test_a_picture_linked_from_outside_is_refused(tmp_path, name):
    folder = make(tmp_path / "in", "a.png")
    (folder / name).symlink_to(make(tmp_path / "secret", "s.png") / "s.png")
    files = run(folder)
    assert caption_all(files) == ["a.png"]
    assert states(files)[name] == "failed" and "link that leads out" in str(files.ledger)


@pytest.mark.parametrize("form", ["txt", "json"])
def test_a_caption_folder_that_leads_out_is_refused(tmp_path, form):
    folder = make(tmp_path / "in", "b/c.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "b").symlink_to(tmp_path / "elsewhere")
    files = run(folder, tmp_path / "out", form=form)
    assert caption_all(files) == [] and states(files) == {"b/c.png": "failed"}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_caption_folder_that_becomes_a_link_is_refused_at_the_last_moment(tmp_path):
    folder = make(tmp_path / "in", "b/c.png", "b/d.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    files = run(folder, tmp_path / "out")
    done = made(files, wanted_of(files))
    (tmp_path / "out" / "b").symlink_to(tmp_path / "elsewhere")
    files.write(done)
    assert list(states(files).values()) == ["failed", "failed"]
    assert "link that leads out" in str(files.ledger) and "Make room" not in str(files.ledger)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
@pytest.mark.parametrize(
    "name",
    [
        " lead/x.png", "~old/y.png", "~z.png", "d\\e/z.png", "C:a.png", "a.txt.png", "a..png",
        "captions.jsonl.png", "x.png/a.png", "b\u2028.png", "n" * 251 + ".png",
        os.fsdecode(b"\xc3\xa8\xb1\xff.png"),  # an archive from a Chinese Windows, on Linux
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["txt", "json", "jsonl"])
def test_a_caption_goes_to_its_own_picture_whatever_the_name(tmp_path, name, form):
    if form == "json" and len(name) > 250:
        pytest.skip("a.json is longer than a.png, and this name is as long as names can be")
    folder = make(tmp_path / "in", name)
    files = run(folder, tmp_path / "out", form=form)
    assert caption_all(files, "x") and files.ledger.summary == "written 1, skipped 0, failed 0"
    assert states(run(folder, tmp_path / "out", form=form)) == {}
    assert caption_all(run(folder, tmp_path / "out", form=form)) == []
    again = run(folder, tmp_path / "out", [recipe("other")], OVERWRITE, form)
    assert len(wanted_of(again)) == 1  # known as ours
    written = {p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob(f"*.{form}")}
    place = "captions.jsonl" if form == "jsonl" else name.removesuffix(".png") + f".{form}"
    assert written - {".qwen3vl.jsonl"} == {place}
