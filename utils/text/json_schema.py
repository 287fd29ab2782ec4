"""JSON Schemas that come from a workflow: bounded, never fetched, and an answer checked by one.

The validator is the package jsonschema. What could hang or fetch is taken out of its hands: a
pattern is matched by the package regex, which knows a time limit, references stay inside the
schema, and the work is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import InputError, ParseError

MAX_SCHEMA_CHARACTERS = 64_000
MAX_DEPTH = 32
MAX_STEPS = 20_000
MAX_ERRORS = 5
PATTERN_SECONDS = 0.5


class _TooMuchWorkError(Exception):
    """More steps than any form needs: references that multiply."""


def check_schema(schema: Any) -> dict[str, Any]:
    """The schema itself, if it is one that the pack can use.

    Raises:
        InputError: no JSON Schema, one that is too large, or one that refers to another place.
    """
    if not isinstance(schema, dict):
        raise InputError("A JSON Schema is an object.", 'Write {"type": "object", ...}.')
    _bound(schema)
    for key, value in _pairs(schema):
        refers = key in ("$ref", "$dynamicRef") and isinstance(value, str)
        if refers and not value.startswith("#"):
            raise InputError(
                f"The schema refers to {value[:80]!r}, which is not in it.",
                "Put the definition under $defs and refer to it by #/$defs/name.",
            )
        if key == "patternProperties":
            raise InputError(
                "The schema has patternProperties, which are not supported.",
                "Name the properties, or use additionalProperties.",
            )
    jsonschema = _package()
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "its top"
        raise InputError(
            f"The JSON Schema is wrong at {where}: {error.message[:200]}", "Correct it."
        ) from None
    return schema


def faults_of(value: Any, schema: dict[str, Any]) -> list[str]:
    """What in a value the schema does not allow, a sentence each; empty if it is valid.

    Raises:
        InputError: the schema cannot be applied: a reference leads nowhere or round in a circle,
            or a pattern takes too long.
    """
    validator = _validator(schema)
    faults = []
    try:
        for error in validator.iter_errors(value):
            where = "".join(f"[{part!r}]" for part in error.absolute_path)
            faults.append(f"{where or 'the answer'}: {error.message[:200]}")
            if len(faults) >= MAX_ERRORS:
                break
    except (RecursionError, _TooMuchWorkError):
        problem = "The JSON Schema refers to itself without end, or multiplies."
        raise InputError(problem, "Simplify its $ref, anyOf and allOf.") from None
    except TimeoutError:
        problem = f"A pattern of the JSON Schema takes more than {PATTERN_SECONDS} s."
        raise InputError(problem, "Simplify the pattern.") from None
    except Exception as error:  # of referencing: no common class for what cannot be resolved
        if type(error).__module__.partition(".")[0] not in ("referencing", "jsonschema"):
            raise
        problem = f"The JSON Schema cannot be applied: {str(error)[:200]}"
        raise InputError(problem, "Check its $ref.") from None
    return faults


def as_typed(value: Any, schema: Any) -> tuple[Any, list[str]]:
    """Strings that are the number, the truth value or the null that the schema asks for, as such.

    Models often write "12.50" where a number is asked for. Returns the value and a note for each
    change; whatever is not exactly such a word stays, for the schema to refuse.
    """
    notes: list[str] = []
    return _typed(value, schema, "", notes, 0), notes


def _typed(value: Any, schema: Any, where: str, notes: list[str], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        known = schema.get("properties")
        known = known if isinstance(known, dict) else {}
        return {k: _typed(v, known.get(k), f"{where}.{k}", notes, depth + 1)
                for k, v in value.items()}  # fmt: skip
    if isinstance(value, list):
        items = schema.get("items")
        return [_typed(v, items, f"{where}[{n}]", notes, depth + 1) for n, v in enumerate(value)]
    wanted = schema.get("type")
    kinds = wanted if isinstance(wanted, list) else [wanted]
    if not isinstance(value, str) or "string" in kinds:
        return value
    typed = _from_word(value.strip(), kinds)
    if typed is value or typed is _SAME:
        return value
    notes.append(f"{where.lstrip('.')}: {value[:40]!r} taken as {json.dumps(typed)}")
    return typed


_SAME = object()


def _from_word(word: str, kinds: list[Any]) -> Any:
    if "integer" in kinds and word.lstrip("-").isdecimal() and len(word) < 16:
        return int(word)
    if "number" in kinds:
        try:
            number = float(word)
        except ValueError:
            number = float("nan")
        if number - number == 0 and not word.isalpha():
            return int(number) if word.lstrip("-").isdecimal() and len(word) < 16 else number
    if "boolean" in kinds and word.lower() in ("true", "false"):
        return word.lower() == "true"
    if "null" in kinds and word.lower() in ("", "null", "none"):
        return None
    return _SAME


def _validator(schema: dict[str, Any]) -> Any:
    jsonschema = _package()
    import referencing

    base = jsonschema.Draft202012Validator
    steps = 0

    def counted(keyword: Any) -> Any:
        def check(validator: Any, value: Any, instance: Any, owner: Any) -> Iterator[Any]:
            nonlocal steps
            steps += 1
            if steps > MAX_STEPS:
                raise _TooMuchWorkError
            yield from keyword(validator, value, instance, owner) or ()

        return check

    def pattern(_: Any, value: str, instance: Any, __: Any) -> Iterator[Any]:
        import regex

        if isinstance(instance, str):
            try:
                found = regex.search(value, instance, timeout=PATTERN_SECONDS)
            except regex.error as error:
                raise InputError(
                    f"The pattern {value[:80]!r} of the schema is wrong: {error}.", "Correct it."
                ) from None
            if not found:
                message = f"{instance[:80]!r} does not match {value[:80]!r}"
                yield jsonschema.ValidationError(message)

    keywords = {name: counted(check) for name, check in base.VALIDATORS.items()}
    bounded = jsonschema.validators.extend(base, keywords | {"pattern": pattern})
    # A registry without a way to retrieve: nothing is read from a disk or a network.
    return bounded(schema, registry=referencing.Registry())


def _package() -> Any:
    try:
        import jsonschema
        import jsonschema.validators
    except ImportError:
        raise InputError(
            "Answers are checked with the package jsonschema, which is not installed.",
            "pip install jsonschema",
        ) from None
    return jsonschema


def _bound(schema: Any) -> None:
    size, level = 0, [schema]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                size += sum(len(str(key)) + 1 for key in part)
                below.extend(part.values())
            elif isinstance(part, list):
                size += len(part)
                below.extend(part)
            else:
                size += len(part) if isinstance(part, str) else 1
        if size > MAX_SCHEMA_CHARACTERS:
            problem = f"The JSON Schema has more than {MAX_SCHEMA_CHARACTERS} characters."
            raise InputError(problem, "Ask for fewer fields at once.")
        if not below:
            return
        level = below
    raise InputError(f"The JSON Schema is nested more than {MAX_DEPTH} deep.", "Make it flatter.")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object, with its value; the depth has been bounded."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield str(key), part
            yield from _pairs(part)
    elif isinstance(value, list):
        for part in value:
            yield from _pairs(part)


def parse_json_text(text: str, what: str) -> Any:
    """A JSON text of the user.

    Raises:
        ParseError: not JSON, or nested too deep for a form.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{what} is not JSON: {str(error)[:120]}", "Correct it.") from None
