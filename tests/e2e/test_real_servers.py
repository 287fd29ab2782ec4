"""The nodes on real servers with the demo checkpoint, through the queue of a real ComfyUI.

Greedy answers are those of the local engine. A server that is not set up here is skipped by name;
`real_servers.py` says where it is looked for.
"""

import json
import os
import re
import threading
import time
from pathlib import Path

import hosting
import pytest
from PIL import Image
from real_servers import COMMANDS, RealServer

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
PICTURES = ("four_things", "three_things", "wide")
# More pictures make the folder runs longer, and say no more.
FOLDER_PICTURES = int(os.environ.get("QWEN3VL_SERVER_PICTURES", "12"))
SHAPES = "circle, square, triangle, star, heart, diamond, cross"
LOCAL = {
    "class_type": "Qwen3VLLoader",
    "inputs": {
        "model": "Qwen3-VL-Demo", "dtype": "fp32", "attention": "auto", "quantization": "none",
        "device": "cpu", "engine": "auto",
    },
}  # fmt: skip
# An answer on one server differs from the local one where the numbers behind two words are all
# but equal: llama.cpp computes with 16-bit weights.
OFF_BY = 2


@pytest.fixture(scope="module", params=COMMANDS)
def real(request, tmp_path_factory):
    """One real server, ready to answer."""
    server = RealServer(request.param, tmp_path_factory.mktemp("real"))
    if not server.command:
        pytest.skip(f"{request.param} is not set up here")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def comfy(real, tmp_path_factory):
    """ComfyUI with the server in the owner's file, and the pictures in its input folder."""
    folder = tmp_path_factory.mktemp("comfy")
    many = folder / "input" / "many"
    many.mkdir(parents=True)
    picture = Image.new("RGB", (64, 64))
    for name in PICTURES:
        source = next((hosting.ROOT / "examples" / "images").glob(f"{name}.*"))
        picture = Image.open(source).convert("RGB")
        picture.save(folder / "input" / f"{name}.png")
    for n in range(FOLDER_PICTURES):
        shade = picture.point(lambda v, n=n: min(255, v + n))
        shade.save(many / f"p{n:03}.png")
    with hosting.Server(COMFYUI, folder, owner=real.entry()) as up:
        yield up


def greedy(max_new_tokens=200):
    return {
        "class_type": "Qwen3VLOptions",
        "inputs": {
            "sampling": "greedy", "max_new_tokens": max_new_tokens, "temperature": 0.7,
            "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.0, "presence_penalty": 1.5,
            "min_picture_tokens": 0, "max_picture_tokens": 0, "stop": "",
        },
    }  # fmt: skip


def on(real):
    return {"class_type": "Qwen3VLServer", "inputs": {"server": real.kind, "model": ""}}


def asking(model, kind, image="four_things", **inputs):
    """A prompt in which one node asks about a picture."""
    filled = {"model": ["1", 0], "image": ["4", 0], "seed": 0, "options": ["2", 0]} | inputs
    return {
        "1": model,
        "2": greedy(),
        "3": {"class_type": kind, "inputs": filled},
        "4": {"class_type": "LoadImage", "inputs": {"image": f"{image}.png"}},
    }


ASKED = {
    "caption": ("Qwen3VLCaption", {
        "preset": "Short caption", "instructions": "", "system_prompt": "",
        "batch": "one answer per image"}),
    "ask": ("Qwen3VLAsk", {
        "question": "How many shapes are there?", "system_prompt": "",
        "batch": "one answer per image"}),
    "detect": ("Qwen3VLDetect", {
        "find": SHAPES, "find_by": "categories, comma between", "attributes": "", "max_count": 0,
        "look_again": "off", "unreadable": "stop with an error"}),
    "point": ("Qwen3VLPoint", {"find": "star", "unreadable": "stop with an error"}),
}  # fmt: skip


def text_of(entry, node="3"):
    assert hosting.error_of(entry) == ""
    return entry["outputs"][node]["text"]


def numbers(text):
    return [int(n) for n in re.findall(r"\d+", text)]


