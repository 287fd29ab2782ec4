"""The pack in a real ComfyUI: queue, websocket, history, interrupt and free."""

import asyncio
import json
import os
import shutil
import signal
import time
from pathlib import Path
from urllib.error import HTTPError

import aiohttp
import hosting
import numpy as np
import pytest
from PIL import Image
from tiny_checkpoint import write_checkpoint

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]

MANY = 100  # more than are answered at once, so that some come later
LOADER = {
    "class_type": "Qwen3VLLoader",
    "inputs": {
        "model": "Tiny", "dtype": "auto", "attention": "auto", "quantization": "none",
        "device": "auto", "engine": "auto",
    },
}  # fmt: skip
FOLDER = {
    "folder": "input/pics", "recursive": False, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "in the output folder",
    "prefix": "", "suffix": "", "model": ["1", 0], "options": ["2", 0],
}  # fmt: skip


def options(**chosen):
    inputs = {
        "sampling": "greedy", "max_new_tokens": 8, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
        "repetition_penalty": 1.0, "presence_penalty": 1.5, "min_picture_tokens": 0,
        "max_picture_tokens": 0, "stop": "",
    }  # fmt: skip
    return {"class_type": "Qwen3VLOptions", "inputs": inputs | chosen}


def folder_prompt(max_new_tokens=8, model="Tiny", **inputs):
    loader = {**LOADER, "inputs": LOADER["inputs"] | {"model": model}}
    return {
        "1": loader,
        "2": options(max_new_tokens=max_new_tokens),
        "3": {"class_type": "Qwen3VLCaptionFolder", "inputs": FOLDER | inputs},
    }


def caption_prompt(**inputs):
    asked = {
        "model": ["1", 0], "image": ["4", 0], "preset": "Short caption", "instructions": "",
        "system_prompt": "", "seed": 0, "batch": "one answer per image", "options": ["2", 0],
    }  # fmt: skip
    return {
        "1": LOADER,
        "2": options(),
        "3": {"class_type": "Qwen3VLCaption", "inputs": asked | inputs},
        "4": {"class_type": "LoadImage", "inputs": {"image": "pics/p0.png"}},
    }


