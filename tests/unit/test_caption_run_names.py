"""Folder runs over names and folders that a disk can hold and a workflow could not write."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image
from qwen3vl_nodes.utils.caption_run_files import CaptionRun
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.ledger import Ledger
from qwen3vl_nodes.utils.sidecar_files import LOCK_NAME, only_writer


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    return folder


def captioned(source, target=None):
    """The run, after a caption was written for every picture that wants one."""
    files = CaptionRun(source, target or source, "r", overwrite=False)
    for picture in files.todo(recursive=True):
        files.write(picture, "a caption")
    return files


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
@pytest.mark.parametrize("name", [" lead/x.png", "~old/y.png", "~z.png", "d\\e/z.png", "C:a.png"])
def test_a_caption_goes_to_its_own_picture_whatever_the_name(tmp_path, name):
    make(tmp_path / "in", name)
    files = captioned(tmp_path / "in", tmp_path / "out")
    assert files.ledger.summary == "written 1, skipped 0, failed 0"
    written = [p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.txt")]
    assert written == [name.replace(".png", ".txt")]


def test_a_space_before_its_name_does_not_hide_a_link_that_leads_out(tmp_path):
    secret = make(tmp_path / "secret", "s.png") / "s.png"
    folder = make(tmp_path / "in", "a.png")
    (folder / " link.png").symlink_to(secret)
    files = captioned(folder)
    assert files.ledger.summary == "written 1, skipped 0, failed 1"
    assert "link that leads out" in str(files.ledger)


@pytest.mark.parametrize("pictures", [["a.png", "b/c.png"], ["b/c.png"]])
def test_a_folder_that_cannot_be_listed_is_a_line(tmp_path, monkeypatch, pictures):
    folder = make(tmp_path / "in", *pictures)
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files = captioned(folder)
    assert files.ledger.count("written") == len(pictures) - 1
    assert "failed  b/: Its pictures cannot be listed (Permission denied)." in str(files.ledger)


def test_a_folder_that_cannot_be_written_into_is_named_with_a_remedy(tmp_path):
    (tmp_path / "in" / LOCK_NAME).mkdir(parents=True)  # refuses root too, as no mode does
    (tmp_path / "file").touch()
    for folder in (tmp_path / "in", tmp_path / "file" / "captions"):
        with pytest.raises(InputError, match="cannot be written into") as caught:
            only_writer(folder).__enter__()
        assert str(folder) in caught.value.problem and caught.value.remedy


def test_a_name_cannot_break_the_form_of_the_ledger():
    ledger = Ledger()
    ledger.add("a\nwritten b.png", "failed", "caf\udce9.png is broken")
    ledger.add("图 片 é😀.png", "written")
    assert str(ledger).splitlines() == [
        "failed  a\\nwritten b.png: caf\\udce9.png is broken",
        "written 图 片 é😀.png",
        "written 1, skipped 0, failed 1",
    ]
