"""Where captions stand: .txt, .json and captions.jsonl, ours among other people's."""

import errno
import json
import os
import stat

import pytest
from caption_runs import caption_all, made, make, recipe, run, states, wanted_of
from qwen3vl_nodes.utils.captions.json_lines import JSON_LINES_NAME
from qwen3vl_nodes.utils.captions.policy import OVERWRITE, OVERWRITE_ALL
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import atomic_write

Q = recipe("q")


def lines_of(folder):
    return (folder / JSON_LINES_NAME).read_text().splitlines()


def test_a_json_tells_how_the_caption_was_made(tmp_path):
    folder = make(tmp_path, "s/a.png")
    caption_all(run(folder, form="json"), "a “cat”\nof mine")
    said = json.loads((folder / "s" / "a.json").read_text("utf-8"))
    assert list(said)[:2] == ["caption", "file_name"]
    assert said["caption"] == "a “cat”\nof mine" and said["file_name"] == "s/a.png"
    assert said["prompt"] == "p" and said["time"].endswith("Z")


def test_a_jsonl_has_a_line_for_each_caption(tmp_path):
    folder = make(tmp_path, "a.png", "s/b.png")
    caption_all(run(folder, recipes=[recipe(), recipe("t", "tags")], form="jsonl"), "x\ny")
    said = [json.loads(line) for line in lines_of(folder)]
    assert [(one["file_name"], one["variant"], one["caption"]) for one in said] == [
        ("a.png", "", "x\ny"), ("a.png", "tags", "x\ny"),
        ("s/b.png", "", "x\ny"), ("s/b.png", "tags", "x\ny"),
    ]  # fmt: skip


def test_nothing_to_write_makes_no_file(tmp_path):
    folder = make(tmp_path, "a.png")
    run(folder, form="jsonl").write([])
    assert [path.name for path in folder.iterdir()] == ["a.png"]


def test_a_line_is_replaced_and_the_old_one_goes(tmp_path):
    folder = make(tmp_path, "a.png", "b.png")
    caption_all(run(folder, form="jsonl"), "old")
    caption_all(run(folder, recipes=[Q], mode=OVERWRITE, form="jsonl"), "new")
    assert [json.loads(line)["caption"] for line in lines_of(folder)] == ["new", "new"]


def test_a_killed_runs_replaced_lines_go_at_the_next_start(tmp_path):
    folder = make(tmp_path, "a.png")
    caption_all(run(folder, form="jsonl"), "old")
    killed = run(folder, recipes=[Q], mode=OVERWRITE, form="jsonl")
    killed.write(made(killed, wanted_of(killed), "new"))
    assert len(lines_of(folder)) == 2
    run(folder, form="jsonl")
    assert [json.loads(line)["caption"] for line in lines_of(folder)] == ["new"]


THEIRS = [
    '{"file_name": "a.png", "caption": "one of two"}',
    "# a remark",
    '{"file_name": "a.png", "caption": "two of two"}\r',
    "",
    "[" * 100_000,
    '{"file_name": "a.png", "text": "no caption of this kind"}',
    '{"file_name": 7, "caption": "x"}',
]


@pytest.mark.parametrize(
    "end",
    [
        "\n",
        "",
        "\n# my notes",
        '\n{"file_name": "a.png", "text": "last"}',
        '\n{"file_name": "x", "c": "a"b"}',
    ],
)  # fmt: skip
def test_somebody_elses_lines_stay_as_they_are(tmp_path, end):
    folder = make(tmp_path, "a.png", "b.png")
    theirs = ("\ufeff" + "\n".join(THEIRS) + end).encode()
    (folder / JSON_LINES_NAME).write_bytes(theirs)
    for kind, mode in ((recipe(), OVERWRITE), (Q, OVERWRITE)):
        files = run(folder, recipes=[kind], mode=mode, form="jsonl")
        assert caption_all(files) == ["b.png"]
        assert states(files)["a.png"] == "skipped"
    kept = (folder / JSON_LINES_NAME).read_bytes()
    assert kept.startswith(theirs.rstrip(b"\n") + b"\n") and len(kept.splitlines()) < 11
    assert [b"b.png" in line for line in kept.splitlines()].count(True) == 1


def test_overwrite_all_replaces_the_line_that_counts_and_no_other(tmp_path):
    folder = make(tmp_path, "a.png")
    (folder / JSON_LINES_NAME).write_text("\n".join(THEIRS[:3]))
    assert caption_all(run(folder, mode=OVERWRITE_ALL, form="jsonl"), "new") == ["a.png"]
    assert lines_of(folder)[:2] == THEIRS[:2] and '"new"' in lines_of(folder)[2]
    assert len(lines_of(folder)) == 3


