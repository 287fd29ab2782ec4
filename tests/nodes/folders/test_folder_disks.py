"""Caption Folder on a disk that fails at any moment, and stopped at any moment."""

import json
import os
import random
from hashlib import sha256
from itertools import count, cycle
from pathlib import Path

import pytest
from faulty_disk import FAULTS, FaultyDisk, breaking
from node_running import run_node
from PIL import Image
from qwen3vl_nodes.loaders.host import comfyui
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from qwen3vl_nodes.utils.captions.policy import APPEND, OVERWRITE, SKIP
from qwen3vl_nodes.utils.errors import InputError
from scripted_model import ScriptedModel

FOLDER = {
    "folder": "input/pics", "recursive": True, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "mode": SKIP, "place": "beside the picture", "prefix": "", "suffix": "",
}  # fmt: skip
USERS = "a person's"


def answer(_number, request):
    """A caption that only the pixels and the seed decide."""
    pixels = request.messages[-1].parts[0].pixels
    return sha256(pixels.tobytes() + str(request.seed).encode()).hexdigest()


def paint(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(path)


def run(seed=0, **widgets):
    """(ledger, how often the model was asked); an error that comes first is a ledger of one."""
    model = ScriptedModel(answer)
    try:
        return run_node(Qwen3VLCaptionFolder, model=model, **FOLDER | {"seed": seed} | widgets)[0]
    except InputError as error:
        assert not model.requests and error.remedy
        return ""


def captions(folder, kind):
    """By the picture's name without its ending; of two lines the later counts."""
    if kind == "jsonl":
        lines = (folder / "captions.jsonl").read_text().splitlines(keepends=True)
        said = [json.loads(line) for line in lines if line.endswith("\n")]
        return {one["file_name"].removesuffix(".png"): one["caption"] for one in said}
    found = {}
    for path in folder.rglob(f"*.{kind}"):
        if not path.name.startswith("."):
            name = path.relative_to(folder).as_posix().removesuffix(f".{kind}")
            text = path.read_text()
            found[name] = json.loads(text)["caption"] if kind == "json" else text
    return found


def begun(comfy, kind, mode, name):
    """A folder of three pictures with a person's caption; where ours are to go, with ours."""
    folder = comfy / "input" / name
    for number, picture in enumerate(("p0", "p1", "sub/p2")):
        paint(folder / f"{picture}.png", number)
    said = json.dumps({"file_name": "p0.png", "caption": USERS}) + "\n"
    file = "captions.jsonl" if kind == "jsonl" else f"p0.{kind}"
    (folder / file).write_text(USERS if kind == "txt" else said)
    if mode == OVERWRITE:
        run(seed=1, folder=f"input/{name}", format=kind)
    return folder


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are told by /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "plan"),
    [("txt", SKIP, "for good"), ("json", OVERWRITE, "in half"), ("jsonl", OVERWRITE, "thrice"),
     ("txt", APPEND, "thrice")],
)  # fmt: skip
def test_whatever_the_disk_refuses_no_caption_is_damaged(comfy, monkeypatch, kind, mode, plan):
    """Each change of the folder fails in turn, until a run passes untouched."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # counted and refused, never waited for
    right = old = None
    for call, error in zip(count(), cycle(FAULTS.values()), strict=False):
        widgets = {"folder": f"input/n{call}", "format": kind, "mode": mode}
        folder = begun(comfy, kind, mode, f"n{call}")
        old = old or captions(folder, kind)
        with breaking(FaultyDisk(folder, call, error, plan)) as disk:
            ledger = run(**widgets)
        there = captions(folder, kind)
        right = right or there  # call 0: nothing failed
        assert old.keys() <= there.keys()
        assert all(text in (right[name], old.get(name)) for name, text in there.items())
        states = [line.split()[0] for line in ledger.splitlines()[:-1]]
        assert not ledger or len(states) == 3
        if call and not disk.refused:
            assert call > 20
            return
        last = run(**widgets)
        assert "failed 0" in last and captions(folder, kind) == right
        assert not list(folder.rglob("*.qwen3vl-tmp"))
        if mode != APPEND:  # every caption that a run wrote is known as its own
            assert run(seed=2, **widgets | {"mode": OVERWRITE}).endswith(
                "written 2, skipped 1, failed 0"
            )


@pytest.mark.parametrize(("kind", "mode"), [("txt", SKIP), ("jsonl", OVERWRITE)])
def test_stops_while_the_folder_changes_leave_the_captions_of_one_run(
    comfy, monkeypatch, kind, mode
):
    """Of the pictures that are there; orphaned captions may be a person's, and stay."""

    class Stop(BaseException):
        pass

    rng, numbers = random.Random(kind), count()
    folder, checks = comfy / "input" / "pics", [0]
    for name in range(40):
        paint(folder / f"{'sub/' * (name % 3 == 0)}p{name}.png", next(numbers))

    def check():
        checks[0] -= 1
        if checks[0] == 0:
            raise Stop

    monkeypatch.setattr(comfyui, "check_interrupt", check)
    for _ in range(5):
        pictures = sorted(folder.rglob("*.png"))
        checks[0] = rng.randrange(2, len(pictures) + 6)
        with pytest.raises(Stop):
            run(format=kind, mode=mode)
        gone, other, moved, *changed = rng.sample(pictures, 8)
        gone.unlink()
        other.rename(gone)  # beside the orphaned caption of the one that is gone
        moved.rename(moved.with_name(f"new{next(numbers)}.png"))
        for path in (*changed, *(folder / f"added{n}.png" for n in (1, 2))):
            paint(path, next(numbers))
    pictures = sorted(folder.rglob("*.png"))
    last = run(format=kind, mode=mode)
    assert "failed 0" in last and len(last.splitlines()) == len(pictures) + 1
    for path in pictures:
        alone = comfy / "input" / "alone" / path.relative_to(folder)
        alone.parent.mkdir(parents=True, exist_ok=True)
        alone.write_bytes(path.read_bytes())
    run(folder="input/alone", format=kind, mode=mode)
    right, found = captions(comfy / "input" / "alone", kind), captions(folder, kind)
    assert {name: found.get(name) for name in right} == right
