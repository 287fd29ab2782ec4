"""The arguments of a call against its tool's JSON Schema: what was meant, or why it cannot be."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ..chat.tool_sets import Tool
from ..errors import ParseError
from ..text.json_find import find_json
from ..text.numbers import to_number

MAX_NOTES = 20


def checked_arguments(tool: Tool, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the arguments as the schema wants them, a note for each that was changed).

    A value of another kind is read where it can be meant in one way only: "12" for a number,
    "[447, 81]" or {"x": 447, "y": 81} for a place, "ctrl+c" for keys, "Click" for "click".

    Raises:
        ParseError: the arguments do not satisfy the schema; in its words.
    """
    schema, notes = tool.schema, []
    given = dict(arguments)
    for name, wanted in schema.get("properties", {}).items():
        if name in given and isinstance(wanted, Mapping):
            given[name] = _meant(name, given[name], wanted, notes)
    errors = sorted(_validator()(schema).iter_errors(given), key=lambda error: str(error.path))
    if errors:
        raise ParseError(
            f"The call of {tool.name} is not what the tool takes: {_words(errors[0])}.",
            "Ask again with another seed, or say more exactly what to do.",
        )
    unknown = [name for name in given if name not in schema.get("properties", {})]
    if unknown and schema.get("additionalProperties", True) is not False:
        notes.append(f"{', '.join(unknown)[:80]}: not an argument of {tool.name}")
    return given, notes[:MAX_NOTES]


@functools.cache
def _validator() -> Any:
    """JSON Schema without regular expressions: a workflow's pattern could run for ever."""
    from jsonschema import Draft202012Validator, validators

    def unchecked(*_: Any) -> tuple[()]:
        return ()

    return validators.extend(
        Draft202012Validator,
        {"pattern": unchecked, "patternProperties": unchecked},
    )


def _words(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    message = " ".join(str(error.message).split())
    if len(message) > 160:  # the value is quoted first, what is wrong with it comes last
        message = f"{message[:60]} \u2026 {message[-90:]}"
    return f"{where}: {message}" if where else message


def _meant(name: str, value: Any, wanted: Mapping[str, Any], notes: list[str]) -> Any:
    """A value in the kind its schema wants; itself where that is not clear."""
    kind, meant = wanted.get("type"), value
    if kind == "array":
        meant = _array(value, wanted)
    elif kind in ("number", "integer") and isinstance(value, str):
        number = to_number(value)
        meant = value if number is None else number
        if number is not None and number.is_integer():
            meant = int(number)
    elif kind == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        meant = str(value)
    elif kind == "boolean" and isinstance(value, str):
        meant = {"true": True, "false": False}.get(value.strip().lower(), value)
    elif kind == "object" and isinstance(value, str):
        meant = _whole_json(value, dict)
    choices = wanted.get("enum")
    if isinstance(choices, list) and isinstance(meant, str) and meant not in choices:
        same = [c for c in choices if isinstance(c, str) and c.lower() == meant.strip().lower()]
        meant = same[0] if len(same) == 1 else meant
    if meant is not value:
        notes.append(f"{name}: {str(value)[:60]!r} was read as {str(meant)[:60]}")
    return meant


def _array(value: Any, wanted: Mapping[str, Any]) -> Any:
    """A list out of what a model writes in its place."""
    if isinstance(value, str):
        value = _list_in(value)
    if isinstance(value, dict) and set(value) == {"x", "y"}:
        value = [value["x"], value["y"]]
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if wanted.get("maxItems") == 2 and len(value) == 2 and isinstance(value[0], list):
        # Two corners of a box: its middle is meant.
        value = [part for corner in value if isinstance(corner, list) for part in corner]
    numeric = isinstance(wanted.get("items"), Mapping) and wanted["items"].get("type") == "number"
    if not numeric:
        return value
    numbers = [to_number(part) for part in value]
    known = [number for number in numbers if number is not None]
    if len(known) != len(value):
        return value
    if wanted.get("maxItems") == 2 and len(known) == 4:
        return [(known[0] + known[2]) / 2, (known[1] + known[3]) / 2]
    return value if known == value else known


def _list_in(text: str) -> Any:
    found = _whole_json(text, list)
    if isinstance(found, list):
        return found
    words = text.strip().strip("()[]").replace(",", " ").split()
    if words and all(to_number(word) is not None for word in words):
        return [to_number(word) for word in words]
    if "+" in text.strip("+"):  # ctrl+shift+t
        return [part.strip() for part in text.split("+") if part.strip()]
    return [text.strip()] if text.strip() else text


def _whole_json(text: str, kind: type) -> Any:
    """The text as the one JSON value it is; itself where it is none of this kind."""
    found = find_json(text)
    if len(found) == 1 and not found[0].truncated and isinstance(found[0].value, kind):
        return found[0].value
    return text
