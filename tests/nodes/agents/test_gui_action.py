"""GUI Action: calls as values in pixels, refusals, several steps, the user's own tools."""

import json

import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.agents.gui_action import OWN_TOOLS, Qwen3VLGuiAction, tool_choices
from qwen3vl_nodes.utils.errors import InputError
from scripted_model import ScriptedModel

MOBILE, COMPUTER = tool_choices()[:2]
INPUTS = {
    "instruction": "Save the file.", "tools": COMPUTER, "own_tools": "", "explain": False,
    "system_prompt": "", "seed": 0,
}  # fmt: skip
OUTPUTS = (
    "actions", "points", "thought", "sentence", "overlay", "history", "finished", "answer",
    "report",
)  # fmt: skip


@pytest.fixture(autouse=True)
def temp_folder(comfy, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(comfy / "temp"))
    (comfy / "temp").mkdir()


def call(arguments, name="computer_use") -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


CLICK = call({"action": "left_click", "coordinate": [500, 250]})


def act(answer, image, **inputs) -> dict:
    """The node's outputs by name; the lists of a single image as their only element."""
    model = ScriptedModel(answer)
    made = run_node(Qwen3VLGuiAction, model=model, image=image, **(INPUTS | inputs))
    found = dict(zip(OUTPUTS, made.args, strict=True)) | {"ui": made.ui, "model": model}
    if image.shape[0] == 1:
        found |= {
            key: value[0] for key, value in found.items() if isinstance(value, list) and value
        }
    return found


def test_a_click_is_a_point_in_pixels(images):
    found = act(CLICK, images(1, 100, 200))
    assert json.loads(found["actions"]) == [
        {
            "tool": "computer_use", "action": "left_click", "valid": True, "x": 100, "y": 25,
            "arguments": {"action": "left_click", "coordinate": [500, 250]},
        }
    ]  # fmt: skip
    assert found["points"] == [{"x": 100, "y": 25, "label": "left_click"}]
    assert found["sentence"] == "Click at (100, 25)."
    assert found["history"] == "Step 1: Click at (100, 25)."
    assert found["finished"] is False
    assert found["answer"] == CLICK
    assert found["overlay"].shape == (1, 100, 200, 3)
    assert found["report"].startswith("1: 1 of 1 calls can be done\n")
    assert found["ui"]["text"] == ["Click at (100, 25)."]


def test_a_swipe_has_its_start_and_its_end(images):
    swipe = call(
        {"action": "swipe", "coordinate": [500, 800], "coordinate2": [500, 200]}, "mobile_use"
    )
    found = act(swipe, images(1, 100, 200), tools=MOBILE)
    assert [point["label"] for point in found["points"]] == ["swipe", "swipe end"]
    (value,) = json.loads(found["actions"])
    assert (value["x"], value["y"], value["x2"], value["y2"]) == (100, 80, 100, 20)


def test_the_models_own_sentence_and_thought(images):
    text = f'Thought: It is here.\nAction: "Click on Save."\n{CLICK}'
    found = act(text, images(1), explain=True)
    assert (found["thought"], found["sentence"]) == ("It is here.", "Click on Save.")
    assert "# Response format" in found["model"].requests[0].messages[0].parts[0]
    assert (
        "# Response format" not in act(CLICK, images(1))["model"].requests[0].messages[0].parts[0]
    )


def test_the_prompt_is_the_tools_then_the_task(images):
    requests = act(CLICK, images(1), system_prompt="Be careful.")["model"].requests
    system, user = requests[0].messages
    assert system.parts[0].startswith("Be careful.\n\n# Tools")
    assert "computer_use" in system.parts[0]
    assert "mobile_use" not in system.parts[0]
    assert user.parts[0] == "The user query: Save the file.\n"
    assert user.parts[1].size_wh == (96, 64)


def test_history_goes_from_step_to_step(images):
    first = act(CLICK, images(1, 100, 200))
    second = act(call({"action": "type", "text": "a"}), images(1), history=first["history"])
    prompt = second["model"].requests[0].messages[-1].parts[0]
    assert prompt == (
        "The user query: Save the file.\nTask progress (You have done the following operation on "
        "the current device): Step 1: Click at (100, 25).\n"
    )
    assert second["history"] == 'Step 1: Click at (100, 25).\nStep 2: Type "a".'


def test_a_batch_gives_a_step_for_each_screenshot(images):
    texts = [CLICK, "It is saved already.", call({"action": "terminate", "status": "success"})]
    found = act(lambda n, _: texts[n], images(3))
    assert [len(json.loads(value)) for value in found["actions"]] == [1, 0, 1]
    assert found["finished"] == [False, False, True]
    assert found["sentence"][1:] == ["No action.", "End: success."]
    assert found["points"][1:] == [[], []]
    assert "2: no call; the answer is words" in found["report"]
    assert len(found["history"]) == 3


def test_an_answer_ends_the_task_and_is_said(images):
    found = act(call({"action": "answer", "text": "5 dollars"}), images(1))
    assert found["finished"] is True
    assert found["sentence"] == 'Answer: "5 dollars"'


def test_several_calls_are_all_there(images):
    found = act(CLICK + "\n" + call({"action": "type", "text": "a"}), images(1, 100, 200))
    assert [value["action"] for value in json.loads(found["actions"])] == ["left_click", "type"]
    assert found["sentence"] == 'Click at (100, 25). Type "a".'


@pytest.mark.parametrize(
    ("text", "valid", "says"),
    [
        (call({"action": "left_click"}), [False], "required"),
        (call({"action": "fly", "coordinate": [1, 2]}), [False], "not one of"),
        (call({"action": "left_click", "coordinate": [4000, 2]}), [False], "outside"),
        (call({"x": 1}, "open_app"), [False], "no tool 'open_app'"),
        ("<tool_call>click on it</tool_call>", [], "cannot be read"),
        ("<tool_call>" + "[" * 500, [], "nested"),
        ('<tool_call>{"name": "computer_use", "argu', [], "cut off"),
        ("I cannot see it.", [], "No action"),
        ("", [], "No action"),
    ],
)
def test_what_cannot_be_done_is_a_value_too(text, valid, says, images):
    found = act(text, images(1))
    assert [value["valid"] for value in json.loads(found["actions"])] == valid
    assert says in found["sentence"]
    assert not found["points"] or found["points"] == []
    assert found["finished"] is False
    assert found["overlay"].dtype == torch.float32


def test_the_users_own_tools(images):
    own = json.dumps(
        {
            "name": "press",
            "parameters": {
                "type": "object",
                "properties": {"button": {"type": "string"}, "point_2d": {"type": "array"}},
                "required": ["button"],
            },
        }
    )
    text = call({"button": "Save", "point_2d": [500, 500]}, "press")
    found = act(text, images(1, 100, 200), tools=OWN_TOOLS, own_tools=own)
    assert found["points"] == [{"x": 100, "y": 50, "label": "press"}]
    refused = act(call({}, "press"), images(1), tools=OWN_TOOLS, own_tools=own)
    assert "'button' is a required" in refused["sentence"]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"instruction": " . "}, "no instruction"),
        ({"tools": "telephone"}, "no tool 'telephone'"),
        ({"tools": OWN_TOOLS}, "no tools"),
        ({"tools": OWN_TOOLS, "own_tools": "{"}, "no valid JSON"),
    ],
)
def test_bad_settings_are_said_before_anything_is_asked(inputs, why, images):
    model = ScriptedModel(CLICK)
    with pytest.raises(InputError, match=why):
        run_node(Qwen3VLGuiAction, model=model, image=images(1), **(INPUTS | inputs))
    assert not model.requests