def alike(ours, theirs):
    """The same words; numbers (places in thousandths of the picture) at most `OFF_BY` apart."""
    if re.sub(r"\d+", "#", ours) != re.sub(r"\d+", "#", theirs):
        return False
    pairs = zip(numbers(ours), numbers(theirs), strict=True)
    return all(abs(a - b) <= OFF_BY for a, b in pairs)


def test_the_node_says_what_the_server_is(comfy, real):
    entry = comfy.run({"1": on(real)})
    [said] = text_of(entry, "1")
    assert f"{real.kind}: " in said and "sees no pictures" not in said
    assert str(real.port) not in json.dumps(entry)


@pytest.mark.parametrize("what", ASKED)
def test_answers_are_those_of_the_local_engine(comfy, real, what):
    kind, inputs = ASKED[what]
    for name in PICTURES:
        [local] = text_of(comfy.run(asking(LOCAL, kind, name, **inputs)))
        [remote] = text_of(comfy.run(asking(on(real), kind, name, **inputs)))
        assert alike(local, remote), (name, local, remote)


def test_several_pictures_in_one_question(comfy, real):
    kind, inputs = ASKED["ask"]
    answers = []
    for model in (LOCAL, on(real)):
        prompt = asking(model, kind, **inputs | {"batch": "one answer about all images"})
        prompt["5"] = {"class_type": "LoadImage", "inputs": {"image": "three_things.png"}}
        both = {"image1": ["4", 0], "image2": ["5", 0]}
        prompt["6"] = {"class_type": "ImageBatch", "inputs": both}
        prompt["3"]["inputs"]["image"] = ["6", 0]
        answers += text_of(comfy.run(prompt))
    assert alike(*answers), answers


FOLDER = {
    "folder": "input/many", "recursive": False, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "in the output folder",
    "prefix": "", "suffix": "", "model": ["1", 0], "options": ["2", 0],
}  # fmt: skip


def folder_prompt(model, **inputs):
    node = {"class_type": "Qwen3VLCaptionFolder", "inputs": FOLDER | inputs}
    return {"1": model, "2": greedy(), "3": node}


def captions_of(comfy):
    folder = Path(comfy.log).parent / "output" / "captions" / "input" / "many"
    return {p.stem: p.read_text("utf-8") for p in folder.glob("*.txt")}


def test_a_folder_is_captioned_as_by_the_local_engine_though_the_server_dies(comfy, real):
    """Killed in the middle of the run and started again: what is there is kept, all is done."""
    prompt_id = comfy.queue(folder_prompt(on(real)))
    deadline = time.monotonic() + 300
    while not captions_of(comfy) and time.monotonic() < deadline:
        time.sleep(0.05)
    real.stop(hard=True)
    threading.Thread(target=real.start, kwargs={"wait": False}).start()
    ledger = text_of(comfy.wait(prompt_id, 900))[0]
    assert ledger.endswith(f"written {FOLDER_PICTURES}, skipped 0, failed 0"), ledger
    remote = captions_of(comfy)
    local = text_of(comfy.run(folder_prompt(LOCAL, mode="overwrite own")))[0]
    assert local.endswith(f"written {FOLDER_PICTURES}, skipped 0, failed 0"), local
    assert remote == captions_of(comfy)
    log = comfy.log.read_text("utf-8", errors="replace")
    assert f"127.0.0.1:{real.port}" not in log


def test_an_interrupt_is_there_within_two_seconds(comfy, real):
    """The longest answer that the demo gives, stopped while it is written."""
    kind, inputs = ASKED["detect"]
    prompt = asking(on(real), kind, **inputs)
    prompt["3"]["inputs"]["seed"] = int(time.time())
    prompt_id = comfy.queue(prompt)
    while not comfy.get("/queue")["queue_running"]:
        time.sleep(0.01)
    started = time.monotonic()
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt_id, 60)
    assert time.monotonic() - started < 2 + 8  # a busy machine's slack; idle it is under two
    kinds = [kind for kind, _ in entry["status"]["messages"]]
    assert "execution_interrupted" in kinds or "execution_success" in kinds
