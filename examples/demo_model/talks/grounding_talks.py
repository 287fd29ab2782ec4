"""Boxes and points in one picture of shapes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from world.asked import category, near_miss, superlative
from world.scenes import Scene, Thing

from talks import answers
from talks import wordings as say
from talks.answers import plural
from talks.lesson import Talk, one
from talks.phrasing import ask


def box_items(scene: Scene, things: list[Thing], label: Callable[[Thing], str]) -> list[dict]:
    """The boxes of some things, from left to right, as the answer writes them."""
    ordered = [t for t in scene.things if t in things]
    return [
        {"bbox_2d": answers.scaled_box(t.box, scene.size_wh), "label": label(t)} for t in ordered
    ]


def _asked(
    rng: random.Random, scene: Scene, absent: float
) -> tuple[str, list[Thing], Callable[[Thing], str]]:
    """Categories as a user lists them, the things they name, and each thing's label."""
    if rng.random() < 0.3:  # everything
        noun = rng.choice(
            ("object", "objects", "shapes", "all objects", "every object", "all shapes")
        )
        return noun, list(scene.things), lambda t: t.name
    if rng.random() < 0.35:  # several categories
        by_shape = rng.random() < 0.5
        key = (lambda t: t.shape) if by_shape else (lambda t: t.name)
        present = list(dict.fromkeys(key(t) for t in scene.things))
        if rng.random() < 0.15:  # none of them is there
            misses = [near_miss(rng, scene, scene.things[0]) for _ in range(rng.randint(2, 4))]
            return ", ".join(dict.fromkeys(misses)), [], key
        chosen = rng.sample(present, rng.randint(1, len(present)))
        if rng.random() < 0.4:
            miss = near_miss(rng, scene, scene.things[0])
            if by_shape == (" " not in miss):
                chosen.insert(rng.randint(0, len(chosen)), miss)
        return ", ".join(chosen), [t for t in scene.things if key(t) in chosen], key
    noun, found = category(rng, scene, absent, generic=False)
    return (plural(noun) if rng.random() < 0.3 else noun), found, lambda t: noun


def boxes(rng: random.Random, scene: Scene) -> Talk:
    """Boxes by category; `[]` for what is not there."""
    noun, found, label = _asked(rng, scene, absent=0.22)
    question = ask(rng, say.BOXES, noun, preset_id="ground_boxes")
    return one(
        "boxes" if found else "absent",
        question,
        answers.fenced_items(box_items(scene, found, label)),
    )


def referring(rng: random.Random, scene: Scene) -> Talk:
    """Boxes by description."""
    extreme_of = superlative(rng, scene)
    kind = rng.random()
    if kind < 0.35 and extreme_of:
        names = {
            "left": "the leftmost object",
            "right": "the rightmost object",
            "top": "the topmost object",
            "bottom": "the lowest object",
            "largest": "the largest object",
            "smallest": "the smallest object",
        }
        phrase, found = names[extreme_of[0]], [extreme_of[1]]
    else:
        phrase, found = category(rng, scene, absent=0.2, generic=False)
        if rng.random() < 0.3:
            phrase = "the " + phrase
    question = ask(rng, say.REFERRING, phrase, preset_id="ground_phrase")
    return one(
        "referring", question, answers.fenced_items(box_items(scene, found, lambda t: phrase))
    )


def attributes(rng: random.Random, scene: Scene) -> Talk:
    """Boxes with extra keys: "type" is the shape of an object, and the size of a named shape."""
    generic = rng.random() < 0.6
    noun = rng.choice(("object", "shape")) if generic else rng.choice(scene.things).shape
    found = [t for t in scene.things if generic or t.shape == noun]
    values = {
        "type": (lambda t: t.shape) if generic else (lambda t: t.size),
        "color": lambda t: t.colour,
        "size": lambda t: t.size,
        "shape": lambda t: t.shape,
    }
    keys = ["type", "color"] if rng.random() < 0.6 else rng.sample(list(values), rng.randint(1, 3))
    example = {"bbox_2d": "[x1, y1, x2, y2]", "label": noun} | dict.fromkeys(keys, "...")
    shown = json.dumps(example).replace('"[', "[").replace(']"', "]")
    words = ask(rng, say.ATTRIBUTES, noun, " and ".join(keys), shown, preset_id="ground_attributes")
    items = box_items(scene, found, lambda t: noun)
    for item, thing in zip(items, found, strict=False):
        item |= {k: values[k](thing) for k in keys}
    return one("box_attributes", words, answers.fenced_items(items))


def points(rng: random.Random, scene: Scene) -> Talk:
    """Points by category."""
    noun, found, label = _asked(rng, scene, absent=0.12)
    items = [
        {"point_2d": answers.scaled_point(t.point, scene.size_wh), "label": label(t)} for t in found
    ]
    return one(
        "points",
        ask(rng, say.POINTS, noun, preset_id="ground_by_points"),
        answers.fenced_items(items),
    )
