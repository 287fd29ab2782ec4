"""Calls of tools as checked actions: what is taken, what is refused, and what it says."""

import json
import math

import pytest
from qwen3vl_nodes.utils.agents.actions import Action, read_actions
from qwen3vl_nodes.utils.chat.tool_sets import official_tools, read_tools
from qwen3vl_nodes.utils.detection.boxes import Point
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.parsing.tool_calls import parse_tool_calls

MOBILE, COMPUTER, ZOOM = official_tools().values()
OWN = read_tools(
    json.dumps(
        {
            "name": "pick",
            "parameters": {
                "type": "object",
                "properties": {
                    "point_2d": {"type": "array"},
                    "count": {"type": "integer"},
                    "fast": {"type": "boolean"},
                    "more": {"type": "object"},
                },
                "required": ["count"],
            },
        }
    )
)


def actions(arguments, name="mobile_use", tools=(MOBILE,)) -> tuple[Action, ...]:
    call = json.dumps({"name": name, "arguments": arguments})
    return read_actions(parse_tool_calls(f"<tool_call>{call}</tool_call>"), tools)


def only(arguments, name="mobile_use", tools=(MOBILE,)) -> Action:
    (action,) = actions(arguments, name, tools)
    return action


TAKEN = [
    ({"action": "click", "coordinate": [447, 81]}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": "[447, 81]"}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": "447, 81"}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": "(447, 81)"}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": ["447", "81"]}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": {"x": 447, "y": 81}}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": [[447, 81]]}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": [437, 71, 457, 91]}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": [[437, 71], [457, 91]]}, "Tap at (447, 41)."),
    ({"action": "Click", "coordinate": [447, 81]}, "Tap at (447, 41)."),
    ({"action": "click", "coordinate": [999, 999]}, "Tap at (999, 499)."),
    ({"action": "click", "coordinate": [1000, 1000]}, "Tap at (999, 499)."),
    ({"action": "click", "coordinate": [-5, 10]}, "Tap at (0, 5)."),
    ({"action": "long_press", "coordinate": [1, 2], "time": 2}, "Press at (1, 1) for a while."),
    (
        {"action": "swipe", "coordinate": [500, 800], "coordinate2": [500, 100]},
        "Swipe from (501, 400) to (501, 50).",
    ),
    ({"action": "type", "text": 'a {place} "b"'}, 'Type "a {place} \\"b\\"".'),
    ({"action": "type", "text": 5}, 'Type "5".'),
    ({"action": "system_button", "button": "back"}, "Press Back."),
    ({"action": "wait", "time": "2"}, "Wait 2 s."),
    ({"action": "answer", "text": "It is 5."}, 'Answer: "It is 5."'),
    ({"action": "terminate", "status": "success"}, "End: success."),
]


@pytest.mark.parametrize(("arguments", "says"), TAKEN, ids=lambda value: str(value)[:40])
def test_what_is_taken(arguments: dict, says: str):
    action = only(arguments)
    assert action.valid, action.problem
    assert action.sentence(1000, 500) == says
    json.dumps(action.to_dict(1000, 500), allow_nan=False)


REFUSED = [
    ({"action": "double_click", "coordinate": [1, 2]}, "not one of"),
    ({"action": "click"}, "'coordinate' is a required"),
    ({"action": "swipe", "coordinate": [1, 2]}, "'coordinate2' is a required"),
    ({"action": "click", "coordinate": [1]}, "coordinate"),
    ({"action": "click", "coordinate": [1, 2, 3]}, "coordinate"),
    ({"action": "click", "coordinate": ["left", "top"]}, "coordinate"),
    ({"action": "click", "coordinate": None}, "coordinate"),
    ({"action": "click", "coordinate": [1200, 50]}, "outside of the picture"),
    ({"action": "click", "coordinate": [50, -300]}, "outside of the picture"),
    (
        {"action": "swipe", "coordinate": [1, 2], "coordinate2": [1, 5000]},
        "outside of the picture",
    ),
    ({"action": "type"}, "'text' is a required"),
    ({"action": "type", "text": "x" * 20_001}, "too long"),
    ({"action": "wait", "time": -1}, "minimum"),
    ({"action": "wait", "time": "soon"}, "number"),
    ({"action": "terminate", "status": "maybe"}, "not one of"),
    ({"action": "system_button", "button": "Power"}, "not one of"),
    ({"coordinate": [1, 2]}, "'action' is a required"),
    ({"action": 5}, "not one of"),
]


