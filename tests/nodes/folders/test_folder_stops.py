"""Caption Folder stopped: by interrupts at every step, by a disk, by a mistake in writing."""

import os
import threading
import time
from contextlib import contextmanager

import pytest
from folder_node import Unloadable, captioned, pictures, texts
from qwen3vl_nodes.loaders.host import comfyui
from qwen3vl_nodes.utils.captions.policy import OVERWRITE
from qwen3vl_nodes.utils.captions.sidecars import TextFiles
from qwen3vl_nodes.utils.dataset import picture_kinds
from qwen3vl_nodes.utils.dataset.run import HOPELESS, CaptionRun
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.folder_lock import only_writer
from qwen3vl_nodes.utils.files.group_commit import GroupCommit
from qwen3vl_nodes.utils.files.read_ahead import READ_AHEAD
from scripted_model import ScriptedModel

NAMES = [f"{n:02}.png" for n in range(6)]


class Interrupted(BaseException):
    """As ComfyUI's own, which may be no Exception."""


class Watched(ScriptedModel):
    """Knows whether it is open; can stop before it answers request `stop_at`."""

    def __init__(self, stop_at=-1):
        super().__init__(lambda n, _: f"answer {n}")
        self.stop_at, self.is_open = stop_at, False

    @contextmanager
    def open(self):
        self.is_open = True
        try:
            yield self
        finally:
            self.is_open = False

    def generate(self, requests, on_progress=None):
        for one in super().generate(requests, on_progress):
            if one[0] == self.stop_at:
                raise Interrupted
            yield one


def stop_at_call(monkeypatch, number):
    """ComfyUI's interrupt at its n-th question for it."""
    calls = iter(range(1, 1000))

    def check():
        if next(calls) == number:
            raise Interrupted

    monkeypatch.setattr(comfyui, "check_interrupt", check)


@pytest.mark.parametrize("call", [1, 3, len(NAMES) + 1, len(NAMES) + 4], ids=str)
@pytest.mark.parametrize("dry_run", [True, False])
def test_an_interrupt_while_deciding_or_reading(comfy, monkeypatch, call, dry_run):
    folder = pictures(comfy, *NAMES)
    model = Watched()
    with monkeypatch.context() as patch:
        stop_at_call(patch, call)
        with pytest.raises(Interrupted):
            captioned(model, dry_run=dry_run)
    assert not model.is_open and len(texts(folder)) == len(model.requests)
    with only_writer(folder):  # its lock was given back
        pass
    assert captioned().endswith("failed 0") and len(texts(folder)) == len(NAMES)


@pytest.mark.parametrize("stop_at", [0, 1, 5])
def test_an_interrupt_while_asking_keeps_what_is_finished(comfy, stop_at):
    folder = pictures(comfy, *NAMES)
    model = Watched(stop_at)
    with pytest.raises(Interrupted):
        captioned(model)
    assert not model.is_open
    assert texts(folder) == {f"{n:02}.txt": f"answer {n}" for n in range(stop_at)}
    with only_writer(folder):
        pass
    ledger = captioned("later")
    assert ledger.endswith(f"written {6 - stop_at}, skipped {stop_at}, failed 0")


@pytest.mark.parametrize("stop_at", [0, 4])
def test_an_interrupt_says_how_many_captions_were_written(comfy, monkeypatch, stop_at):
    pictures(comfy, *NAMES)
    (comfy / "input" / "pics" / "00.png").write_bytes(b"no picture")
    said = []

    class Bar:
        def show(self, *_args, **_facts):
            pass

        def tell(self, **facts):
            said.append(facts)

    monkeypatch.setattr(comfyui, "interrupts", lambda: Interrupted)
    monkeypatch.setattr(comfyui, "progress_bar", lambda *_: Bar())
    with pytest.raises(Interrupted):
        captioned(Watched(stop_at))
    assert said[-1] == {"written": stop_at, "failed": 1}


def test_an_interrupt_while_captions_are_being_written_waits_for_them(comfy, monkeypatch):
    folder = pictures(comfy, *NAMES)
    model, write = Watched(stop_at=5), TextFiles.write

    def slowly(self, writes):
        time.sleep(0.05)
        return write(self, writes)

    monkeypatch.setattr(TextFiles, "write", slowly)
    with pytest.raises(Interrupted):
        captioned(model)
    assert len(texts(folder)) == 5 and not model.is_open
    lines = (folder / ".qwen3vl-ledger.log").read_text().splitlines()
    assert lines == [f"written {n:02}.png" for n in range(5)]