@pytest.fixture(scope="module")
def server(demo_server):
    models = demo_server.folder / "models"
    # Large enough (about 0.7 GB in fp32, in pieces that malloc gives back at once) that it can be
    # seen when the memory comes back.
    write_checkpoint(models / "Wide", hidden_size=1024, intermediate_size=12_288, head_dim=64,
                     num_attention_heads=16, num_key_value_heads=8, num_hidden_layers=4,
                     rope_scaling={"rope_type": "default", "mrope_section": [16, 8, 8],
                                   "mrope_interleaved": True})  # fmt: skip
    pics = demo_server.folder / "input" / "pics"
    pics.mkdir()
    generator = np.random.default_rng(0)
    for n in range(12):
        pixels = generator.integers(0, 256, (64 + 32 * (n % 3), 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pics / f"p{n}.png")
    (pics / "broken.png").write_bytes(b"no picture")
    yield demo_server
    shutil.rmtree(models / "Wide")


@pytest.fixture
def captions(server):
    """Where captions go; empty before the test."""
    folder = Path(server.log).parent / "output" / "captions" / "input" / "pics"
    for path in [*folder.glob("*.txt"), *folder.glob(".qwen3vl.jsonl")]:
        path.unlink()
    return folder


def ledger_of(entry):
    assert hosting.error_of(entry) == ""
    return entry["outputs"]["3"]["text"][0]


def resident_mb(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def loads(server):
    return server.log.read_text(errors="replace").count("Loaded Tiny")


def test_every_node_is_in_the_menu(server):
    from qwen3vl_nodes.nodes import NODES

    info = server.get("/object_info")
    for node in NODES:
        shown = info[node.GET_SCHEMA().node_id]
        assert shown["category"].split("/")[0] == "Qwen3-VL"
    assert {"Tiny", "Wide", "Qwen3-VL-Demo"} <= set(
        info["Qwen3VLLoader"]["input"]["required"]["model"][1]["options"]
    )


def test_a_folder_goes_through_the_queue_and_weights_load_once(server, captions):
    before = loads(server)
    first = ledger_of(server.run(folder_prompt()))
    assert first.endswith("written 12, skipped 0, failed 1")
    assert len(list(captions.glob("*.txt"))) == 12
    again = ledger_of(server.run(folder_prompt(seed=1)))
    assert again.endswith("written 0, skipped 12, failed 1")
    (captions / "p3.txt").unlink()
    assert ledger_of(server.run(folder_prompt(seed=2))).endswith("written 1, skipped 11, failed 1")
    assert loads(server) - before <= 1


def test_a_caption_comes_back_through_history(server):
    entry = server.run(caption_prompt())
    assert hosting.error_of(entry) == ""
    out = entry["outputs"]["3"]
    assert len(out["text"]) == 1 and "8 tokens" in out["report"][0]


def test_text_links_to_core_nodes(server):
    prompt = caption_prompt(seed=5)
    prompt["5"] = {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}}
    entry = server.run(prompt)
    assert hosting.error_of(entry) == ""
    assert entry["outputs"]["5"]["text"] == entry["outputs"]["3"]["text"]


def test_errors_reach_the_user_whole(server):
    error = hosting.error_of(server.run(folder_prompt(folder="input/nowhere")))
    assert "There is no folder 'input/nowhere'" in error
    assert "Make it" in error


def test_a_folder_that_is_not_allowed_is_refused_before_it_is_queued(server):
    with pytest.raises(HTTPError) as caught:
        server.queue(folder_prompt(folder="input/../.."))
    said = caught.value.read().decode()
    assert "is not inside" in said and "Qwen3VLCaptionFolder" in said


async def watch(server, prompt, act):
    """Queue a prompt as a browser does; `act(message)` sees every websocket message."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws?clientId=test") as socket,
    ):
        body = {"prompt": prompt, "client_id": "test"}
        async with session.post(f"{server.url}/prompt", json=body) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                kind = int.from_bytes(message.data[:4], "big")
                await act(session, {"type": "binary", "data": {"kind": kind}})
                continue
            event = json.loads(message.data)
            if event.get("data", {}).get("prompt_id") == prompt_id:
                await act(session, event)
                if event["type"] in ("execution_success", "execution_error",
                                     "execution_interrupted"):  # fmt: skip
                    return prompt_id
    raise AssertionError("the websocket closed early")


CORE_PROGRESS_TEXT = 3  # the kind of a binary message that front ends draw as HTML or Markdown


def test_progress_and_growing_text_reach_the_browser(server, captions):
    bars, told, binary = [], [], []

    async def note(_session, event):
        if event["type"] == "progress":
            bars.append((event["data"]["value"], event["data"]["max"]))
        if event["type"] == "qwen3vl.text":
            told.append((time.monotonic(), event["data"]))
        if event["type"] == "binary":
            binary.append(event["data"]["kind"])

    asyncio.run(watch(server, folder_prompt(max_new_tokens=120, seed=3), note))
    assert bars[-1][1] == 13 and 0 < bars[-1][0] <= 13
    assert CORE_PROGRESS_TEXT not in binary
    assert any("of 13" in data.get("line", "") for _, data in told)
    held, titles = {}, set()
    for _, data in told:
        assert data["node"] == "3"
        if "index" in data:
            held[data["index"]] = held.get(data["index"], "")[: data["at"]] + data["text"]
            titles.add(data["title"])
    assert titles <= {f"p{n}.png" for n in range(12)} and titles
    # Random bytes are no sure text in a file; the node tests say that what finished is sent whole.
    assert any(held.values())


def test_a_growing_text_is_the_answer_in_the_end(server):
    held = ""

    async def note(_session, event):
        nonlocal held
        if event["type"] == "qwen3vl.text" and "index" in event["data"]:
            data = event["data"]
            held = held[: data["at"]] + data["text"]

    prompt = caption_prompt(seed=11)
    prompt["2"] = options(max_new_tokens=300)
    prompt_id = asyncio.run(watch(server, prompt, note))
    (answer,) = server.wait(prompt_id)["outputs"]["3"]["text"]
    assert held and answer.startswith(held.strip()[: len(answer) // 2])


def test_interrupt_stops_within_two_seconds_and_keeps_captions(server, captions):
    """A run of minutes is stopped once something is written; the next run goes on."""
    asked_at = stopped_at = 0.0

    async def stop(session, event):
        nonlocal asked_at, stopped_at
        if not asked_at and list(captions.glob("*.txt")):
            asked_at = time.monotonic()
            await session.post(f"{server.url}/interrupt")
        if event["type"] == "execution_interrupted":
            stopped_at = time.monotonic()

    # Short answers for the first pictures are not in our hand on random weights, so the
    # first batch is done before, by a short run of its own on a few pictures.
    ledger_of(server.run(folder_prompt(seed=4)))
    for n in range(3, 12):
        (captions / f"p{n}.txt").unlink()
    kept = sorted(captions.glob("*.txt"))
    asyncio.run(watch(server, folder_prompt(max_new_tokens=3000, seed=4), stop))
    assert asked_at and 0 < stopped_at - asked_at < 2.0
    assert set(kept) <= set(captions.glob("*.txt"))
    assert not list(captions.glob("*tmp*"))
    after = ledger_of(server.run(folder_prompt(seed=4)))
    assert "failed 1" in after and len(list(captions.glob("*.txt"))) == 12


def test_free_gives_the_memory_back(server, captions):
    server.run(folder_prompt(model="Wide"))
    loaded = resident_mb(server)
    deadline = time.monotonic() + 20
    while resident_mb(server) > loaded - 300 and time.monotonic() < deadline:
        # Again and again: ComfyUI sleeps through one that comes while it collects garbage.
        server.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(0.5)
    assert resident_mb(server) < loaded - 300
    before = loads(server)
    (captions / "p0.txt").unlink()
    assert ledger_of(server.run(folder_prompt(seed=9)))
    assert loads(server) == before + 1  # it was really gone, and comes back


def test_the_log_has_no_traceback_at_start(server):
    log = server.log.read_text(errors="replace")
    head = log.split("got prompt")[0]
    assert "Traceback" not in head and "IMPORT FAILED" not in log


def test_killing_the_server_mid_run_harms_no_caption(server):
    """kill -9 in the middle of a folder: every caption there is whole, and a new run goes on."""
    pics, captions = (server.folder / part / "many" for part in ("input", "output/captions/input"))
    pics.mkdir()
    for n in range(MANY):
        Image.new("RGB", (64, 64), (n, 90, 30)).save(pics / f"p{n}.png")
    # Of random weights some captions are no text, and fail.
    prompt = folder_prompt(max_new_tokens=40, folder="input/many", prefix="a picture: ")
    server.queue(prompt)
    deadline = time.monotonic() + 60
    while not list(captions.glob("*.txt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(server.process.pid, signal.SIGKILL)
    server.__exit__()
    written = {p.name: p.read_text() for p in captions.glob("*.txt")}
    server.__enter__()
    assert 0 < len(written) < MANY
    ledger = ledger_of(server.run(prompt))
    assert f", skipped {len(written)}, failed " in ledger.splitlines()[-1]
    assert all((captions / name).read_text() == text for name, text in written.items())
