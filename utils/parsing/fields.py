"""What was read off a form: an answer as JSON checked by the form's schema, and its places.

Source of the prompt's format: Qwen3-VL cookbook "ocr", key information extraction.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..text.json_find import UnfinishedDict, UnfinishedList, find_json
from ..text.json_schema import as_typed, faults_of
from ..text.printable import clean_text
from ..text.thinking import answer_of
from .form_schema import Form

_PLACE_KEYS = ("bbox_2d", "bbox")


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