@pytest.mark.parametrize("kept", [1, 12, 20, 40])
def test_a_line_of_ours_that_was_cut_off_is_made_again(tmp_path, kept):
    folder = make(tmp_path, "a.png", "b.png")
    caption_all(run(folder, form="jsonl"))
    first, second = lines_of(folder)
    (folder / JSON_LINES_NAME).write_text(first + "\n" + second[:kept])
    assert caption_all(run(folder, form="jsonl")) == ["b.png"]
    assert len(lines_of(folder)) == 2


def test_a_line_added_by_an_editor_during_a_run_keeps_its_own_line(tmp_path):
    folder = make(tmp_path, "a.png")
    files = run(folder, form="jsonl")
    done = made(files, wanted_of(files))
    (folder / JSON_LINES_NAME).write_text('{"file_name": "z.png", "caption": "mine"}')
    files.write(done)
    files.end()
    assert [json.loads(line)["file_name"] for line in lines_of(folder)] == ["z.png", "a.png"]


def test_lines_that_move_during_a_run_are_left_alone(tmp_path):
    folder = make(tmp_path, "a.png", "b.png")
    caption_all(run(folder, form="jsonl"), "old")
    files = run(folder, recipes=[Q], mode=OVERWRITE, form="jsonl")
    done = made(files, wanted_of(files), "new")
    first, second = lines_of(folder)
    (folder / JSON_LINES_NAME).write_text(f"# moved\n{first}\n{second}\n")
    files.write(done)
    files.end()
    assert files.ledger.summary == "written 0, skipped 2, failed 0"
    assert lines_of(folder) == ["# moved", first, second]


def test_a_caption_that_is_a_link_is_neither_read_nor_written_through(tmp_path, monkeypatch):
    folder = make(tmp_path / "in", "a.png", "b.png")
    secret = tmp_path / "secret.txt"
    (folder / "a.txt").symlink_to(secret)  # leads nowhere yet, so it does not "exist"
    caption_all(run(folder))
    assert not secret.exists() and not (folder / "a.txt").is_symlink()
    secret.write_text("secret")
    (folder / "b.txt").unlink()
    (folder / "b.txt").symlink_to(secret)
    store = run(folder).store
    assert store.content("b.txt") == b"\0" and store.exists("b.txt")
    with pytest.raises(InputError, match="UTF-8"):
        store.text(b"\0")


def test_a_full_disk_is_a_line_and_leaves_the_old_caption(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png")
    caption_all(run(folder))
    files = run(folder, recipes=[Q], mode=OVERWRITE)
    done = made(files, wanted_of(files), "new")
    sync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 1:  # the journal's line still has room
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr(atomic_write.os, "fsync", full)
    files.write(done)
    assert states(files) == {"a.png": "failed"} and "No space" in str(files.ledger)
    assert (folder / "a.txt").read_text() == "a caption"
    assert not list(folder.glob(".*tmp*"))


def test_a_full_disk_takes_all_lines_of_a_jsonl_or_none(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png", "b.png")
    caption_all(run(folder, form="jsonl"))
    before = lines_of(folder)
    files = run(folder, recipes=[Q], mode=OVERWRITE, form="jsonl")
    monkeypatch.setattr(files.journal, "add", lambda _: None)
    monkeypatch.setattr(atomic_write.os, "fsync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.write(made(files, wanted_of(files), "new"))
    assert lines_of(folder) == before


def test_a_file_where_a_folder_is_wanted_is_a_failure_and_no_caption(tmp_path):
    folder = make(tmp_path / "in", "b/c.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b").write_text("in the way")
    files = run(folder, tmp_path / "out")
    caption_all(files)
    assert states(files) == {"b/c.png": "failed"} and "Not a directory" in str(files.ledger)


def test_a_folder_that_cannot_be_synced_has_its_caption_all_the_same(tmp_path, monkeypatch):
    """As folders of a network share: the rename has happened, so nothing has failed."""
    sync = os.fsync

    def refuse(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(atomic_write.os, "fsync", refuse)
    files = run(make(tmp_path, "a.png"))
    caption_all(files)
    assert states(files) == {"a.png": "written"}


@pytest.mark.parametrize("form", ["txt", "json", "jsonl"])
def test_half_a_character_in_a_caption_harms_nothing(tmp_path, form):
    folder = make(tmp_path, "a.png")
    assert caption_all(run(folder, form=form), "cat \ud83d") == ["a.png"]
    assert wanted_of(run(folder, form=form)) == []
