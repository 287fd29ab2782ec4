"""Folder runs: whole files or none, nobody's work overwritten, every picture accounted for."""

import errno
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from qwen3vl_nodes.utils import sidecar_files
from qwen3vl_nodes.utils.caption_run_files import CaptionRun
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.ledger import Ledger
from qwen3vl_nodes.utils.sidecar_files import (
    Journal,
    fingerprint,
    only_writer,
    sweep,
    write_whole,
)


def make(folder, *names):
    folder.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), n, np.uint8)).save(path)
    return folder


def run(source, target=None, recipe="r", overwrite=False, **fixes):
    return CaptionRun(source, target or source, recipe, overwrite, **fixes)


def caption_all(files, text="a caption"):
    todo = files.todo(recursive=True)
    for picture in todo:
        files.write(picture, text)
    return [files.name(p) for p in todo]


def states(files):
    return {line.name: line.state for line in files.ledger.lines}


def test_a_second_run_skips_everything(tmp_path):
    folder = make(tmp_path / "in", "a.png", "b/c.png")
    first = run(folder)
    assert caption_all(first) == ["a.png", "b/c.png"]
    assert (folder / "a.txt").read_text() == "a caption"
    assert (folder / "b" / "c.txt").exists()
    second = run(folder)
    assert caption_all(second) == []
    assert second.ledger.summary == "written 0, skipped 2, failed 0"


def test_prefix_and_suffix_go_round_the_text(tmp_path):
    folder = make(tmp_path / "in", "a.png")
    caption_all(run(folder, prefix="trigger, ", suffix="."))
    assert (folder / "a.txt").read_text() == "trigger, a caption."


def test_captions_can_go_elsewhere(tmp_path):
    folder = make(tmp_path / "in", "b/c.png")
    caption_all(run(folder, tmp_path / "out"))
    assert (tmp_path / "out" / "b" / "c.txt").exists()
    assert not (folder / "b" / "c.txt").exists()


def test_overwriting_touches_only_our_own(tmp_path):
    folder = make(tmp_path / "in", "ours.png", "edited.png", "theirs.png")
    (folder / "theirs.txt").write_text("mine")
    caption_all(run(folder))
    (folder / "edited.txt").write_text("a caption, edited")
    again = run(folder, recipe="other", overwrite=True)
    assert caption_all(again, "new") == ["ours.png"]
    assert (folder / "ours.txt").read_text() == "new"
    assert (folder / "theirs.txt").read_text() == "mine"
    assert (folder / "edited.txt").read_text() == "a caption, edited"
    assert again.ledger.summary == "written 1, skipped 2, failed 0"


def test_overwriting_does_again_only_what_would_differ(tmp_path):
    folder = make(tmp_path / "in", "a.png", "b.png")
    caption_all(run(folder))
    assert caption_all(run(folder, overwrite=True)) == []
    make(folder, "x.png", "a.png")  # a.png is another picture now
    assert caption_all(run(folder, overwrite=True)) == ["a.png", "x.png"]
    assert caption_all(run(folder, overwrite=True, suffix="!")) == ["a.png", "b.png", "x.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_a_pipe_named_like_a_picture_is_not_waited_for(tmp_path, monkeypatch):
    folder = make(tmp_path / "in", "a.png")
    caption_all(run(folder))
    (folder / "a.png").unlink()
    os.mkfifo(folder / "a.png")
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: read(p) if p.is_file() else pytest.fail("waits")
    )
    assert [p.name for p in run(folder, overwrite=True).todo(recursive=True)] == ["a.png"]


def test_pictures_that_would_share_a_caption_are_both_named(tmp_path):
    folder = make(tmp_path / "in", "a.png", "A.jpg", "b.png")
    files = run(folder)
    assert caption_all(files) == ["b.png"]
    assert states(files) == {"a.png": "failed", "A.jpg": "failed", "b.png": "written"}
    assert "Rename" in str(files.ledger)


def test_a_picture_linked_from_outside_is_refused(tmp_path):
    folder = make(tmp_path / "in", "a.png")
    secret = make(tmp_path / "secret", "s.png")
    (folder / "link.png").symlink_to(secret / "s.png")
    files = run(folder)
    assert caption_all(files) == ["a.png"]
    assert states(files)["link.png"] == "failed"


