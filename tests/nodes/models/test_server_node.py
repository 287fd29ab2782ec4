"""Every node on a server as on a loaded model, against a server that answers what is written."""

import json
import logging
import random
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from node_running import SHORT, run_node
from PIL import Image
from qwen3vl_nodes.loaders.servers import profiles, remote_model
from qwen3vl_nodes.loaders.servers.profiles import Profile
from qwen3vl_nodes.loaders.servers.wire import transport
from qwen3vl_nodes.loaders.servers.wire.sending import Rules
from qwen3vl_nodes.nodes.asking.ask import Qwen3VLAsk
from qwen3vl_nodes.nodes.asking.caption import Qwen3VLCaption
from qwen3vl_nodes.nodes.detection.detect import Qwen3VLDetect
from qwen3vl_nodes.nodes.detection.detect_3d import Qwen3VLDetect3D
from qwen3vl_nodes.nodes.detection.point import Qwen3VLPoint
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from qwen3vl_nodes.nodes.models.lora import Qwen3VLLora
from qwen3vl_nodes.nodes.models.server import Qwen3VLServer
from qwen3vl_nodes.nodes.models.unload import Qwen3VLUnload
from qwen3vl_nodes.utils.errors import InputError, Qwen3VLError
from scripted_server import ScriptedServer, answer, response, send
from server_faults import FAILS, MENDED, STRANGER

KEY = "sk-0123456789-secret"
LISTED = {"data": [{"id": "Qwen3-VL-8B", "owned_by": "vllm", "max_model_len": 32_768}]}


@pytest.fixture
def server(comfy, monkeypatch):
    """A server under the name `here`; `server.text` is what it answers."""

    async def script(seen, writer):
        if seen.method == "GET":
            body = {"/v1/models": LISTED, "/version": {"version": "1"}}.get(seen.path)
            await send(writer, response(body or {}, 200 if body else 404))
        else:
            await answer(seen, writer, up.text)

    with ScriptedServer(script) as up:
        up.text = "A red square."
        monkeypatch.setenv("HERE_KEY", KEY)
        here = Profile("here", (up.origin,), key_variable="HERE_KEY", timeout_s=30, in_flight=4)
        monkeypatch.setattr(profiles, "BUILT_IN", (here,))
        yield up


@pytest.fixture
def model(server):
    return run_node(Qwen3VLServer, server="here", model="")[0]


def asked(server):
    """The chats that were sent, without the trial picture of the server's node."""
    return [s.json for s in server.seen if s.method == "POST" and s.json["max_tokens"] > 1]


def test_the_node_says_what_it_found_and_names_no_address(server):
    output = run_node(Qwen3VLServer, server="here", model="")
    assert output.ui["text"] == [output[1]]
    assert "here: vLLM 1" in output[1] and "Qwen3-VL-8B, sees pictures" in output[1]
    assert "127.0.0.1" not in output[1]


def test_only_listed_servers_are_taken(server):
    assert Qwen3VLServer.validate_inputs("here") is True
    assert "There is no server" in Qwen3VLServer.validate_inputs("http://evil.example")
    with pytest.raises(InputError, match="There is no server"):
        run_node(Qwen3VLServer, server="http://evil.example", model="")
    schema = Qwen3VLServer.GET_SCHEMA()
    assert [i.id for i in schema.inputs] == ["server", "model"]


def test_a_server_with_another_model_makes_new_answers(server, monkeypatch):
    first = Qwen3VLServer.fingerprint_inputs("here", "")
    assert Qwen3VLServer.fingerprint_inputs("here", "") == first
    monkeypatch.setitem(LISTED, "data", [{"id": "Qwen3-VL-4B", "owned_by": "vllm"}])
    assert Qwen3VLServer.fingerprint_inputs("here", "") != first


