"""Agents on a real ComfyUI: four steps with history, and a talk that looks closer, by /prompt.

    python -m pytest tests/bench/agent_runs.py

A ComfyUI of its own starts for it, too slow for the suite; `tests/nodes/agents` has the parts.
The demo checkpoint was taught single clicks only, so what the model writes is scripted, by a server
on this machine; everything else is the product: queue, nodes, client and what goes over the wire.
"""

import json

import hosting
import pytest
from PIL import Image
from scripted_server import ScriptedServer, answer, response, send

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
WIDTH, HEIGHT = 400, 200
LISTED = {"data": [{"id": "Qwen3-VL-8B", "owned_by": "vllm", "max_model_len": 32_768}]}
TASK = "Search for red shoes and open the first one."


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def called(tool, said="", **arguments):
    call = json.dumps({"name": tool, "arguments": arguments})
    return f"{said}<tool_call>\n{call}\n</tool_call>"


@pytest.fixture(scope="module")
def scripted():
    """A server that gives `answers` one after the other."""

    async def script(seen, writer):
        if seen.method == "GET":
            body = {"/v1/models": LISTED, "/version": {"version": "1"}}.get(seen.path)
            await send(writer, response(body or {}, 200 if body else 404))
        elif seen.json["max_tokens"] == 1:  # the trial picture of the server's node
            await answer(seen, writer, "A")
        else:
            up.chats.append(seen.json["messages"])
            await answer(seen, writer, up.answers[len(up.chats) - 1])

    with ScriptedServer(script) as up:
        yield up


@pytest.fixture(scope="module")
def server(scripted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    (folder / "input").mkdir()
    for n in range(4):
        Image.new("RGB", (WIDTH, HEIGHT), (60 * n, 90, 120)).save(folder / "input" / f"{n}.png")
    owner = f"[servers.scripted]\norigin = '{scripted.origin}'\n"
    with hosting.Server(COMFYUI, folder, owner=owner) as up:
        yield up


def ran(server, scripted, answers, prompt):
    """What the prompt's nodes showed, with these answers of the model."""
    scripted.answers, scripted.chats = answers, []
    entry = server.run({"1": node("Qwen3VLServer", server="scripted", model="")} | prompt)
    assert hosting.error_of(entry) == ""
    assert len(scripted.chats) == len(answers)
    return {name: shown["text"] for name, shown in entry["outputs"].items() if "text" in shown}


def test_four_steps_each_with_the_history_before_it(server, scripted):
    steps = [
        called("mobile_use", 'Thought: The bar.\nAction: "Tap the search bar."\n',
               action="click", coordinate=[500, 100]),
        called("mobile_use", action="type", text="red shoes"),
        called("mobile_use", action="swipe", coordinate=[500, 800], coordinate2=[500, 200]),
        called("mobile_use", action="terminate", status="success"),
    ]  # fmt: skip
    prompt = {}
    for n in range(4):
        history = {"history": [f"act{n - 1}", 5]} if n else {}
        prompt |= {
            f"see{n}": node("LoadImage", image=f"{n}.png"),
            f"act{n}": node(
                "Qwen3VLGuiAction", model=["1", 0], image=[f"see{n}", 0], instruction=TASK,
                tools="mobile_use (phone)", own_tools="", explain=True, system_prompt="", seed=0,
                **history,
            ),
            f"do{n}": node("PreviewAny", source=[f"act{n}", 0]),
            f"over{n}": node("PreviewAny", source=[f"act{n}", 6]),
        }  # fmt: skip
    shown = ran(server, scripted, steps, prompt | {"end": node("PreviewAny", source=["act3", 5])})

    done = [json.loads(shown[f"do{n}"][0])[0] for n in range(4)]
    assert [action["action"] for action in done] == ["click", "type", "swipe", "terminate"]
    assert all(action["valid"] for action in done)
    assert (done[0]["x"], done[0]["y"]) == (200, 20)
    assert [done[2][key] for key in ("x", "y", "x2", "y2")] == [200, 160, 200, 40]
    assert [shown[f"over{n}"][0].lower() for n in range(4)] == ["false"] * 3 + ["true"]
    lines = [
        "Step 1: Tap the search bar.", 'Step 2: Type "red shoes".',
        "Step 3: Swipe from (200, 160) to (200, 40).", "Step 4: End: success.",
    ]  # fmt: skip
    assert shown["end"][0].splitlines() == lines
    told = [chat[-1]["content"][0]["text"] for chat in scripted.chats]
    assert all(TASK.rstrip(".") in words for words in told)
    assert ["Step" in words for words in told] == [False, True, True, True]
    assert "Step 1: Tap the search bar; Step 2: Type red shoes; Step 3: Swipe from" in told[3]


def test_a_talk_that_looks_closer_and_answers(server, scripted):
    turns = [
        called("image_zoom_in_tool", "Closer. ", label="a", bbox_2d=[500, 0, 750, 500], img_idx=0),
        called("image_zoom_in_tool", label="word", bbox_2d=[500, 500, 1000, 1000], img_idx=1),
        "It says OPEN.",
    ]  # fmt: skip
    prompt = {
        "2": node("LoadImage", image="1.png"),
        "3": node(
            "Qwen3VLZoom", model=["1", 0], image=["2", 0], question="What does it say?",
            max_looks=4, system_prompt="", seed=0,
        ),
        "4": node("PreviewAny", source=["3", 2]),
    }  # fmt: skip
    shown = ran(server, scripted, turns, prompt)
    assert shown["3"] == ["It says OPEN."]
    places = [[b["x"], b["y"], b["width"], b["height"]] for b in json.loads(shown["4"][0])[0]]
    assert places == [[200, 0, 100, 100], [250, 50, 50, 50]]
    first, second, last = scripted.chats
    assert "image_zoom_in_tool" in str(first[0]["content"])
    # Each chat is the one before it and two turns more, so that a server can reuse what it read.
    assert second[: len(first)] == first and last[: len(second)] == second
    assert [turn["role"] for turn in last] == ["system", *["user", "assistant"] * 2, "user"]
    kinds = [part["type"] for part in last[-1]["content"]]
    assert kinds == ["text", "image_url", "text"]
    assert last[-1]["content"][0]["text"].startswith("<tool_response>")
