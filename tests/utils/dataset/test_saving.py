"""Texts that others made, saved as captions: each list is written once, whatever comes of it."""

import os
import sys

import pytest
from caption_runs import make, run, states
from qwen3vl_nodes.utils.captions.wording import Wording
from qwen3vl_nodes.utils.dataset import saving
from qwen3vl_nodes.utils.dataset.saving import Saving
from qwen3vl_nodes.utils.roots.listing import FileChoice


def save(files, names, check_interrupt=lambda: None):
    texts = [f"of {name}" for name in names]
    Saving(files, Wording(), check_interrupt).save(names, texts, FileChoice())


@pytest.mark.parametrize("count", [2, 3], ids=["a full list", "a full list and one more"])
def test_a_list_whose_writing_raises_is_not_written_again(tmp_path, monkeypatch, count):
    monkeypatch.setattr(saving, "WRITTEN_TOGETHER", 2)
    names = [f"{n}.png" for n in range(count)]
    files, lists = run(make(tmp_path, *names)), []

    def broken(records):
        lists.append([record.place.file for record in records])
        raise RuntimeError("a mistake in writing")

    monkeypatch.setattr(type(files), "write", lambda _self, records: broken(records))
    with pytest.raises(RuntimeError, match="a mistake"):
        save(files, names)
    assert lists == [["0.png", "1.png"]]


def test_what_waits_when_a_run_is_stopped_is_written_once(tmp_path):
    class Stop(BaseException):
        pass

    names = ["0.png", "1.png", "2.png"]
    files, checks = run(make(tmp_path, *names)), iter([None, None, Stop()])

    def check():
        if (stop := next(checks)) is not None:
            raise stop

    with pytest.raises(Stop):
        save(files, names, check)
    assert states(files) == {"0.png": "written", "1.png": "written"}
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["0.txt", "1.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
def test_a_name_that_is_no_utf_8_has_its_caption(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    files = run(make(tmp_path, name))
    save(files, [name, "x\ud800.png"])
    assert (tmp_path / os.fsdecode(b"caf\xe9.txt")).read_text("utf-8") == "of caf?.png"
    ledger = str(files.ledger)
    assert ledger.encode() and "written caf\\udce9.png" in ledger and "failed  x\\ud800" in ledger
