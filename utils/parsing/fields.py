"""What is to be read off a form, in three ways of writing it, and the answer as checked JSON.

Source of the prompt's format: Qwen3-VL cookbook "ocr", key information extraction.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, ParseError
from ..text.json_find import UnfinishedDict, UnfinishedList, find_json
from ..text.json_schema import as_typed, check_schema, faults_of, parse_json_text
from ..text.printable import clean_text
from ..text.thinking import answer_of

MAX_FIELDS = 500
# Beside a field's name in a list: what kind of value it has.
_TYPES = {
    "text": "string", "string": "string", "date": "string", "number": "number",
    "integer": "integer", "int": "integer", "yes/no": "boolean", "boolean": "boolean",
    "bool": "boolean", "list": "array", "array": "array",
}  # fmt: skip
_TYPED = re.compile(r"(.*\S)\s*[(:]\s*([a-z/]+)\s*\)?", re.IGNORECASE | re.DOTALL)
_SCHEMA_KEYS = ("$schema", "properties", "$ref", "$defs", "anyOf", "oneOf", "allOf")
_PLACE_KEYS = ("bbox_2d", "bbox")


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


@dataclass(frozen=True, slots=True)
class Filled:
    """An answer read: the value, and what the schema does not allow in it.

    `truncated`: the answer was cut off. `repaired`: it was not valid JSON. `notes` has a sentence
    for each value that was changed.
    """

    value: Any
    faults: tuple[str, ...] = ()
    truncated: bool = False
    repaired: bool = False
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the value is all that was asked for."""
        return not self.faults and not self.truncated

    def to_json(self) -> str:
        """The value as JSON, on one line."""
        return json.dumps(self.value, ensure_ascii=False)


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


def read_answer(text: str, form: Form) -> Filled:
    """The value in an answer, checked by the form's schema.

    An answer without JSON gives the value None and says so as a fault; it is the caller's to ask
    again.

    Raises:
        ParseError: nested deeper, or longer, than any answer.
        InputError: the schema cannot be applied.
    """
    answer, _ = answer_of(text)
    found = find_json(answer)
    if not found:
        return Filled(None, ("the answer holds no JSON",))
    wants_list = form.schema.get("type") == "array"
    fitting = [one for one in found if isinstance(one.value, list) == wants_list]
    best = (fitting or found)[0]
    value = _clean(best.value)
    if not wants_list and isinstance(value, list) and len(value) == 1:
        value = value[0]
    value, notes = as_typed(value, form.schema)
    if len(found) > 1:
        notes.append(f"the answer holds {len(found)} JSON values, the first that fits was taken")
    faults = [] if best.truncated else faults_of(value, form.schema)
    if best.truncated:
        faults.append("the answer was cut off")
    return Filled(value, tuple(faults), best.truncated, best.repaired, tuple(notes))


def split_places(value: Any) -> tuple[Any, dict[str, list[Any]]]:
    """Values asked for as `{"value": …, "bbox_2d": […]}`: the values alone, and the places.

    The places are by path, as in `items[0].price`; an object without `value` stays as it is.
    """
    places: dict[str, list[Any]] = {}
    return _unplaced(value, "", places), places


def with_places(form: Form) -> Form:
    """The form of an answer that says each value's place too."""
    return Form(_placed_schema(form.schema, 0), _placed_example(form.empty), form.plain)


def pick(value: Any, path: str) -> Any:
    """The value at a path such as `seller.name`, `items[0].price` or `items[-1]`.

    Raises:
        InputError: there is nothing at this path; the message names what is there.
    """
    current = value
    steps = re.findall(r"\[(-?\d{1,6})\]|([^.\[\]]+)", path)
    for number, name in steps:
        if name and isinstance(current, dict) and name in current:
            current = current[name]
        elif number and isinstance(current, list) and -len(current) <= int(number) < len(current):
            current = current[int(number)]
        else:
            raise InputError(
                f"There is no {(name or number)!r} at {path!r}.", f"There {_there(current)}."
            )
    return current


def _there(value: Any) -> str:
    if isinstance(value, dict):
        return "are " + ", ".join(list(map(str, value))[:20]) if value else "is an empty object"
    return f"is a list of {len(value)}" if isinstance(value, list) else "is a single value"


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


def _unplaced(value: Any, path: str, places: dict[str, list[Any]]) -> Any:
    if isinstance(value, dict):
        if "value" in value and set(value) <= {"value", *_PLACE_KEYS}:
            place = next((value[key] for key in _PLACE_KEYS if key in value), None)
            if isinstance(place, list) and place:
                places[path] = place
            return value["value"]
        return {k: _unplaced(v, f"{path}.{k}" if path else str(k), places)
                for k, v in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_unplaced(part, f"{path}[{n}]", places) for n, part in enumerate(value)]
    return value


def _clean(value: Any) -> Any:
    """Plain lists and dicts with text that every file can carry and finite numbers."""
    if isinstance(value, (dict, UnfinishedDict)):
        return {clean_text(str(key)): _clean(part) for key, part in value.items()}
    if isinstance(value, (list, UnfinishedList)):
        return [_clean(part) for part in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return clean_text(value) if isinstance(value, str) else value


__all__ = [
    "Filled", "Form", "ParseError", "pick", "read_answer", "read_form", "split_places",
    "with_places",
]  # fmt: skip
