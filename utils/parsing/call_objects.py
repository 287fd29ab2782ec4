"""A JSON value of an answer as calls of tools, in the forms that models and servers write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..text.json_find import JsonFound, UnfinishedDict, find_json

# What may stand in place of "arguments".
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "arguments_json")
NAME_KEYS = ("name", "tool", "tool_name", "function_name")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as the model wrote it; nothing in it has been checked against a tool.

    `name` is empty where the answer gives arguments alone. `repaired`: it was not written as its
    format wants it, but could be read in one way only.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    repaired: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise InputError(
                f"The arguments of {self.name or 'a call'} are no object.", "Give a mapping."
            )


def calls_in(found: JsonFound, must_look_like_one: bool = False) -> list[ToolCall]:
    """The calls in a JSON value: one, a list of them, or OpenAI's message."""
    return list(_walk(found.value, found.repaired, must_look_like_one))


def _walk(value: Any, repaired: bool, strict: bool) -> Iterator[ToolCall]:
    if isinstance(value, list):
        for part in value:
            yield from _walk(part, repaired, strict)
    elif isinstance(value, dict):
        inner = value.get("tool_calls") or value.get("function_call") or value.get("function")
        if isinstance(inner, (list, dict)):
            yield from _walk(inner, repaired, strict)
            return
        call = _call(value, repaired, strict)
        if call is not None:
            yield call


def _call(value: dict[str, Any], repaired: bool, strict: bool) -> ToolCall | None:
    """One object as a call; None if it is not meant as one."""
    name = next((value[key] for key in NAME_KEYS if isinstance(value.get(key), str)), None)
    if name is None and isinstance(value.get("function"), str):
        name = value["function"]
    key = next((key for key in ARGUMENT_KEYS if key in value), None)
    if key is not None:
        arguments = _object(value[key])
        if arguments is None or (strict and name is None):
            return None
        return ToolCall((name or "").strip(), arguments, repaired or name is None)
    rest = {k: v for k, v in value.items() if k not in (*NAME_KEYS, "function", "id", "type")}
    if isinstance(value.get("action"), str):
        # The arguments beside the name; or alone, as of the only tool that was offered.
        return ToolCall((name or "").strip(), rest, True)
    if name is not None and not strict:
        return ToolCall(name.strip(), rest, bool(rest) or repaired)
    return None


def _object(value: Any) -> dict[str, Any] | None:
    """Arguments as an object: written so, as a JSON text, or left out."""
    if isinstance(value, dict):
        return None if isinstance(value, UnfinishedDict) else value
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        found = find_json(value)
        if len(found) == 1 and isinstance(found[0].value, dict) and not found[0].truncated:
            return found[0].value
    return None


def meant_as_call(value: Any) -> bool:
    """Whether an unfinished value began as a call."""
    if isinstance(value, list):
        return any(map(meant_as_call, value))
    if not isinstance(value, dict):
        return False
    named = any(isinstance(value.get(key), str) for key in NAME_KEYS)
    return (named and any(key in value for key in ARGUMENT_KEYS)) or isinstance(
        value.get("action"), str
    )


def with_brackets(text: str) -> str:
    """The text with the closing brackets that it lacks at its end."""
    missing = []
    for match in _STRING_OR_BRACKET.finditer(text):
        first = match[0][0]
        if first in "{[":
            missing.append("}" if first == "{" else "]")
        elif first in "}]" and missing:
            missing.pop()
    return text + "".join(reversed(missing))
