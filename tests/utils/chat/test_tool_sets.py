"""The tools on offer: the official ones, and the user's own JSON."""

import json

import jsonschema
import pytest
from qwen3vl_nodes.utils.chat.tool_sets import (
    MAX_TOOLS,
    Tool,
    official_tools,
    read_tools,
    system_with_tools,
    tools_text,
)
from qwen3vl_nodes.utils.errors import InputError

TOOLS = official_tools()


def test_the_official_tools_are_complete():
    assert list(TOOLS) == ["mobile_use", "computer_use", "image_zoom_in_tool"]
    assert TOOLS["mobile_use"].actions == (
        "click", "long_press", "swipe", "type", "answer", "system_button", "wait", "terminate",
    )  # fmt: skip
    assert TOOLS["computer_use"].actions == (
        "key", "type", "mouse_move", "left_click", "left_click_drag", "right_click",
        "middle_click", "double_click", "triple_click", "scroll", "hscroll", "wait", "terminate",
        "answer",
    )  # fmt: skip
    assert (TOOLS["mobile_use"].grid, TOOLS["computer_use"].grid) == (999, 1000)
    assert set(TOOLS["mobile_use"].parameters["properties"]) == {
        "action", "coordinate", "coordinate2", "text", "time", "button", "status",
    }  # fmt: skip
    assert set(TOOLS["computer_use"].parameters["properties"]) == {
        "action", "keys", "text", "coordinate", "pixels", "time", "status",
    }  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_every_action_says_what_it_needs_and_does(tool: Tool):
    assert set(tool.needs) == set(tool.says) == set(tool.actions)
    properties = tool.parameters["properties"]
    assert all(name in properties for needed in tool.needs.values() for name in needed)
    jsonschema.Draft202012Validator.check_schema(tool.schema)
    jsonschema.Draft202012Validator.check_schema(dict(tool.parameters))


def test_the_model_is_shown_the_simple_schema():
    shown = TOOLS["computer_use"].signature["function"]["parameters"]
    assert "allOf" not in shown
    assert shown["properties"]["coordinate"].keys() == {"type", "description"}
    assert shown["required"] == ["action"]


def test_the_text_has_the_form_of_the_official_template():
    text = tools_text([TOOLS["image_zoom_in_tool"]])
    assert text.startswith("# Tools\n\nYou may call one or more functions")
    line = text.split("<tools>\n")[1].split("\n</tools>")[0]
    assert json.loads(line)["function"]["name"] == "image_zoom_in_tool"
    assert text.endswith('{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>')


def test_the_users_words_come_first_and_the_form_of_the_answer_last():
    text = system_with_tools([TOOLS["mobile_use"]], " Be kind. ", " Answer so. ")
    assert text.startswith("Be kind.\n\n# Tools")
    assert text.endswith("\n\nAnswer so.")
    assert system_with_tools([TOOLS["mobile_use"]]).startswith("# Tools")


GOOD = [
    '{"name": "f"}',
    '[{"name": "f"}, {"name": "g", "description": "d", "parameters": {"type": "object"}}]',
    '{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}',
    '{"name": "ns.f-1", "parameters": null}',
]


@pytest.mark.parametrize("text", GOOD)
def test_own_tools(text: str):
    tools = read_tools(text)
    assert tools[0].name in ("f", "ns.f-1")
    assert tools[0].signature["type"] == "function"


BAD = [
    ("", "no tools"),
    ("   ", "no tools"),
    ("{", "no valid JSON"),
    ("[" * 50_000, "no valid JSON"),
    ("[]", "0 tools"),
    ("5", "no name"),
    ('{"description": "d"}', "no name"),
    ('{"name": 5}', "no name"),
    ('{"name": "two words"}', "cannot be the name"),
    ('{"name": ""}', "cannot be the name"),
    ('{"name": "f", "parameters": []}', None),
    ('{"name": "f", "parameters": [1]}', "of another kind"),
    ('{"name": "f", "description": 5}', "of another kind"),
    ('{"name": "f", "parameters": {"type": "array"}}', "no plain object"),
    ('{"name": "f", "parameters": {"properties": {"a": {"$ref": "http://x/y"}}}}', "no plain"),
    ('{"name": "f", "parameters": {"properties": {"a": {"type": "colour"}}}}', "no JSON Schema"),
    ('[{"name": "f"}, {"name": "f"}]', "called f"),
    (json.dumps([{"name": f"f{n}"} for n in range(MAX_TOOLS + 1)]), "tools"),
    ('{"name": "f", "description": "' + "x" * 100_000 + '"}', "characters long"),
]


@pytest.mark.parametrize(("text", "why"), BAD, ids=lambda value: str(value)[:30])
def test_what_is_no_tool_is_said(text: str, why: str | None):
    if why is None:
        assert read_tools(text)
        return
    with pytest.raises(InputError, match=why):
        read_tools(text)
