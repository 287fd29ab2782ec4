"""Calls of tools as actions on a picture: checked values with their places, never anything run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..chat.tool_sets import Tool
from ..detection.boxes import Box, Point
from ..errors import InputError, ParseError
from ..parsing.call_objects import ToolCall
from ..parsing.tool_calls import ToolAnswer
from ..text.numbers import to_number
from ..text.printable import clean_text
from .arguments import checked_arguments

# Arguments that are places, by what they mean; of official tools and of what people call theirs.
START = ("coordinate", "point_2d", "point", "start_coordinate", "start"), 2
END = ("coordinate2", "end_coordinate", "end"), 2
BOX = ("bbox_2d", "bbox"), 4
# A place so little outside of the picture is its edge; one farther away was meant otherwise, and
# the edge in its stead could be anything, such as the button that closes a window.
MOST_OUTSIDE = 0.02
# Actions that end a task.
ANSWER, TERMINATE = "answer", "terminate"
_FIELD = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do, as a value.

    Args:
        tool: the tool's name, or what the model wrote in its place.
        name: the value of the tool's argument `action`, else the tool's name.
        arguments: what satisfied the tool's schema; as written where there is a problem.
        start: where it acts, or begins, in fractions of the picture.
        end: where a swipe ends.
        box: the region it names.
        says: a sentence with {place}, {end} and the arguments' names.
        problem: why it must not be done; empty for a valid action.
        notes: what was changed in reading it.
    """

    tool: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    start: Point | None = None
    end: Point | None = None
    box: Box | None = None
    says: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("An action has no name.", "Give the tool's name in its place.")
        if self.end is not None and self.start is None:
            raise InputError(f"{self.name} ends somewhere but begins nowhere.", "Give its start.")

    @property
    def valid(self) -> bool:
        """Whether the call is one that the tool takes."""
        return not self.problem

    @property
    def finishes(self) -> bool:
        """Whether the task is over with it."""
        return self.valid and self.name in (ANSWER, TERMINATE)

    def sentence(self, width: int, height: int) -> str:
        """What it does, for people, with pixels of a screenshot of this size."""
        if self.problem:
            return self.problem
        places = {
            name: "({}, {})".format(*point.to_pixels(width, height))
            for name, point in (("place", self.start), ("end", self.end))
            if point is not None
        }
        values = {name: _shown(name, value) for name, value in self.arguments.items()} | places
        if self.says:
            # In one pass: a name in braces, in a typed text, is the text's own.
            return _FIELD.sub(lambda field: values.get(field[1], field[0]), self.says)
        inside = ", ".join(f"{name} {value}" for name, value in values.items() if name != "action")
        return f"{self.name}: {inside}." if inside else f"{self.name}."

    def to_dict(self, width: int, height: int) -> dict[str, Any]:
        """JSON of it, with places in pixels of a screenshot of this size."""
        value: dict[str, Any] = {"tool": self.tool, "action": self.name, "valid": self.valid}
        if self.start is not None:
            value["x"], value["y"] = self.start.to_pixels(width, height)
        if self.end is not None:
            value["x2"], value["y2"] = self.end.to_pixels(width, height)
        if self.box is not None:
            value["box"] = list(self.box.to_pixels(width, height))
        value["arguments"] = dict(self.arguments)
        if self.problem:
            value["problem"] = self.problem
        return value


def read_actions(answer: ToolAnswer, tools: Sequence[Tool]) -> tuple[Action, ...]:
    """Every call of an answer as an action; one that its tool does not take has a problem."""
    return tuple(_action(call, tools) for call in answer.calls)


def _action(call: ToolCall, tools: Sequence[Tool]) -> Action:
    tool, arguments, notes = _tool_of(call, tools)
    wanted = arguments.get("action")
    name = wanted if isinstance(wanted, str) and wanted.strip() else (call.name or "unnamed")
    if tool is None:
        known = ", ".join(tool.name for tool in tools)
        problem = f"There is no tool {call.name[:60]!r}; there is {known}."
        return Action(call.name, name, _plain(arguments), problem=problem)
    try:
        checked, changed = checked_arguments(tool, arguments)
    except ParseError as error:
        return Action(tool.name, name, _plain(arguments), problem=error.problem)
    name = str(checked.get("action", tool.name))
    start, end, box = (_numbers_at(checked, *keys) for keys in (START, END, BOX))
    for numbers in filter(None, (start, end)):
        if _outside(numbers, tool.grid, MOST_OUTSIDE):
            problem = f"{numbers} is outside of the picture, which ends at {tool.grid}."
            return Action(tool.name, name, _plain(checked), problem=problem)
    if box and _outside(box, tool.grid, 0):
        changed.append(f"the box {box} was cut at the picture's edge")
    grid = tool.grid, tool.grid
    return Action(
        tool.name,
        name,
        _plain(checked),
        Point.from_pixels(start[0], start[1], *grid) if start else None,
        Point.from_pixels(end[0], end[1], *grid) if start and end else None,
        Box.from_pixels(box[0], box[1], box[2], box[3], *grid) if box else None,
        tool.says.get(name, ""),
        notes=(*notes, *changed),
    )


def _tool_of(
    call: ToolCall, tools: Sequence[Tool]
) -> tuple[Tool | None, Mapping[str, Any], list[str]]:
    """(the tool that is called, its arguments, what had to be guessed)."""
    for tool in tools:
        if call.name == tool.name:
            return tool, call.arguments, []
    same = [tool for tool in tools if tool.name.lower() == call.name.strip().lower()]
    if len(same) == 1:
        return same[0], call.arguments, [f"it wrote {call.name[:40]!r} for {same[0].name}"]
    # {"name": "left_click", …}: the action in place of the tool's name.
    acting = [tool for tool in tools if call.name in tool.actions]
    if call.name and len(acting) == 1:
        notes = [f"it called the action {call.name} in place of {acting[0].name}"]
        return acting[0], {"action": call.name} | dict(call.arguments), notes
    action = call.arguments.get("action")
    able = [tool for tool in tools if isinstance(action, str) and action in tool.actions]
    if len(tools) == 1 and (not call.name or able):
        note = f"it called {call.name[:40]!r}" if call.name else "it did not name the tool"
        return tools[0], call.arguments, [f"{note}, read as {tools[0].name}"]
    if not call.name and len(able) == 1:
        return able[0], call.arguments, [f"it did not name the tool, read as {able[0].name}"]
    return None, call.arguments, []


def _outside(numbers: Sequence[float], grid: int, beside: float) -> bool:
    return min(numbers) < -grid * beside or max(numbers) > grid * (1 + beside)


def _numbers_at(
    arguments: Mapping[str, Any], keys: Sequence[str], count: int
) -> list[float] | None:
    """The first of these arguments that is so many numbers."""
    for key in keys:
        value = arguments.get(key)
        if isinstance(value, (list, tuple)) and len(value) == count:
            numbers = [n for n in map(to_number, value) if n is not None]
            if len(numbers) == count:
                return numbers
    return None


def _shown(name: str, value: Any) -> str:
    if name == "keys" and isinstance(value, list):
        return "+".join(map(str, value))
    # A button or a status is a word of the tool, not of the user: it needs no quotes.
    if isinstance(value, str) and name in ("button", "status"):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """A value that every JSON reader and file can carry: no NaN, no half surrogates."""
    if isinstance(value, Mapping):
        return {clean_text(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return clean_text(value) if isinstance(value, str) else value