def test_a_caption_folder_that_leads_out_is_refused(tmp_path):
    folder = make(tmp_path / "in", "b/c.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "b").symlink_to(tmp_path / "elsewhere")
    files = run(folder, tmp_path / "out")
    assert caption_all(files) == []
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_caption_that_is_a_link_is_never_written_through(tmp_path):
    folder = make(tmp_path / "in", "a.png")
    precious = tmp_path / "precious.txt"
    (folder / "a.txt").symlink_to(precious)  # leads nowhere yet, so it does not "exist"
    caption_all(run(folder))
    assert not precious.exists()
    assert not (folder / "a.txt").is_symlink()


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        run(tmp_path / "in").todo(recursive=True)


def test_a_full_disk_is_a_line_and_leaves_the_old_caption(tmp_path, monkeypatch):
    folder = make(tmp_path / "in", "a.png")
    caption_all(run(folder))
    monkeypatch.setattr(sidecar_files.os, "fsync", no_space)
    files = run(folder, recipe="other", overwrite=True)
    caption_all(files, "new")
    assert states(files) == {"a.png": "failed"} and "No space" in str(files.ledger)
    assert (folder / "a.txt").read_text() == "a caption"
    assert not list(folder.glob("*tmp*"))


def no_space(_handle):
    raise OSError(28, "No space left on device")


def test_writing_is_whole_or_not_at_all_under_kill(tmp_path):
    """A process that writes for ever is killed many times: never half a caption."""
    code = f"""
import sys
sys.path.insert(0, {str(sidecar_files.__file__).rsplit("/utils/", 1)[0] + "/tests"!r})
from qwen3vl_pack import load_pack; load_pack()
from pathlib import Path
from qwen3vl_nodes.utils.sidecar_files import write_whole
print("up", flush=True)
n = 0
while True:
    n += 1
    write_whole(Path({str(tmp_path / "a.txt")!r}), str(n % 10) * 50_000)
"""
    for milliseconds in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert writer.stdout
        writer.stdout.readline()
        while not (tmp_path / "a.txt").exists():
            pass
        time.sleep(milliseconds / 1000)
        writer.kill()
        writer.communicate()
        text = (tmp_path / "a.txt").read_text()
        assert len(text) == 50_000 and len(set(text)) == 1
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_leftovers_of_killed_runs_are_swept_but_nothing_else(tmp_path):
    write_whole(tmp_path / "a.txt", "x")
    leftover = tmp_path / "b" / f"c.txt{sidecar_files._TEMP_SUFFIX}"
    leftover.parent.mkdir()
    leftover.write_text("half")
    sweep(tmp_path)
    assert not leftover.exists() and (tmp_path / "a.txt").exists()


def test_a_torn_journal_line_costs_only_its_own_entry(tmp_path):
    journal = Journal(tmp_path)
    journal.write(tmp_path / "a.txt", "one", "r1")
    journal.write(tmp_path / "b.txt", "two", "r2")
    path = tmp_path / sidecar_files.JOURNAL_NAME
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + lines[1][:20] + '\n[1]\n"x"\nnull\n{}\n')
    again = Journal(tmp_path)
    assert again.made_from(tmp_path / "a.txt") == "r1"
    assert again.made_from(tmp_path / "b.txt") is None
    assert json.loads(lines[0])["caption"] == "a.txt"


def test_a_crash_between_journal_and_caption_keeps_the_old_one_ours(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.write(tmp_path / "a.txt", "old", "r1")
    monkeypatch.setattr(sidecar_files, "write_whole", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        journal.write(tmp_path / "a.txt", "new", "r2")
    assert Journal(tmp_path).made_from(tmp_path / "a.txt") == "r1"


def test_one_writer_at_a_time(tmp_path):
    with (
        only_writer(tmp_path),
        pytest.raises(InputError, match="Another run"),
        only_writer(tmp_path),
    ):
        pass
    with only_writer(tmp_path):
        pass


def test_fingerprints_do_not_run_together():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a") == fingerprint(b"a")


def test_the_ledger_keeps_one_line_a_picture():
    ledger = Ledger()
    ledger.add("a.png", "failed", "two\nlines")
    ledger.add("b.png", "written")
    assert str(ledger).splitlines() == [
        "failed  a.png: two lines",
        "written b.png",
        "written 1, skipped 0, failed 1",
    ]


def test_a_name_in_another_encoding_is_captioned_and_stays_ours(tmp_path):
    """An archive from a Chinese Windows, unpacked on Linux, leaves names that are no UTF-8."""
    try:
        make(tmp_path, os.fsdecode(b"\xc3\xa8\xb1\xff.png"), "b\u2028.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert len(caption_all(run(tmp_path))) == 2
    again = run(tmp_path, recipe="other", overwrite=True)
    assert len(again.todo(recursive=True)) == 2


def test_a_folder_that_cannot_be_synced_has_its_caption_all_the_same(tmp_path, monkeypatch):
    """As folders of a network share: the rename has happened, so nothing has failed."""
    sync = os.fsync

    def refuse(handle):
        if stat.S_ISDIR(os.fstat(handle if isinstance(handle, int) else handle.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(sidecar_files.os, "fsync", refuse)
    files = run(make(tmp_path, "a.png"))
    caption_all(files)
    assert states(files) == {"a.png": "written"}
