"""The calls in an answer as JSON, and a tool's result as the model reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..chat.messages import Part
from ..chat.tool_sets import Tool
from ..errors import ParseError
from ..parsing.tool_calls import ToolAnswer, parse_tool_calls
from ..text.control_tokens import RESPONSE_END, RESPONSE_START
from .actions import read_actions

# Where there is no picture, places keep the numbers that the model counts in.
NO_PICTURE_WH = (1000, 1000)


def take_apart(text: str) -> ToolAnswer:
    """The answer taken apart; one that no reader can take is a call with a problem."""
    try:
        return parse_tool_calls(text)
    except ParseError as error:
        return ToolAnswer(words=text, problems=(error.problem,))


def calls_as_json(
    text: str, tools: Sequence[Tool], size_wh: tuple[int, int] = NO_PICTURE_WH
) -> str:
    """A JSON list of the calls in an answer, places in pixels of a picture of this size.

    What cannot be read or is not what a tool takes is there too, with `valid` false and why.
    """
    answer = take_apart(text)
    values = [action.to_dict(*size_wh) for action in read_actions(answer, tools)]
    problems = [*answer.problems, *(["the call was cut off"] if answer.truncated else [])]
    values += [{"tool": "", "action": "", "valid": False, "problem": why} for why in problems]
    return json.dumps(values, ensure_ascii=False)


def tool_response(parts: Sequence[Part]) -> tuple[Part, ...]:
    """A tool's result between its marks, as the chat template writes it in a user's turn.

    Written so, and not as a turn of the role "tool", it is read alike by every server.
    """
    return (RESPONSE_START, *parts, RESPONSE_END)