def test_caption_and_ask(server, model, images):
    form = {"system_prompt": "Be brief.", "seed": 3, "options": SHORT}
    captions = run_node(
        Qwen3VLCaption, model=model, image=images(3), preset="Short caption", instructions="",
        batch="one answer per image", **form,
    )  # fmt: skip
    assert captions[0] == ["A red square."] * 3
    sent = asked(server)
    assert len(sent) == 3
    assert all(chat["messages"][0] == {"role": "system", "content": "Be brief."} for chat in sent)
    together = run_node(
        Qwen3VLAsk, model=model, image=images(2), question="Compare.",
        batch="one answer about all images", **form,
    )  # fmt: skip
    assert together[0] == ["A red square."]
    kinds = [part["type"] for part in asked(server)[-1]["messages"][1]["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]


def test_boxes_points_and_3d_boxes(server, model, images):
    form = {"model": model, "image": images(1, 100, 200), "find": "cat", "seed": 0,
            "unreadable": "stop with an error"}  # fmt: skip
    server.text = '[{"bbox_2d": [100, 100, 500, 500], "label": "cat"}]'
    boxes = run_node(
        Qwen3VLDetect, find_by="categories, comma between", attributes="", max_count=0,
        look_again="off", **form,
    )[1]  # fmt: skip
    assert boxes == [[{"x": 20, "y": 10, "width": 80, "height": 40, "label": "cat"}]]
    server.text = '[{"point_2d": [500, 500], "label": "cat"}]'
    points = run_node(Qwen3VLPoint, **form)[1]
    assert [(p["x"], p["y"]) for p in points[0]] == [(100, 50)]
    server.text = '[{"bbox_3d": [0, 0, 2, 1, 1, 1, 0, 0, 0], "label": "cat"}]'
    solid = run_node(
        Qwen3VLDetect3D, field_of_view=60.0, intrinsics="", angle_order="pitch_yaw_roll", **form
    )[1]
    assert len(solid[0]) == 1


FOLDER = {
    "folder": "input/pics", "recursive": False, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "beside the picture",
    "prefix": "", "suffix": "", "options": SHORT,
}  # fmt: skip


def test_a_folder_and_its_recipe(server, model, comfy):
    folder = comfy / "input" / "pics"
    folder.mkdir()
    for n in range(30):
        Image.fromarray(np.full((64, 64, 3), n, np.uint8)).save(folder / f"p{n:02}.png")
    ledger = run_node(Qwen3VLCaptionFolder, model=model, format="json", **FOLDER)[0]
    assert ledger.splitlines()[-1] == "written 30, skipped 0, failed 0"
    told = (folder / "p00.json").read_text()
    assert json.loads(told)["model"] == model.identity and "127.0.0.1" not in told
    again = run_node(Qwen3VLCaptionFolder, model=model, format="json", **FOLDER)[0]
    assert again.splitlines()[-1] == "written 0, skipped 30, failed 0"
    other = run_node(Qwen3VLServer, server="here", model="another")[0]
    anew = FOLDER | {"mode": "overwrite own"}
    ledger = run_node(Qwen3VLCaptionFolder, model=other, format="json", **anew)[0]
    assert ledger.splitlines()[-1] == "written 30, skipped 0, failed 0"


def test_the_ledger_adds_up_on_a_server_that_does_all_wrong(
    server, comfy, model, monkeypatch, caplog
):
    """A picture for each fault of the table: what fails is named, what does not is written."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(remote_model, "Rules", partial(Rules, first_pause_s=0.0001))
    monkeypatch.setattr(transport, "MAX_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(transport, "MAX_STREAM_BYTES", 2 << 20)
    monkeypatch.setattr(transport, "LAST_BYTES_SECONDS", 0.01)
    # A folder run has no stop texts, and asks for a smaller picture after a 413.
    mended = {name: fault for name, fault in MENDED.items() if "stop text" not in name}
    fates = [script for script, *_ in (mended | FAILS).values()] + [answer] * 20
    # Among one another: after many in a row that fail, a server is let alone for seconds.
    random.Random(0).shuffle(fates)
    folder = comfy / "input" / "pics"
    folder.mkdir()
    for n in range(len(fates)):
        pixels = np.full((64, 64, 3), (n % 7 * 30, n // 7, 9), np.uint8)
        Image.fromarray(pixels).save(folder / f"p{n:03}.png")
    well, tries = server.script, {}

    async def badly(seen, writer):
        place, times = tries.get(seen.body, (len(tries), 0))
        tries[seen.body] = place, times + 1
        fate = fates[place] if place < len(fates) else answer
        await fate(replace(seen, number=times), writer)

    server.script = badly
    with STRANGER:
        ledger = run_node(Qwen3VLCaptionFolder, model=model, format="txt", **FOLDER)[0]
    assert STRANGER.seen == [] and len(tries) == len(fates) + 1
    bad = len(FAILS) - 1
    good = len(fates) - bad
    assert ledger.splitlines()[-1] == f"written {good}, skipped 0, failed {bad}"
    captioned = {p.stem for p in folder.glob("*.txt")}
    failed = set(re.findall(r"failed +(p\d+)\.png", ledger))
    assert (len(captioned), len(failed)) == (good, bad) and not captioned & failed
    assert {p.read_text().strip() for p in folder.glob("*.txt")} <= {t for _, t in MENDED.values()}
    server.script = well
    again = run_node(Qwen3VLCaptionFolder, model=model, format="txt", **FOLDER)[0]
    assert again.splitlines()[-1] == f"written {bad}, skipped {good}, failed 0"
    kept = b"".join(p.read_bytes() for p in folder.rglob("*") if p.suffix != ".png")
    assert KEY not in caplog.text + ledger + again and KEY.encode() not in kept
    assert "127.0.0.1" not in ledger + again and b"127.0.0.1" not in kept
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in server.seen)


def test_what_a_server_does_not_take_is_in_the_report(server, images, monkeypatch):
    [here] = profiles.BUILT_IN
    plain = Profile("here", here.origins, dialect="openai")
    monkeypatch.setattr(profiles, "BUILT_IN", (plain,))
    model = run_node(Qwen3VLServer, server="here", model="")[0]
    output = run_node(
        Qwen3VLAsk, model=model, question="Hi", system_prompt="", seed=0,
        batch="one answer per image",
    )  # fmt: skip
    assert "without top_k, which OpenAI style does not take" in output[2]
    assert "top_k" not in asked(server)[-1]


def test_an_error_of_the_server_is_an_error_of_the_node(server, model, images):
    async def refuse(_seen, writer):
        await send(writer, response({"error": {"message": "no luck"}}, 400))

    server.script = refuse
    with pytest.raises(Qwen3VLError, match="no luck"):
        run_node(
            Qwen3VLAsk, model=model, question="Hi", system_prompt="", seed=0,
            batch="one answer per image",
        )  # fmt: skip


def test_the_other_model_nodes(server, model):
    with pytest.raises(InputError, match="cannot be added"):
        run_node(Qwen3VLLora, model=model, adapter="style", strength=1.0, mode="merged")
    assert run_node(Qwen3VLUnload, anything="x", model=model)[0] == "x"
