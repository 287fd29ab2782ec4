"""A model's answer into `Detections`, and back into the text that the model would write.

Formats: Qwen3-VL cookbooks "2d_grounding", "3d_grounding" and "ocr" (`bbox_2d`, `point_2d`,
`bbox_3d`, `text_content`), and what models make of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..detection.boxes import Box, Detection, Detections, Point
from ..detection.boxes3d import AngleOrder
from ..errors import ParseError
from ..text.json_find import JsonFound, UnfinishedDict, find_json
from ..text.printable import clean_text
from ..text.thinking import THINK_END, answer_of
from .names import ENGLISH, name_in
from .place_forms import (
    CORNER_AND_SIZE,
    COUNTS,
    LABEL_KEYS,
    LATE_LABEL_KEYS,
    POINT_KEYS,
    NamedPlace,
    bare_numbers,
    labels_of,
    places_of,
)
from .shapes import ShapeReader, Units
from .tool_calls import ToolAnswer, parse_tool_calls

# Arguments of calls that are a place: of the official tools, and of what people call theirs.
PLACE_ARGUMENTS = ("coordinate", "coordinate2", "start_coordinate", "end_coordinate")
# Named with numbers behind it, but in nothing that can be read as JSON; or as other models write
# it: <box>(1,2),(3,4)</box> of Qwen2-VL, <point x="1" y="2"> of Molmo, {"x1": 1, "y1": 2, ...}.
_NAMED_SHAPE = re.compile(
    r"\b(?:bbox(?:_2d|_3d)?|point_2d)\W{0,9}\d|<\|?box(?:_start\|)?>\s{0,9}[(\[]"
    r"|<points?\s{1,9}x1?=|[\"'](?:x1|x_?min)[\"']\s{0,9}:"
    r"|\(\d{1,5},\s?\d{1,5}\)\s?,\s?\(\d{1,5},\s?\d{1,5}\)"
)


def parse_detections(
    text: str,
    width: int,
    height: int,
    units: Units = "qwen",
    order: AngleOrder = "pitch_yaw_roll",
    language: str = ENGLISH,
) -> Detections:
    """Every box, point and 3D box in an answer about a picture of `width` x `height` pixels.

    An answer that names nothing gives no items. What was changed or left out is in `notes`. A
    call of a tool is read as the places that it names.

    Args:
        text: the whole answer; thinking, sentences and fences around the JSON do not matter.
        units: what the coordinates count: thousandths, pixels of the picture, or fractions.
        order: which angles the last three numbers of `bbox_3d` are.
        language: which of several names is the label, where an item has no label of its own.

    Raises:
        ParseError: the answer names places, but none of them can be read.
    """
    answer, cut_in_thinking = answer_of(text)
    found = find_json(answer)
    reader = ShapeReader(width, height, units, order)
    items: list[Detection] = []
    repaired = False
    for one in found:
        before = reader.seen
        items.extend(_items(one.value, reader, language))
        repaired |= one.repaired and reader.seen > before
    called = parse_tool_calls(answer, found) if not reader.seen else ToolAnswer()
    if called.calls or called.problems:
        items = list(_called_items(called, reader))
        repaired |= called.repaired
    elif not reader.seen:
        items = list(_bare_items(found, reader))
        repaired |= bool(items)
    truncated = cut_in_thinking or any(one.truncated for one in found) or called.truncated
    unreadable = reader.unreadable if reader.seen else _NAMED_SHAPE.search(answer)
    if unreadable and not items and not truncated:
        raise _unreadable(answer, reader)
    return Detections(width, height, tuple(items), truncated, repaired, reader.all_notes())


def to_qwen_text(items: Iterable[Detection], order: AngleOrder = "pitch_yaw_roll") -> str:
    """The items as Qwen3-VL writes them: a JSON list, one item a line, coordinates 0-1000."""
    lines = []
    for item in items:
        if isinstance(item.shape, Box):
            place: dict[str, Any] = {"bbox_2d": list(item.shape.to_qwen())}
        elif isinstance(item.shape, Point):
            place = {"point_2d": list(item.shape.to_qwen())}
        else:
            place = {"bbox_3d": item.shape.to_qwen(order)}
        own = {**place, "label": item.label}
        whole = own | {k: v for k, v in item.attributes.items() if k not in own}
        line = json.dumps(whole, ensure_ascii=False)
        # The one mark that a reader of answers looks for before it reads JSON.
        lines.append("\t" + line.replace(THINK_END, THINK_END.replace("/", "\\/")))
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def _items(value: Any, reader: ShapeReader, language: str) -> Iterator[Detection]:
    """The items in a JSON value, in order; what is cut off is passed over."""
    if isinstance(value, list):
        for part in value:
            yield from _items(part, reader, language)
    elif isinstance(value, dict):
        places = [] if isinstance(value, UnfinishedDict) else places_of(value)
        if places:
            yield from _item(value, places, reader, language)
            return
        for part in value.values():
            if isinstance(part, (list, dict)):
                yield from _items(part, reader, language)


def _item(
    value: dict[str, Any], places: list[NamedPlace], reader: ShapeReader, language: str
) -> Iterator[Detection]:
    """One object that names a place; one detection for each place it names."""
    label_key, label = _label_of(value, language)
    what = f'item "{label[:40]}"' if label else "an item without a label"
    for place in places:
        if place.value in (None, [], ""):
            continue
        reader.spelled |= place.keys in (*CORNER_AND_SIZE, POINT_KEYS)
        several = place.value if isinstance(place.value, list) else []
        several = several if any(isinstance(part, list) for part in several) else []
        each = labels_of(value, len(several))
        own = {key for one in places for key in one.keys} | {each[0] if each else label_key}
        attributes = _attributes(value, own, reader, what)
        if each is None:
            if isinstance(value.get(label_key), list) and len(several) > 1:
                reader.note(f"{what}: {len(value[label_key])} labels for {len(several)} places")
            for shape in reader.read(place.kind, place.value, what):
                yield Detection(label, shape, attributes)
            continue
        for name, part in zip(each[1], several, strict=True):
            for shape in reader.read(place.kind, part, f'item "{name[:40]}"'):
                yield Detection(clean_text(name), shape, attributes)


def _label_of(value: dict[str, Any], language: str) -> tuple[str, str]:
    """The key of an item's label, "" for names in several languages, and the label."""
    key = next((key for key in LABEL_KEYS if _is_label(value.get(key))), "")
    if not key and (name := name_in(value, language)):
        return "", clean_text(name)
    key = key or next((key for key in LATE_LABEL_KEYS if _is_label(value.get(key))), "")
    return key, _label(value[key]) if key else ""


