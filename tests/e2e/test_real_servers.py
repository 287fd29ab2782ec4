"""The nodes on real servers with the demo checkpoint, through the queue of a real ComfyUI.

Greedy answers are those of the local engine. A server that is not set up here is skipped by name;
`real_servers.py` says where it is looked for.
"""

import json
import os
import random
import threading
import time
from pathlib import Path

import hosting
import pytest
from PIL import Image
from real_prompts import (
    ASKED,
    LOCAL,
    alike,
    asking,
    boxes_in,
    folder_prompt,
    greedy,
    on,
    text_of,
    texts_of,
    twin_prompt,
)
from real_servers import COMMANDS, RealServer
from world import scenes

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
PICTURES = ("four_things", "three_things", "wide")
# More pictures make the folder runs longer, and say no more.
FOLDER_PICTURES = int(os.environ.get("QWEN3VL_SERVER_PICTURES", "12"))
# The wings, by the API twins of their templates, whose answers are short of nonsense.
WINGS = (
    *("chat", "compare_pictures", "detect_3d_overlay", "detect_crop_caption", "document_pdf"),
    *("extract_fields", "gui_action", "picture_to_code", "read_text"),
)
SCENES, SCENE_WH = 20, (480, 320)
# Streams are answered when they begin; so many may have been under way when a server died.
STREAMS = 8


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
def truth():
    """Scenes whose boxes are known."""
    return [scenes.random_scene(random.Random(3_200_000 + n), SCENE_WH) for n in range(SCENES)]


@pytest.fixture(scope="module")
def comfy(real, truth, tmp_path_factory):
    """ComfyUI with the server in the owner's file, and the pictures in its input folder."""
    folder = tmp_path_factory.mktemp("comfy")
    many = folder / "input" / "many"
    many.mkdir(parents=True)
    for name in PICTURES:
        source = next((hosting.ROOT / "examples" / "images").glob(f"{name}.*"))
        Image.open(source).convert("RGB").save(folder / "input" / f"{name}.png")
    for n, scene in enumerate(truth):
        scene.draw().save(folder / "input" / f"scene{n}.png")
    for n in range(FOLDER_PICTURES):
        scene = scenes.random_scene(random.Random(3_100_000 + n), (320 + 3 * n % 97, 256))
        scene.draw().save(many / f"p{n:03}.png")
    with hosting.Server(COMFYUI, folder, owner=real.entry()) as up:
        yield up


def test_the_node_says_what_the_server_is(comfy, real):
    entry = comfy.run({"1": on(real.kind)})
    [said] = text_of(entry, "1")
    assert f"{real.kind}: " in said and "sees no pictures" not in said
    assert str(real.port) not in json.dumps(entry)


@pytest.mark.parametrize("what", ASKED)
def test_answers_are_those_of_the_local_engine(comfy, real, what):
    kind, inputs = ASKED[what]
    for name in PICTURES:
        [local] = text_of(comfy.run(asking(LOCAL, kind, name, **inputs)))
        [remote] = text_of(comfy.run(asking(on(real.kind), kind, name, **inputs)))
        assert alike(local, remote), (name, local, remote)


@pytest.mark.parametrize("name", ["caption_on_server", *WINGS])
def test_every_wing_says_the_same_on_a_server(comfy, real, name):
    local = texts_of(comfy.run(twin_prompt(name, LOCAL)))
    remote = texts_of(comfy.run(twin_prompt(name, on(real.kind))))
    assert local.keys() == remote.keys() != set()
    for node, texts in local.items():
        pairs = zip(texts, remote[node], strict=True)
        assert all(alike(ours, theirs) for ours, theirs in pairs), (node, texts, remote[node])


def test_a_zoom_talk_goes_its_steps(comfy, real):
    """The demo calls a tool that is not offered, is told so, and is asked again."""
    reports = []
    for model in (LOCAL, on(real.kind)):
        entry = comfy.run(twin_prompt("zoom", model))
        assert hosting.error_of(entry) == ""
        reports.append(entry["outputs"]["3"]["report"][0].splitlines())
    local, remote = reports
    assert local[:2] == remote[:2] and len(local) == len(remote) == 4
    assert "Error: There is no tool" in remote[1]


def test_a_step_on_a_screen_knows_the_step_before(comfy, real):
    texts = []
    for model in (LOCAL, on(real.kind)):
        prompt = twin_prompt("gui_action", model)
        second = {"history": ["3", 5], "instruction": "Now click the Close button"}
        prompt["5"] = prompt["3"] | {"inputs": prompt["3"]["inputs"] | second}
        texts.append(texts_of(comfy.run(prompt)))
    local, remote = texts
    assert local.keys() == remote.keys() >= {"3", "5"}
    assert all(alike(local[n][0], remote[n][0]) for n in local), texts


