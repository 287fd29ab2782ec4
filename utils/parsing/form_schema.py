"""What is to be read off a form: a list of names, an example, or a JSON Schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..text.json_schema import check_schema, parse_json_text

MAX_FIELDS = 500
# Beside a field's name in a list: what kind of value it has.
_TYPES = {
    "text": "string", "string": "string", "date": "string", "number": "number",
    "integer": "integer", "int": "integer", "yes/no": "boolean", "boolean": "boolean",
    "bool": "boolean", "list": "array", "array": "array",
}  # fmt: skip
_TYPED = re.compile(r"(.*\S)\s*[(:]\s*([a-z/]+)\s*\)?", re.IGNORECASE | re.DOTALL)
_SCHEMA_KEYS = ("$schema", "properties", "$ref", "$defs", "anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True)
class Form:
    """Fields to be read: the JSON Schema of the answer, and an empty form to show the model.

    `plain`: the form alone says everything; otherwise the schema is shown too.
    """

    schema: dict[str, Any]
    empty: Any
    plain: bool

    @property
    def names(self) -> list[str]:
        """The fields at the top, in order; empty where the answer is a list."""
        properties = self.schema.get("properties")
        return list(properties) if isinstance(properties, dict) else []

    def pattern(self) -> str:
        """The empty form as JSON, as the prompt shows it."""
        return json.dumps(self.empty, ensure_ascii=False)

    def schema_text(self) -> str:
        """The schema as JSON."""
        return json.dumps(self.schema, ensure_ascii=False)


def read_form(text: str) -> Form:
    """The fields that a user wrote: a list of names, an example in JSON, or a JSON Schema.

    Raises:
        InputError: nothing, a name twice, or a schema that cannot be used.
        ParseError: it begins like JSON and is none.
    """
    source = text.strip()
    if not source:
        raise InputError("No field is asked for.", "Write e.g. company, date, total (number).")
    if not source.startswith(("{", "[")):
        return _from_names(source)
    value = parse_json_text(source, "The form")
    if isinstance(value, dict) and _is_schema(value):
        schema = check_schema(value)
        return Form(schema, _empty(schema, schema, 0), plain=_is_flat(schema))
    if value in ({}, []):
        raise InputError("The example has no field.", 'Write e.g. {"company": "", "total": 0}.')
    return Form(check_schema(_schema_of(value)), value, plain=True)


def with_places(form: Form) -> Form:
    """The form of an answer that says each value's place too."""
    return Form(_placed_schema(form.schema, 0), _placed_example(form.empty), form.plain)


def _from_names(source: str) -> Form:
    names: dict[str, str] = {}
    for part in re.split(r"[,;\n\uff0c\u3001\uff1b]", source):
        word = part.strip().strip("\"'").strip()
        if not word:
            continue
        typed = _TYPED.fullmatch(word)
        kind = _TYPES.get(typed[2].lower()) if typed else None
        name = typed[1].strip() if typed and kind else word
        if name in names:
            raise InputError(f"The field {name!r} is asked for twice.", "Leave one out.")
        names[name] = kind or "string"
    if not names or len(names) > MAX_FIELDS:
        raise InputError(
            f"{len(names)} fields are asked for.", f"Write between 1 and {MAX_FIELDS} names."
        )
    empties: dict[str, Any] = {"number": 0, "integer": 0, "boolean": False, "array": []}
    properties = {name: _open_type(kind) for name, kind in names.items()}
    schema = {"type": "object", "properties": properties, "required": list(names)}
    empty = {name: empties.get(kind, "") for name, kind in names.items()}
    return Form(schema, empty, plain=True)


def _open_type(kind: str) -> dict[str, Any]:
    """A field's schema; null is how a model says that the form has nothing there."""
    return {"type": [kind, "null"]}


def _is_schema(value: dict[str, Any]) -> bool:
    if any(key in value for key in _SCHEMA_KEYS if not isinstance(value.get(key), str)):
        return True
    kinds = ("object", "array", "string", "number", "integer", "boolean", "null")
    return "$schema" in value or (value.get("type") in kinds and set(value) & {"items", "required",
                                  "properties", "enum"} != set())  # fmt: skip


def _is_flat(schema: dict[str, Any]) -> bool:
    """Whether an empty form says all that the schema says: names and types, and no more."""
    keys = {"$schema", "title", "type", "properties", "required", "additionalProperties"}
    properties = schema.get("properties")
    return set(schema) <= keys and isinstance(properties, dict) and all(
        isinstance(one, dict) and set(one) <= {"type", "title"} for one in properties.values()
    )  # fmt: skip


def _schema_of(value: Any) -> dict[str, Any]:
    """The schema that an example is an example of: all its fields are wanted."""
    if isinstance(value, dict):
        properties = {key: _schema_of(part) for key, part in value.items()}
        return {"type": "object", "properties": properties, "required": list(value)}
    if isinstance(value, list):
        return {"type": "array", "items": _schema_of(value[0])} if value else {"type": "array"}
    if isinstance(value, bool):
        return _open_type("boolean")
    if isinstance(value, (int, float)):
        return _open_type("number")
    return _open_type("string")


def _empty(schema: Any, root: dict[str, Any], depth: int) -> Any:
    """An empty value of a schema, to show the model what is wanted."""
    if not isinstance(schema, dict) or depth > 12:
        return ""
    target = schema.get("$ref")
    if isinstance(target, str) and target.startswith("#/"):
        found: Any = root
        for name in target[2:].split("/"):
            found = found.get(name) if isinstance(found, dict) else None
        return _empty(found, root, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list) and schema[key] and "properties" not in schema:
            return _empty(schema[key][0], root, depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if isinstance(schema.get("properties"), dict):
        return {k: _empty(part, root, depth + 1) for k, part in schema["properties"].items()}
    if kind == "array":
        return [_empty(schema.get("items"), root, depth + 1)]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return " | ".join(map(str, schema["enum"][:10]))
    empties: dict[Any, Any] = {"number": 0, "integer": 0, "boolean": False, "object": {}}
    return empties.get(kind, "")


def _placed_schema(schema: Any, depth: int) -> dict[str, Any]:
    """The schema with every single value in an object beside its place."""
    if not isinstance(schema, dict) or depth > 12:
        return {}
    if isinstance(schema.get("properties"), dict):
        inner = {k: _placed_schema(v, depth + 1) for k, v in schema["properties"].items()}
        return schema | {"properties": inner}
    if isinstance(schema.get("items"), dict):
        return schema | {"items": _placed_schema(schema["items"], depth + 1)}
    place = {"type": ["array", "null"], "items": {"type": "number"}}
    properties = {"value": schema, "bbox_2d": place}
    return {"type": "object", "properties": properties, "required": ["value"]}


def _placed_example(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placed_example(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_placed_example(part) for part in value]
    return {"value": value, "bbox_2d": ["x1", "y1", "x2", "y2"]}