def test_an_interrupt_does_not_wait_for_a_picture_that_is_being_read(comfy, monkeypatch):
    pictures(comfy, *NAMES)
    read, go = picture_kinds.read_file, threading.Event()

    def hang(path, background):
        if path.name != NAMES[0]:
            go.wait(10)
        return read(path, background)

    monkeypatch.setattr(picture_kinds, "read_file", hang)
    monkeypatch.setattr(
        picture_kinds.PictureKind, "request", lambda *_: (_ for _ in ()).throw(Interrupted)
    )
    started = time.monotonic()
    with pytest.raises(Interrupted):
        captioned(Watched())
    assert time.monotonic() - started < 5
    go.set()


def broken(*_):
    raise RuntimeError("a mistake in writing")


def test_a_mistake_in_writing_is_raised_and_everything_let_go(comfy, monkeypatch):
    folder = pictures(comfy, *NAMES)
    model = Watched()
    monkeypatch.setattr(CaptionRun, "write", broken)
    with pytest.raises(RuntimeError, match="a mistake"):
        captioned(model)
    assert not model.is_open and not texts(folder)
    with only_writer(folder):
        pass
    assert not [t for t in threading.enumerate() if t.name == "qwen3vl-commit"]


def test_an_interrupt_is_not_hidden_by_a_mistake_in_writing(comfy, monkeypatch):
    pictures(comfy, *NAMES)
    held = threading.Event()
    monkeypatch.setattr(CaptionRun, "write", lambda *_: held.wait(0.05) or broken())
    with pytest.raises(Interrupted):
        captioned(Watched(stop_at=1))


def test_a_disk_that_takes_nothing_more_is_not_asked_for(comfy, monkeypatch):
    """After 20 failed writes in a row the rest fails without being read or asked about."""
    folder = pictures(comfy, *(f"{n:03}.png" for n in range(100)))
    reads, read = [], picture_kinds.read_file
    model = ScriptedModel("x")

    def full(_handle):
        raise OSError(28, "No space left on device")

    def counted(*args):
        reads.append(args)
        return read(*args)

    monkeypatch.setattr(picture_kinds, "read_file", counted)
    write = CaptionRun.write

    def on_full_disk(self, captions):
        with monkeypatch.context() as patch:
            patch.setattr(atomic_write.os, "fsync", full)
            write(self, captions)

    monkeypatch.setattr(CaptionRun, "write", on_full_disk)
    monkeypatch.setattr(GroupCommit, "put", lambda self, item: self._commit([item]))
    ledger = captioned(model)
    assert ledger.endswith("written 0, skipped 0, failed 100") and not texts(folder)
    assert len(model.requests) == HOPELESS and len(reads) <= HOPELESS + READ_AHEAD + 1
    assert ledger.count("It was not asked about") == 100 - len(model.requests)
    assert "No space left on device" in ledger and "Make room" in ledger


def test_a_disk_that_is_full_at_the_end_costs_no_caption(comfy, monkeypatch):
    """Replaced lines of captions.jsonl stay until the next run; the captions are written."""
    folder = pictures(comfy, *NAMES)
    captioned("old", format="jsonl")

    def full(self):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(CaptionRun, "end", full)
        ledger = captioned("new", format="jsonl", mode=OVERWRITE, seed=1)
    assert ledger.endswith("written 6, skipped 0, failed 0")
    assert len((folder / "captions.jsonl").read_text().splitlines()) == 12
    captioned(Unloadable(), format="jsonl")
    lines = (folder / "captions.jsonl").read_text().splitlines()
    assert len(lines) == 6 and all('"new"' in line for line in lines)


def test_copied_pictures_are_looked_at_once_more_and_then_known(comfy, monkeypatch):
    folder = pictures(comfy, *NAMES)
    captioned()
    for name in NAMES:
        os.utime(folder / name, (1, 1))
    assert captioned(Unloadable()).count("is up to date") == 6
    monkeypatch.setattr(picture_kinds, "read_file", lambda *_: pytest.fail("read again"))
    assert captioned(Unloadable()).count("has a caption") == 6