def test_boxes_lie_as_well_as_with_the_local_engine(comfy, real, truth):
    kind, inputs = ASKED["detect"]
    means = []
    for model in (LOCAL, on(real.kind)):
        prompt = {"1": model, "2": greedy(400)}
        for n, scene in enumerate(truth):
            named = ", ".join(dict.fromkeys(thing.name for thing in scene.things))
            one = asking(model, kind, f"scene{n}", **inputs | {"find": named})
            prompt |= {f"3{n}": one["3"], f"4{n}": one["4"]}
            prompt[f"3{n}"]["inputs"]["image"] = [f"4{n}", 0]
        entry = comfy.run(prompt)
        overlaps = []
        for n, scene in enumerate(truth):
            found = boxes_in("\n".join(text_of(entry, f"3{n}")))
            for thing in scene.things:
                overlaps.append(max((scenes.iou(thing.box, b) for b in found), default=0.0))
        means.append(sum(overlaps) / len(overlaps))
    local, remote = means
    print(f"{real.kind}: mean IoU {remote:.4f}, local {local:.4f}")
    assert local > 0.8 and abs(local - remote) <= 0.01, means


def test_several_pictures_in_one_question(comfy, real):
    kind, inputs = ASKED["ask"]
    answers = []
    for model in (LOCAL, on(real.kind)):
        prompt = asking(model, kind, **inputs | {"batch": "one answer about all images"})
        prompt["5"] = {"class_type": "LoadImage", "inputs": {"image": "three_things.png"}}
        both = {"image1": ["4", 0], "image2": ["5", 0]}
        prompt["6"] = {"class_type": "ImageBatch", "inputs": both}
        prompt["3"]["inputs"]["image"] = ["6", 0]
        answers += text_of(comfy.run(prompt))
    assert alike(*answers), answers


def captions_of(comfy):
    folder = Path(comfy.log).parent / "output" / "captions" / "input" / "many"
    return {p.stem: p.read_text("utf-8") for p in folder.glob("*.txt")}


def test_a_folder_is_captioned_as_by_the_local_engine_though_the_server_dies(comfy, real):
    """Killed in the middle of the run and started again: what is there is kept, all is done."""
    before = real.answered()
    prompt_id = comfy.queue(folder_prompt(on(real.kind)))
    deadline = time.monotonic() + 300
    while not captions_of(comfy) and time.monotonic() < deadline:
        time.sleep(0.05)
    real.stop(hard=True)
    kept = captions_of(comfy)
    threading.Thread(target=real.start, kwargs={"wait": False}).start()
    ledger = text_of(comfy.wait(prompt_id, 900))[0]
    assert ledger.endswith(f"written {FOLDER_PICTURES}, skipped 0, failed 0"), ledger
    remote, asked = captions_of(comfy), real.answered() - before
    print(f"{real.kind}: {len(kept)} kept when it died, {asked} answers for {FOLDER_PICTURES}")
    assert kept.items() <= remote.items()
    assert asked <= FOLDER_PICTURES + STREAMS
    local = text_of(comfy.run(folder_prompt(LOCAL, mode="overwrite own")))[0]
    assert local.endswith(f"written {FOLDER_PICTURES}, skipped 0, failed 0"), local
    assert remote == captions_of(comfy)
    log = comfy.log.read_text("utf-8", errors="replace")
    assert f"127.0.0.1:{real.port}" not in log


def test_of_two_addresses_the_one_that_lives_does_it_all(comfy, real):
    prompt = folder_prompt(on("half"), mode="overwrite own")
    local, entry = captions_of(comfy), comfy.run(prompt)
    assert "address 1 is left out" in text_of(entry, "1")[0]
    ledger = text_of(entry)[0]
    assert ledger.endswith(f"written {FOLDER_PICTURES}, skipped 0, failed 0"), ledger
    assert captions_of(comfy) == local


LONG = {"type": "array", "minItems": 900, "items": {"type": "integer", "maximum": 9}}


def long_prompt(real):
    """What goes on for a long time: a form that wants 900 numbers, else a folder."""
    if real.kind == "transformers":  # it holds no answer to a form
        return folder_prompt(on(real.kind), mode="overwrite own"), 0.3
    kind, inputs = ASKED["ask"]
    prompt = asking(on(real.kind), kind, **inputs)
    prompt["2"] = greedy(3000, answer="JSON only", json_schema=json.dumps(LONG))
    return prompt, 1.0


def test_an_interrupt_closes_the_request_within_two_seconds(comfy, real):
    prompt, pause_s = long_prompt(real)
    prompt_id = comfy.queue(prompt)
    deadline = time.monotonic() + 60
    while not real.linked() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(pause_s)
    assert real.linked() >= 1
    started = time.monotonic()
    comfy.post("/interrupt", {})
    while real.linked() and time.monotonic() < deadline:
        time.sleep(0.01)
    seconds = time.monotonic() - started
    print(f"{real.kind}: closed {seconds:.2f} s after the interrupt")
    assert seconds < 2
    kinds = [kind for kind, _ in comfy.wait(prompt_id, 60)["status"]["messages"]]
    assert "execution_interrupted" in kinds