def _attributes(
    value: dict[str, Any], own: set[str], reader: ShapeReader, what: str
) -> dict[str, Any]:
    """What else an item says."""
    attributes = {}
    for key, part in value.items():
        if key in own:
            continue
        if _is_clean(part):
            attributes[clean_text(key)] = _clean(part)
        else:
            reader.note(f"{what}: {key[:40]} left out, it is not a finite number")
    return attributes


def _is_label(value: Any) -> bool:
    """Whether a value is a label by itself: names in several languages are not."""
    return value is not None and not (isinstance(value, dict) and name_in({"names": value}))


def _called_items(called: ToolAnswer, reader: ShapeReader) -> Iterator[Detection]:
    """The places that calls of tools name, each labelled with what is done there."""
    for call in called.calls:
        action = call.arguments.get("action")
        what = clean_text(str(action if isinstance(action, str) else call.name))[:80]
        places = [key for key in PLACE_ARGUMENTS if call.arguments.get(key) not in (None, "", [])]
        for key in places:
            for shape in reader.read("point_2d", call.arguments[key], f'call "{what[:40]}"'):
                yield Detection(what, shape)
        tool = f"a call of {clean_text(call.name)[:60]}" if call.name else "a call of a tool"
        done = "read as the place that it names" if places else f"names no place: {what[:40]}"
        reader.note(f"{tool} {done}")
    for problem in called.problems:
        reader.note(clean_text(problem))


def _bare_items(found: list[JsonFound], reader: ShapeReader) -> Iterator[Detection]:
    """Lists of 4 or 9 numbers without the names asked for, as in `{"cat": [1, 2, 3, 4]}`."""
    for one in found:
        for name, numbers in bare_numbers(one.value):
            key = "bbox_3d" if len(numbers) == COUNTS["bbox_3d"] else "bbox_2d"
            label = clean_text(name)
            for shape in reader.read(key, numbers, f'item "{label[:40]}"'):
                yield Detection(label, shape)


def _label(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_label(part) for part in value)
    if isinstance(value, str):
        return clean_text(value)
    return clean_text(json.dumps(value, ensure_ascii=False))


def _is_clean(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_clean, value))
    if isinstance(value, dict):
        return all(map(_is_clean, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


def _clean(value: Any) -> Any:
    """The value in plain lists and dicts, with text that every file can carry."""
    if isinstance(value, list):
        return [_clean(part) for part in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(part) for key, part in value.items()}
    return clean_text(value) if isinstance(value, str) else value


def _unreadable(answer: str, reader: ShapeReader) -> ParseError:
    why = f" ({reader.notes[0]})" if reader.notes else ""
    start = " ".join(answer[:200].split())
    return ParseError(
        f"The answer names places that cannot be read{why}; it begins: {start}",
        "Ask again with another seed, or ask for fewer things.",
    )
