"""Tools that a model is offered: the official ones of `tool_sets.yaml`, and the user's own."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.control_tokens import CALL_FORM

# Edges of the picture in the coordinates of a tool that does not say otherwise.
QWEN_GRID = 1000
MAX_TOOLS = 64
MAX_TOOLS_CHARACTERS = 100_000
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Tool:
    """One function the model may call.

    Args:
        name: what the model writes to call it.
        description: what the model is told of it.
        parameters: JSON Schema of its arguments, an object, as the model is shown it.
        grid: the coordinate of the picture's right and lower edge.
        checks: JSON Schema of single arguments, for the check alone.
        needs: the arguments that each value of `action` cannot do without.
        says: a sentence for people for each value of `action`.
        title: its entry in a menu, if it has one.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grid: int = QWEN_GRID
    checks: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"{self.name[:80]!r} cannot be the name of a tool.",
                "Use letters, digits, underscores, dots and dashes, 64 at most.",
            )

    @property
    def signature(self) -> dict[str, Any]:
        """The tool as OpenAI-style servers and chat templates take it."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": dict(self.parameters),
            },
        }

    @property
    def actions(self) -> tuple[str, ...]:
        """The values that its argument `action` may have; empty if it has none."""
        action = self.parameters.get("properties", {}).get("action", {})
        return tuple(action.get("enum", ())) if isinstance(action, Mapping) else ()

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema that a call's arguments must satisfy, stricter than what is shown."""
        shown = dict(self.parameters)
        properties = {name: dict(part) for name, part in shown.get("properties", {}).items()}
        for name in properties.keys() & self.checks.keys():
            properties[name] |= self.checks[name]
        rules = [
            {
                "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
                "then": {"required": list(needed)},
            }
            for action, needed in self.needs.items()
        ]
        whole = shown | {"type": "object", "properties": properties}
        return whole | {"allOf": [*shown.get("allOf", []), *rules]} if rules else whole


@functools.cache
def official_tools() -> dict[str, Tool]:
    """The tools of `tool_sets.yaml` by name, in the order of the file."""
    import yaml

    text = Path(__file__).with_name("tool_sets.yaml").read_text(encoding="utf-8")
    return {name: Tool(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def read_tools(text: str) -> tuple[Tool, ...]:
    """The user's own tools out of JSON: one function or a list, bare or in OpenAI's wrapping.

    Raises:
        InputError: no such JSON, a schema that is none, or a name used twice.
    """
    if not text.strip():
        raise InputError("There are no tools.", 'Write JSON like {"name": "…", "parameters": {…}}.')
    if len(text) > MAX_TOOLS_CHARACTERS:
        raise InputError(
            f"The tools are {len(text):,} characters long.",
            f"Keep them below {MAX_TOOLS_CHARACTERS:,}.",
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The tools are no valid JSON: {error}.", 'Write {"name": "…", "parameters": {…}}.'
        ) from None
    entries = value if isinstance(value, list) else [value]
    if not 0 < len(entries) <= MAX_TOOLS:
        raise InputError(f"There are {len(entries)} tools.", f"Give 1 to {MAX_TOOLS}.")
    tools = tuple(_own_tool(number, entry) for number, entry in enumerate(entries, 1))
    names = [tool.name for tool in tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Two tools are called {', '.join(twice)}.", "Rename one of them.")
    return tools


def _own_tool(number: int, entry: Any) -> Tool:
    inner = entry.get("function", entry) if isinstance(entry, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise InputError(
            f"Tool {number} has no name.", 'Write {"name": "…", "description": "…", …}.'
        )
    name, description = inner["name"], inner.get("description", "")
    parameters = inner.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(description, str) or not isinstance(parameters, dict):
        raise InputError(
            f"The tool {name!r} has a description or parameters of another kind.",
            "The description is a text, and the parameters are a JSON Schema of an object.",
        )
    _check_schema(name, parameters)
    return Tool(name, description, parameters)


def _check_schema(name: str, parameters: dict[str, Any]) -> None:
    import jsonschema

    if parameters.get("type", "object") != "object" or "$ref" in json.dumps(parameters):
        raise InputError(
            f"The parameters of {name!r} are no plain object.",
            'Use "type": "object" with "properties", and no "$ref".',
        )
    try:
        jsonschema.Draft202012Validator.check_schema(parameters)
    except jsonschema.SchemaError as error:
        raise InputError(
            f"The parameters of {name!r} are no JSON Schema: {error.message[:200]}.",
            "Correct them.",
        ) from None


def tools_text(tools: Sequence[Tool]) -> str:
    """What a system turn says of the tools, in the words of the official chat template."""
    signatures = "\n".join(json.dumps(tool.signature, ensure_ascii=False) for tool in tools)
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
        f"{signatures}\n</tools>\n\nFor each function call, return a json object with function "
        "name and arguments within " + CALL_FORM
    )


def system_with_tools(tools: Sequence[Tool], system_prompt: str = "", after: str = "") -> str:
    """The whole system turn: the user's own words, the tools, then how to answer."""
    return "\n\n".join(filter(None, (system_prompt.strip(), tools_text(tools), after.strip())))
