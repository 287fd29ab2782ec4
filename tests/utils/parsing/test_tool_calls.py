"""Answers with tool calls: the golden table, every prefix of it, damage, and time."""

import contextlib
import json
import random
import time

import pytest
from hostile_texts import SLOW_CALLS
from qwen3vl_nodes.utils.errors import InputError, ParseError
from qwen3vl_nodes.utils.parsing.call_objects import ToolCall
from qwen3vl_nodes.utils.parsing.tool_calls import MAX_CALLS, parse_tool_calls
from support.golden_tool_answers import Row, tool_rows

ROWS = tool_rows()
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>\n'


def calls_of(text: str) -> list[tuple[str, dict]]:
    return [(call.name, dict(call.arguments)) for call in parse_tool_calls(text).calls]


def test_the_table_is_large_and_its_names_differ():
    assert len(ROWS) >= 75
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_golden(row: Row):
    found = parse_tool_calls(row.text)
    assert [(call.name, dict(call.arguments)) for call in found.calls] == list(row.calls)
    assert found.truncated == ("truncated" in row.flags)
    assert found.repaired == ("repaired" in row.flags)
    assert bool(found.problems) == ("problem" in row.flags), found.problems
    for what, wanted in row.said.items():
        assert getattr(found, what) == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_prefix_holds_only_whole_calls(row: Row):
    """Half a call must never be acted upon: the calls of a prefix are those of the whole."""
    whole = calls_of(row.text)
    for length in range(len(row.text)):
        found = parse_tool_calls(row.text[:length])
        calls = [(call.name, dict(call.arguments)) for call in found.calls]
        if "prose" in row.name or "two objects" in row.name or "a list" in row.name:
            assert all(call in whole for call in calls)
        else:
            assert calls == whole[: len(calls)], row.text[:length]


def test_a_call_that_is_cut_off_is_said():
    for length in range(len("<tool_call>"), len(CALL) - len("}\n</tool_call>\n")):
        found = parse_tool_calls(CALL[:length])
        assert found.truncated
        assert not found.calls


def test_more_calls_than_any_answer_are_refused():
    assert len(parse_tool_calls(CALL * MAX_CALLS).calls) == MAX_CALLS
    with pytest.raises(ParseError, match=f"more than {MAX_CALLS} calls"):
        parse_tool_calls(CALL * (MAX_CALLS + 1))
    with pytest.raises(ParseError, match=f"more than {MAX_CALLS} calls"):
        parse_tool_calls("<tool_call>no</tool_call>" * (MAX_CALLS + 1))


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_deep_nesting_is_refused(bracket: str):
    with pytest.raises(ParseError, match="nested"):
        parse_tool_calls('<tool_call>{"name": "f", "arguments": ' + bracket * 100_000)


def test_arguments_are_an_object():
    with pytest.raises(InputError, match="no object"):
        ToolCall("f", [1, 2])  # type: ignore[arg-type]


PIECES = [
    "<tool_call>", "</tool_call>", "\n", "{", "}", "[", "]", '"', "'", ",", ":", "\\", "```json\n",
    "```", "<function=f>", "</function>", "<parameter=x>", "</parameter>", "Action: f\n",
    "Action Input: ", "Thought: ", '{"name": "f", "arguments": {"x": 1}}', '"name": ', '"f"',
    '"arguments": ', '"action": "click"', '"coordinate": [1, 2]', "<think>", "</think>", "\ud800",
    "\x00", "猫", "✿ARGS✿: ", "NaN", "1e999", "null", "[1, 2]", '"{\\"x\\": 1}"',
]  # fmt: skip


def test_damaged_answers_give_a_value_or_a_typed_error():
    dice = random.Random(11)
    texts = [row.text for row in ROWS if row.text]
    read = refused = 0
    for number in range(20_000):
        text = "".join(dice.choices(PIECES, k=dice.randint(1, 30)))
        if number % 2:
            text = dice.choice(texts)
            for _ in range(dice.randint(1, 6)):
                at = dice.randrange(len(text) + 1)
                cut = dice.randint(0, 5)
                text = text[:at] + dice.choice([*PIECES, ""]) + text[at + cut :]
        try:
            found = parse_tool_calls(text)
        except ParseError:
            refused += 1
            continue
        read += 1
        for call in found.calls:
            assert isinstance(call.name, str)
            json.dumps(dict(call.arguments))
    assert read + refused == 20_000
    assert read > 19_000


# A busy machine must not fail it: this tells linear from square only (bench_parser measures).
SECONDS = 10.0


@pytest.mark.parametrize("piece", [*PIECES, *SLOW_CALLS])
@pytest.mark.parametrize("end", ["", CALL])
def test_time_grows_with_the_length_only(piece: str, end: str):
    text = piece * (300_000 // len(piece)) + end
    started = time.process_time()
    with contextlib.suppress(ParseError):
        parse_tool_calls(text)
    assert time.process_time() - started < SECONDS
