"""Folder runs: nobody's work overwritten, every picture accounted for, in any mode."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from caption_runs import allowed, caption_all, made, make, recipe, run, states, tree, wanted_of
from hypothesis import given, settings
from hypothesis import strategies as st
from qwen3vl_nodes.utils.captions.journal import JOURNAL_NAME
from qwen3vl_nodes.utils.captions.policy import APPEND, MODES, OVERWRITE, OVERWRITE_ALL, SKIP
from qwen3vl_nodes.utils.captions.recipe import Recipe
from qwen3vl_nodes.utils.captions.wording import Wording
from qwen3vl_nodes.utils.dataset import run as caption_run_files
from qwen3vl_nodes.utils.dataset.run import HOPELESS
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.fingerprint import digest_of


def test_a_second_run_skips_everything(tmp_path):
    folder = make(tmp_path / "in", "a.png", "b/c.png")
    assert caption_all(run(folder)) == ["a.png", "b/c.png"]
    assert (folder / "a.txt").read_text() == "a caption"
    second = run(folder)
    assert caption_all(second) == []
    assert second.ledger.summary == "written 0, skipped 2, failed 0"


def test_captions_can_go_elsewhere(tmp_path):
    folder = make(tmp_path / "in", "b/c.png")
    caption_all(run(folder, tmp_path / "out"))
    assert (tmp_path / "out" / "b" / "c.txt").exists()
    assert not (folder / "b" / "c.txt").exists()


def test_each_further_kind_has_a_caption_of_its_own(tmp_path):
    folder = make(tmp_path, "a.png")
    both = [recipe(), recipe("t", "tags")]
    files = run(folder, recipes=both)
    caption_all(files)
    assert (folder / "a.tags.txt").exists() and (folder / "a.txt").exists()
    assert states(files) == {"a.png": "written", "a.png [tags]": "written"}
    (folder / "a.tags.txt").unlink()
    assert caption_all(run(folder, recipes=both)) == ["a.png [tags]"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_a_pipe_is_waited_for_neither_as_a_picture_nor_as_a_caption(tmp_path):
    folder = make(tmp_path / "in", "a.png", "b.png")
    caption_all(run(folder))
    (folder / "a.png").unlink()
    (folder / "b.txt").unlink()
    os.mkfifo(folder / "a.png")
    os.mkfifo(folder / "b.txt")
    wanted = wanted_of(run(folder, mode=OVERWRITE_ALL))
    assert [record.place.file for record in wanted] == ["a.png", "b.png"]


def test_copied_renamed_and_moved_pictures_have_the_caption_that_is_known(tmp_path):
    folder = make(tmp_path, "a.png", "sub/b.png")
    caption_all(run(folder), lambda name: f"of {name}")
    shutil.copy(folder / "a.png", folder / "copy.png")
    (folder / "sub" / "b.png").rename(folder / "moved.png")
    asked = []
    files = run(folder)
    assert caption_all(files, asked.append) == ["copy.png", "moved.png"]
    assert (folder / "copy.txt").read_text() == "of a.png"
    assert (folder / "moved.txt").read_text() == "of sub/b.png"
    assert "as a.txt was, of the same picture" in str(files.ledger)


def test_pictures_of_equal_size_and_time_that_swap_their_names_swap_their_captions(tmp_path):
    """As those out of one archive: neither size nor time tells that another file has the name."""
    folder = make(tmp_path / "in", "a.png", "b.png")
    for name in ("a.png", "b.png"):
        os.utime(folder / name, ns=(0, 1_700_000_000_000_000_000))
        with (folder / name).open("ab") as file:
            file.truncate(500)
        os.utime(folder / name, ns=(0, 1_700_000_000_000_000_000))
    texts = {(folder / name).read_bytes(): f"of {name}" for name in ("a.png", "b.png")}

    def text(name):
        return texts[(folder / name).read_bytes()]

    caption_all(run(folder), text)
    (folder / "a.png").rename(folder / "x")
    (folder / "b.png").rename(folder / "a.png")
    (folder / "x").rename(folder / "b.png")
    caption_all(run(folder), text)
    assert (folder / "a.txt").read_text() == "of b.png"
    assert (folder / "b.txt").read_text() == "of a.png"


def test_a_known_caption_that_was_edited_or_is_of_another_class_is_not_taken(tmp_path):
    kohya = [recipe(trigger_word="{class}")]
    folder = make(tmp_path, "10_cat/a.png", "10_dog/b.png")
    caption_all(run(folder, recipes=kohya), "first")
    (folder / "10_dog" / "b.txt").write_text("edited")
    shutil.copy(folder / "10_cat" / "a.png", folder / "10_dog" / "c.png")
    shutil.copy(folder / "10_cat" / "a.png", folder / "10_cat" / "d.png")
    shutil.copy(folder / "10_dog" / "b.png", folder / "10_dog" / "e.png")
    caption_all(run(folder, recipes=kohya), "asked")
    texts = {p.name: p.read_text() for p in folder.rglob("*.txt")}
    assert texts == {
        "a.txt": "first", "b.txt": "edited", "c.txt": "asked", "d.txt": "first", "e.txt": "asked",
    }  # fmt: skip


def test_after_many_failed_writes_in_a_row_a_run_is_hopeless(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    folder = make(tmp_path, *(f"{n}.png" for n in range(HOPELESS)))
    files = run(folder)
    done = made(files, wanted_of(files))
    with monkeypatch.context() as patch:
        patch.setattr(atomic_write.os, "fsync", full)
        files.write(done[:-1])
        assert not files.hopeless
        files.write(done[-1:])
    assert files.hopeless and files.ledger.count("failed") == HOPELESS
    assert [p.name for p in folder.iterdir() if "qwen3vl-tmp" in p.name] == []


def test_a_folder_that_may_not_be_written_to_is_no_reason_to_give_up(tmp_path, monkeypatch):
    def refuse(_handle):
        raise PermissionError(13, "Permission denied")

    files = run(make(tmp_path, *(f"{n}.png" for n in range(2 * HOPELESS))))
    done = made(files, wanted_of(files))
    with monkeypatch.context() as patch:
        patch.setattr(atomic_write.os, "fsync", refuse)
        files.write(done)
    assert files.ledger.count("failed") == 2 * HOPELESS and not files.hopeless


def test_a_write_in_between_is_hope(tmp_path, monkeypatch):
    files = run(make(tmp_path, *(f"{n:02}.png" for n in range(HOPELESS + 1))))
    done = made(files, wanted_of(files))
    with monkeypatch.context() as patch:
        patch.setattr(files.store, "write", lambda writes: [OSError("no")] * len(writes))
        files.write(done[:-2])
    files.write(done[-2:-1])
    monkeypatch.setattr(files.store, "write", lambda writes: [OSError("no")] * len(writes))
    files.write(done[-1:])
    assert not files.hopeless and files.ledger.count("failed") == HOPELESS


def test_a_dry_run_writes_nothing_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(caption_run_files, "_NOTES_TOGETHER", 1)
    folder = make(tmp_path, "a.png", "b.png", "c.png", "d.png")
    (folder / "b.txt").write_text("mine")
    caption_all(run(folder))
    (folder / "a.txt").unlink()
    os.utime(folder / "d.png")  # newer, and the same
    (folder / "captions.jsonl").write_text('{"file_name": "a.pn')
    before = tree(tmp_path)
    for mode in MODES:
        for form in ("txt", "json", "jsonl"):
            files = run(folder, recipes=[recipe("new")], mode=mode, form=form, dry_run=True)
            for record in wanted_of(files):
                files.would_write(record)
            assert files.ledger.total == 4
    files = run(folder, dry_run=True)
    made(files, wanted_of(files))
    assert tree(tmp_path) == before


def test_recipes_do_not_run_together():
    assert digest_of("ab", "c") != digest_of("a", "bc") and digest_of("a") == digest_of(b"a")
    ids = {recipe().id, recipe("q").id, recipe(variant="v").id, recipe(prefix="p").id}
    assert len(ids) == 4
    assert Recipe("", Wording(), {"a": 1, "b": 2}).id == Recipe("", Wording(), {"b": 2, "a": 1}).id


def test_a_picture_that_cannot_be_looked_at_is_a_line_with_a_remedy(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png")
    caption_all(run(folder))
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to("a.png")  # in a circle
    files = run(folder)
    assert wanted_of(files) == [] and states(files) == {"a.png": "failed"}
    assert "cannot be looked at (Too many levels" in str(files.ledger)


def test_a_check_of_the_root_stands_before_every_picture(tmp_path):
    files = run(make(tmp_path / "root" / "pics", "a.png"))
    files.source = allowed(tmp_path / "root" / "pics", tmp_path / "root")
    assert stat.S_ISREG(files.file("a.png").path().stat().st_mode)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_picture_and_kind_is_counted_once(data):
    """Random folders, modes, formats and failures: the ledger always adds up."""
    names = data.draw(
        st.lists(st.sampled_from(["a.png", "b.png", "B.jpg", "s/a.png", "s/a.t.png", "c.png"]),
                 unique=True, min_size=1)
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = make(Path(place) / "in", *names)
        journal = folder / JOURNAL_NAME
        for _ in range(data.draw(st.integers(1, 3))):
            for name in data.draw(st.lists(st.sampled_from(names), max_size=2)):
                path = (folder / name).with_suffix(data.draw(st.sampled_from([".txt", ".json"])))
                path.write_bytes(data.draw(st.sampled_from([b"mine", b"\xff\xfe", b"", b"[[["])))
            kinds = [recipe(data.draw(st.sampled_from("pq"))), recipe("t", "t")]
            kinds = kinds[: data.draw(st.integers(1, 2))]
            mode = data.draw(st.sampled_from(MODES))
            form = "txt" if mode not in (SKIP, OVERWRITE) else data.draw(
                st.sampled_from(["txt", "json", "jsonl"])
            )  # fmt: skip
            files = run(folder, recipes=kinds, mode=mode, form=form)
            done = made(files, wanted_of(files))
            if data.draw(st.booleans()):
                (folder / names[0]).with_suffix(".txt").write_text("meanwhile")
            if data.draw(st.booleans()):
                journal.unlink(missing_ok=True)
                journal.mkdir()
            files.write(done)
            files.end() if not journal.is_dir() else journal.rmdir()
            assert files.ledger.total == len(names) * len(kinds)


def test_appending_is_refused_before_a_model_is_asked_where_words_would_be_lost(tmp_path):
    folder = make(tmp_path / "in", "a.png", "b.png", "c.png", "d.png")
    (folder / "a.txt").write_bytes("grün".encode("cp1252"))
    (folder / "b.txt").write_bytes("mine".encode("utf-16"))
    (folder / "c.txt").write_text("x" * 5_000_000)
    (folder / "d.txt").symlink_to(make(tmp_path / "secret", "s.png") / "s.png")
    before = tree(tmp_path)
    files = run(folder, mode=APPEND)
    assert wanted_of(files) == [] and files.ledger.count("failed") == 4
    assert "Save it as UTF-8" in str(files.ledger)
    assert tree(tmp_path) == before
