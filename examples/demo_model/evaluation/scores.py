"""Was an answer right? Pure functions from an answer's text and the truth to a figure."""

from __future__ import annotations

import json
import re
from collections import Counter

from world.nouns import COLOURS, SHAPES
from world.pages import Page
from world.scenes import Scene, iou
from world.shapes import Box

_NAME = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_CLOCK = re.compile(r"(\d+):(\d+(?:\.\d+)?)")


def names_in(text: str) -> Counter[str]:
    """How often each "red circle" is named."""
    return Counter(" ".join(found) for found in _NAME.findall(text.lower()))


def caption_exact(text: str, scene: Scene) -> bool:
    """Exactly the right objects, each as often as it is there."""
    return names_in(text) == Counter(thing.name for thing in scene.things)


def first_number(text: str) -> int | None:
    """The first whole number of a text."""
    found = re.search(r"\d+", text)
    return int(found[0]) if found else None


def fenced_json(text: str) -> object | None:
    """The JSON of an answer; None where there is none or it is broken."""
    found = _FENCE.search(text)
    try:
        return json.loads(found[1] if found else text)
    except ValueError:
        return None


def pixel_boxes(items: object, key: str, size_wh: tuple[int, int]) -> list[tuple[str, Box]]:
    """(label, box in pixels) of every well-formed item of an answer's list."""
    boxes = []
    for item in items if isinstance(items, list) else []:
        place = item.get("bbox_2d") if isinstance(item, dict) else None
        if isinstance(place, list) and len(place) == 4:
            boxes.append(
                (
                    str(item.get(key, "")),
                    tuple(v / 1000 * size_wh[k % 2] for k, v in enumerate(place)),
                )
            )
    return boxes


def match(found: list[tuple[str, Box]], truth: list[tuple[str, Box]]) -> tuple[int, list[float]]:
    """Greedy matching by overlap: right labels, and the overlap of each true box."""
    left, overlaps, right = list(found), [], 0
    for label, box in truth:
        best = max(left, key=lambda one: iou(one[1], box), default=None)
        overlaps.append(iou(best[1], box) if best else 0.0)
        if best and overlaps[-1] > 0:
            right += best[0] == label
            left.remove(best)
    return right, overlaps


def inside(point: tuple[float, float], polygon) -> bool:
    """Whether a point lies in a polygon (even-odd rule)."""
    x, y = point
    result = False
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=False):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            result = not result
    return result


def words_right(text: str, truth: str) -> tuple[int, int]:
    """(words read exactly, words printed), as multisets."""
    wanted = Counter(truth.split())
    return (wanted & Counter(text.split())).total(), wanted.total()


def page_boxes(text: str, size_wh: tuple[int, int]) -> list[tuple[str, Box]]:
    """(kind, box in pixels) of every element with data-bbox."""
    kinds = {"h1": "title", "p": "paragraph", "img": "figure", "table": "table"}
    found = re.findall(r'<(h1|p|img|table) data-bbox="(\d+) (\d+) (\d+) (\d+)"', text)
    boxes = []
    for tag, *place in found:
        x1, y1, x2, y2 = (int(v) / 1000 * size_wh[k % 2] for k, v in enumerate(place))
        boxes.append((kinds[tag], (x1, y1, x2, y2)))
    return boxes


def layout_iou(text: str, page: Page) -> float:
    """Mean overlap of the page's blocks with the answer's blocks of the same kind."""
    found = page_boxes(text, page.size_wh)
    overlaps = []
    for block in page.blocks:
        same = [iou(box, block.box) for kind, box in found if kind == block.kind]
        overlaps.append(max(same, default=0.0))
    return sum(overlaps) / len(overlaps)


def seconds(clock: str) -> float:
    """A clock such as "00:01.50" in seconds."""
    found = _CLOCK.search(clock)
    if found is None:
        raise ValueError(f"{clock!r} is no clock")
    minutes, rest = found.groups()
    return int(minutes) * 60 + float(rest)


def event_ends(
    text: str, truth: list[tuple[str, float, float]], reach: float = 0.5
) -> tuple[int, int]:
    """(starts and ends within `reach` seconds, all); events are found by their object's name."""
    answer, right = fenced_json(text), 0
    spans = []
    for span, description in answer.items() if isinstance(answer, dict) else []:
        clocks = _CLOCK.findall(span)
        if len(clocks) == 2:
            start, end = (int(m) * 60 + float(s) for m, s in clocks)
            spans.append((str(description), start, end))
    for name, start, end in truth:
        same = [s for s in spans if name in s[0].lower()]
        best = min(same, key=lambda s: abs(s[1] - start) + abs(s[2] - end), default=None)
        if best:
            right += (abs(best[1] - start) <= reach + 1e-6) + (abs(best[2] - end) <= reach + 1e-6)
    return right, 2 * len(truth)


def clicked(text: str, size_wh: tuple[int, int]) -> tuple[float, float] | None:
    """The pixel of the one tool call of an answer."""
    found = re.search(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", text, re.DOTALL)
    if found is None:
        return None
    try:
        x, y = json.loads(found[1])["arguments"]["coordinate"]
        return x / 1000 * size_wh[0], y / 1000 * size_wh[1]
    except (ValueError, KeyError, TypeError):
        return None
