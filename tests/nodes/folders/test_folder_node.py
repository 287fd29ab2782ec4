"""Caption Folder on a host: the ledger, the files, interrupts, and folders that lead out."""

import re
from dataclasses import replace

import numpy as np
import pytest
from node_running import SHORT, run_node
from PIL import Image
from qwen3vl_nodes.loaders.engine import reference
from qwen3vl_nodes.loaders.host import comfyui
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.settings import Adapter, LoadSettings
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from qwen3vl_nodes.nodes.forms.folder_widgets import BESIDE, UNDER_OUTPUT
from qwen3vl_nodes.nodes.shared.folder_running import MOST_CHARACTERS
from qwen3vl_nodes.utils.captions.policy import OVERWRITE, SKIP
from qwen3vl_nodes.utils.chat.requests import Reply
from qwen3vl_nodes.utils.dataset.run import NEWEST
from qwen3vl_nodes.utils.errors import InputError, TooLargeError
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.group_commit import GroupCommit
from scripted_model import ScriptedModel

FOLDER = {
    "folder": "input/pics", "recursive": True, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": SKIP, "place": BESIDE, "prefix": "", "suffix": "",
    "options": SHORT,
}  # fmt: skip


@pytest.fixture
def pics(comfy):
    """input/pics with three pictures, one of them in a sub-folder, and a broken one."""
    folder = comfy / "input" / "pics"
    (folder / "sub").mkdir(parents=True)
    generator = np.random.default_rng(1)
    for name, size in (("a.png", 64), ("b.jpg", 96), ("sub/c.png", 128)):
        pixels = generator.integers(0, 256, (size, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "bad.png").write_bytes(b"not a picture")
    return folder


def caption_folder(model, **inputs):
    return run_node(Qwen3VLCaptionFolder, model=model, **(FOLDER | inputs))


def texts(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.txt")}


def test_every_picture_has_a_line_and_a_second_run_skips(model, pics):
    output = caption_folder(model)
    lines = output[0].splitlines()
    assert lines[-1] == "written 3, skipped 0, failed 1"
    assert [line.replace(":", " ").split()[:2] for line in lines[:-1]] == [
        ["written", "a.png"], ["written", "b.jpg"], ["failed", "bad.png"], ["written", "sub/c.png"]
    ]  # fmt: skip
    assert "bad.png is no PNG" in output[0]
    assert output.ui["text"] == [output[0]]
    assert output.ui["report"][0] == lines[-1]
    assert output.ui["captions"] == [
        {"name": name, "text": texts(pics)[f"{name[:-4]}.txt"]}
        for name in ("a.png", "b.jpg", "sub/c.png")
    ]
    assert re.fullmatch(
        r"4 lines in \d+ s, \S+ captions and \d+ tokens a second", output.ui["report"][1]
    )
    assert set(texts(pics)) == {"a.txt", "b.txt", "sub/c.txt"}
    again = caption_folder(model)
    assert again[0].endswith("written 0, skipped 3, failed 1") and again.ui["captions"] == []


def test_the_newest_captions_are_shown_and_long_ones_cut(pics):
    for number in range(NEWEST):
        Image.new("RGB", (8, 8)).save(pics / f"n{number}.png")
    shown = caption_folder(ScriptedModel("word " * 400)).ui["captions"]
    assert len(shown) == NEWEST
    assert {len(one["text"]) for one in shown} == {MOST_CHARACTERS + 2}


def test_what_is_written_does_not_depend_on_what_was_there(model, pics):
    caption_folder(model)
    whole = texts(pics)
    (pics / "b.txt").unlink()
    caption_folder(model)
    assert texts(pics) == whole


def test_not_recursive_and_under_output(model, pics, comfy):
    ledger = caption_folder(model, recursive=False, place=UNDER_OUTPUT)[0]
    assert ledger.endswith("written 2, skipped 0, failed 1")
    assert set(texts(comfy / "output" / "captions" / "input" / "pics")) == {"a.txt", "b.txt"}
    assert not texts(pics)


def test_overwriting_writes_again_only_with_other_settings(model, pics):
    caption_folder(model)
    again = caption_folder(model, mode=OVERWRITE)[0]
    assert again.endswith("written 0, skipped 3, failed 1")
    new = caption_folder(model, mode=OVERWRITE, prefix="p, ")[0]
    assert new.endswith("written 3, skipped 0, failed 1")
    assert all(text.startswith("p, ") for text in texts(pics).values())


def test_an_interrupt_keeps_what_is_finished_and_the_next_run_goes_on(comfy, pics, monkeypatch):
    model = LocalModel(LoadSettings("Tiny", device="cpu", engine="reference"))
    caption_folder(model)
    whole = texts(pics)
    for path in pics.rglob("*.txt"):
        path.unlink()
    monkeypatch.setattr(reference, "BATCH_SIZE", 1)  # so that they finish one by one
    # and are written before the next one begins, however slow the disk is
    monkeypatch.setattr(GroupCommit, "put", lambda self, item: self._commit([item]))

    class Interrupted(BaseException):
        pass

    def stop():
        if armed and texts(pics):
            raise Interrupted

    armed = True
    monkeypatch.setattr(comfyui, "check_interrupt", stop)
    with pytest.raises(Interrupted):
        caption_folder(model)
    kept = texts(pics)
    assert 1 <= len(kept) < 3 and kept.items() <= whole.items()
    armed = False
    caption_folder(model)
    assert texts(pics) == whole


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("..", "is not inside"),
        ("/etc", "is not inside"),
        ("input/pics/../../output", "is not inside"),
        ("elsewhere/pics", "starts with one of input, output, temp"),
        ("input/nowhere", "There is no folder 'input/nowhere'"),
        ("input/empty", "input/empty holds no picture"),
        ("input/pics/a.png", "There is no folder"),
    ],
)
def test_folders_that_cannot_be_captioned_are_named(model, pics, folder, message):
    (pics.parent / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        caption_folder(model, folder=folder)


def test_nothing_to_do_loads_no_model(comfy, pics):
    (pics / "bad.png").unlink()
    for name in ("a", "b", "sub/c"):
        (pics / f"{name}.txt").write_text("mine")

    class Unloadable:
        identity = "x"
        making = ""

        def open(self):
            raise AssertionError("loaded for nothing")

    assert caption_folder(Unloadable())[0] == (
        "skipped a.png: has a caption\nskipped b.jpg: has a caption\n"
        "skipped sub/c.png: has a caption\nwritten 0, skipped 3, failed 0"
    )


@pytest.mark.parametrize(
    ("reply", "state", "detail"),
    [
        (Reply("a cat", "", "end", 3, 9, 1, 1), "written", ""),
        (Reply("a ca", "", "length", 3, 9, 1, 1), "written", "cut off at max_new_tokens"),
        (Reply("ha ha", "", "repetition", 600, 9, 1, 1), "failed", "repeats itself"),
        (Reply("", "hm", "length", 40, 9, 1, 1), "failed", "40 tokens went into thinking"),
        (Reply("", "", "end", 0, 9, 1, 1), "failed", "it is empty"),
        (Reply("", "", "stop_string", 1, 9, 1, 1), "failed", "Take that text out of stop."),
        (InputError("Too long.", "Crop it."), "failed", "Too long. Crop it."),
    ],
    ids=["good", "cut off", "endless", "only thinking", "empty", "stop text", "error"],
)
def test_only_good_answers_become_captions(pics, reply, state, detail):
    class Model(ScriptedModel):
        def generate(self, requests, on_progress=None):
            yield from ((number, reply) for number, _ in enumerate(requests))

    ledger = caption_folder(Model(""), recursive=False, include="a.png")[0].splitlines()
    assert ledger[0].startswith(f"{state:8}a.png") and detail in ledger[0] and len(ledger) == 2
    assert (pics / "a.txt").exists() == (state == "written")


def test_a_bad_answer_is_asked_for_once_more_with_another_seed(pics):
    def answer(number, request):
        bad = number == 0 or request.messages[-1].parts[0].size_wh == (64, 96)  # b.jpg's
        return "" if bad and len(model.requests) <= 3 or number == 1 else "x"

    model = ScriptedModel(answer)
    ledger = caption_folder(model)[0]
    assert texts(pics) == {"a.txt": "x", "sub/c.txt": "x"}
    assert "failed  b.jpg: The answer has no text" in ledger
    assert ledger.endswith("written 2, skipped 0, failed 2")
    first, again = model.requests[:3], model.requests[3:]
    assert [r.seed for r in again] == [r.seed + 1 for r in first[:2]]


def test_the_likeliest_answer_is_not_asked_for_twice(pics):
    model = ScriptedModel("")
    caption_folder(model, options=replace(SHORT, temperature=0.0))
    assert len(model.requests) == 3


def test_a_full_disk_is_said_before_the_model_is_loaded(pics, monkeypatch):
    usage = atomic_write.shutil.disk_usage("/")._replace(free=1_500_000)
    monkeypatch.setattr(atomic_write.shutil, "disk_usage", lambda _folder: usage)
    model = ScriptedModel("x")
    with pytest.raises(InputError, match=r"has 1\.5 MB left.*Make room"):
        caption_folder(model)
    assert model.requests == []


def test_another_adapter_is_another_recipe():
    plain = LocalModel(LoadSettings("Tiny"))
    adapted = plain.with_adapter(Adapter("style", 0.5, merged=True))
    assert plain.identity != adapted.identity
    assert plain.identity == LocalModel(LoadSettings("Tiny", dtype="bf16")).identity


def test_a_disk_that_fills_up_lets_go_of_the_model(model, pics, monkeypatch):
    from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
    from qwen3vl_nodes.utils.dataset import captioning

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(captioning, "_problem", full)
    with pytest.raises(OSError, match="no space") as caught:
        caption_folder(model)
    assert caught.value.__traceback__ is not None
    assert MODEL_CACHE.settings() == (model.settings,)
    assert not MODEL_CACHE.in_use(model.settings)


def test_a_picture_too_large_for_the_memory_is_seen_with_fewer_pixels(pics):
    """Rule 10: after the batch the pixels are halved, at most twice; the ledger says so."""

    class SmallMemory(ScriptedModel):
        def generate(self, requests, on_progress=None):
            for number, request in enumerate(requests):
                self.requests.append(request)
                width, height = request.messages[-1].parts[0].size_wh
                room = {96: 64 * 96 // 2, 128: 10}.get(height, 10**9)
                if min(width * height, request.options.max_pixels or 10**9) > room:
                    yield (
                        number,
                        TooLargeError("Out of memory for one request.", "Use smaller ones."),
                    )
                else:
                    yield number, Reply("x", "", "end", 1, 1, 1.0, 0.5)

    model = SmallMemory("")
    ledger = caption_folder(model)[0]
    assert "written b.jpg: seen with 1/2 of its pixels, for want of memory" in ledger
    assert "failed  sub/c.png: Out of memory for one request. Use smaller ones." in ledger
    assert texts(pics) == {"a.txt": "x", "b.txt": "x"}
    seen = [r.options.max_pixels for r in model.requests]
    assert seen == [None, None, None, 64 * 96 // 2, 64 * 128 // 2, 64 * 128 // 4]
    assert len({r.seed for r in model.requests}) == 3  # the seeds stay