@pytest.mark.parametrize(("arguments", "why"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_refused(arguments: dict, why: str):
    action = only(arguments)
    assert not action.valid
    assert why in action.problem
    assert action.start is None
    assert not action.finishes
    assert action.sentence(10, 10) == action.problem
    assert action.to_dict(10, 10)["problem"] == action.problem


def test_pixels_count_the_grid_of_their_tool():
    click = {"action": "left_click", "coordinate": [500, 500]}
    assert only(click, "computer_use", (COMPUTER,)).start == Point(0.5, 0.5)
    tap = only({"action": "click", "coordinate": [500, 500]})
    assert tap.start == Point(500 / 999, 500 / 999)
    assert tap.to_dict(1998, 999)["x"] == 1000


def test_a_key_is_a_list():
    action = only({"action": "key", "keys": "ctrl+shift+t"}, "computer_use", (COMPUTER,))
    assert action.arguments["keys"] == ["ctrl", "shift", "t"]
    assert action.sentence(1, 1) == "Press ctrl+shift+t."
    assert "ctrl+shift+t" in action.notes[0]


def test_answer_and_terminate_end_a_task():
    assert only({"action": "answer", "text": "5"}).finishes
    assert only({"action": "terminate", "status": "failure"}).finishes
    assert not only({"action": "wait", "time": 1}).finishes


@pytest.mark.parametrize(
    ("name", "arguments", "note"),
    [
        ("click", {"coordinate": [1, 2]}, "in place of mobile_use"),
        ("Mobile_Use", {"action": "click", "coordinate": [1, 2]}, "for mobile_use"),
        ("", {"action": "click", "coordinate": [1, 2]}, "did not name the tool"),
        ("phone", {"action": "click", "coordinate": [1, 2]}, "read as mobile_use"),
    ],
)
def test_a_name_that_can_mean_one_tool_only_is_read_and_said(name, arguments, note):
    action = only(arguments, name)
    assert action.valid
    assert action.tool == "mobile_use"
    assert note in action.notes[0]


def test_a_tool_that_is_not_there_is_named():
    action = only({"app": "Files"}, "open_app")
    assert not action.valid
    assert "no tool 'open_app'; there is mobile_use" in action.problem
    both = only({"action": "type", "text": "a"}, "", (MOBILE, COMPUTER))
    assert "no tool ''" in both.problem


def test_an_argument_that_the_tool_does_not_have_is_said():
    action = only({"action": "wait", "time": 1, "mood": "calm"})
    assert action.valid
    assert "mood" in " ".join(action.notes)


def test_own_tools_get_kinds_and_places():
    action = only(
        {"point_2d": [250, 500], "count": "3", "fast": "true", "more": '{"a": 1}'}, "pick", OWN
    )
    assert action.valid, action.problem
    assert dict(action.arguments) == {
        "point_2d": [250, 500],
        "count": 3,
        "fast": True,
        "more": {"a": 1},
    }
    assert action.to_dict(400, 200)["x"] == 100
    assert action.sentence(400, 200).startswith("pick: point_2d [250, 500], count 3")


def test_a_zoom_box_is_cut_at_the_edge():
    arguments = {"bbox_2d": [900, -50, 1200, 300], "label": "a", "img_idx": 0}
    action = only(arguments, "image_zoom_in_tool", (ZOOM,))
    assert action.valid
    assert action.box is not None
    assert action.box.xyxy == (0.9, 0.0, 1.0, 0.3)
    assert "cut at the picture's edge" in action.notes[0]


def test_arguments_are_clean_json():
    action = only({"action": "type", "text": "a\ud800b"})
    action.arguments["text"].encode("utf-8")
    text = '{"name": "mobile_use", "arguments": {"action": "wait", "time": NaN}}'
    (wait,) = read_actions(parse_tool_calls(f"<tool_call>{text}</tool_call>"), (MOBILE,))
    json.dumps(wait.to_dict(1, 1), allow_nan=False)
    assert not any(isinstance(v, float) and math.isnan(v) for v in wait.arguments.values())


def test_a_pattern_of_a_workflow_is_never_run():
    (tool,) = read_tools(
        '{"name": "t", "parameters": {"properties": {"a": {"type": "string",'
        ' "pattern": "^(a+)+$"}}}}'
    )
    assert only({"a": "a" * 40 + "!"}, "t", (tool,)).valid


def test_an_action_checks_itself():
    with pytest.raises(InputError, match="no name"):
        Action("t", "")
    with pytest.raises(InputError, match="begins nowhere"):
        Action("t", "swipe", end=Point(0, 0))
