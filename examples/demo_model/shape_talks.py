"""Chats about one picture of shapes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import answers
import wordings as say
from answers import plural
from lesson import Talk, one
from scenes import Scene, Thing
from world import COLOURS, SHAPES, article

_STYLES: dict[str, tuple[tuple[str, ...], Callable[[Scene], str]]] = {
    "caption_short": (say.SHORT, lambda s: answers.caption(s.things)),
    "caption_detailed": (say.DETAILED, answers.detailed),
    "caption_tags": (say.TAGS, answers.tags),
    "caption_prompt": (say.PROMPT, answers.prompt),
    "caption_alt_text": (say.ALT_TEXT, answers.alt_text),
    "caption_training": (say.TRAINING, answers.training),
    "caption_style": (say.STYLE, answers.style),
    "caption_count": (say.COUNT_KINDS, answers.count_kinds),
}


def caption(rng: random.Random, scene: Scene) -> Talk:
    """The short caption."""
    return _caption(rng, scene, "caption_short")


def other_caption(rng: random.Random, scene: Scene) -> Talk:
    """Another preset of the pack."""
    weights = (0, 3, 1, 1, 1, 1, 0.4, 1.5)
    return _caption(rng, scene, rng.choices(list(_STYLES), weights)[0])


def _caption(rng: random.Random, scene: Scene, preset: str) -> Talk:
    words, answer = _STYLES[preset]
    return one(preset, say.ask(rng, words, preset_id=preset), answer(scene))


def count(rng: random.Random, scene: Scene) -> Talk:
    """All objects, or those of one kind."""
    if rng.random() < 0.5:
        return one(
            "count", say.ask(rng, say.COUNT_ALL), answers.there_are(len(scene.things), "object")
        )
    noun, found = _category(rng, scene, absent=0.15)
    return one(
        "count", say.ask(rng, say.COUNT_SOME, plural(noun)), answers.there_are(len(found), noun)
    )


def yes_no(rng: random.Random, scene: Scene) -> Talk:
    """Whether something is there."""
    noun, found = _category(rng, scene, absent=0.5, generic=False)
    return one("yes_no", say.ask(rng, say.IS_THERE, article(noun)), "Yes." if found else "No.")


def _category(
    rng: random.Random, scene: Scene, absent: float, generic: bool = True
) -> tuple[str, list[Thing]]:
    """A noun and the things it names; with chance `absent` a near miss that names nothing."""
    thing = rng.choice(scene.things)
    kind = rng.random()
    if rng.random() < absent:
        return _near_miss(rng, scene, thing), []
    if generic and kind < 0.1:
        return rng.choice(("object", "shape")), list(scene.things)
    if kind < 0.5:
        return thing.shape, [t for t in scene.things if t.shape == thing.shape]
    if kind < 0.6:
        noun = f"{thing.colour} {rng.choice(('object', 'shape'))}"
        return noun, [t for t in scene.things if t.colour == thing.colour]
    if kind < 0.68:
        return thing.full_name, [t for t in scene.things if t.full_name == thing.full_name]
    return thing.name, [t for t in scene.things if t.name == thing.name]


def _near_miss(rng: random.Random, scene: Scene, thing: Thing) -> str:
    """A noun that fits nothing here: often a present colour on a present shape."""
    names = {t.name for t in scene.things} | {t.shape for t in scene.things}
    for _ in range(20):
        colour = rng.choice([rng.choice(scene.things).colour, rng.choice(list(COLOURS))])
        shape = rng.choice([rng.choice(scene.things).shape, rng.choice(SHAPES)])
        noun = rng.choice((shape, f"{colour} {shape}", f"{colour} {shape}"))
        if noun not in names:
            return noun
    return "banana"


def _unique(rng: random.Random, scene: Scene, key: Callable[[Thing], str]) -> Thing | None:
    keys = [key(t) for t in scene.things]
    unique = [t for t in scene.things if keys.count(key(t)) == 1]
    return rng.choice(unique) if unique else None


def attribute(rng: random.Random, scene: Scene) -> Talk:
    """Colour, shape, size or place of one object."""
    kind = rng.randint(0, 3)
    keys = (lambda t: t.shape, lambda t: t.colour, lambda t: t.name, lambda t: t.name)
    thing = _unique(rng, scene, keys[kind])
    if thing is None:
        return extreme(rng, scene)
    if kind == 0:
        return one(
            "attribute",
            say.ask(rng, say.WHICH_COLOUR, thing.shape),
            f"The {thing.shape} is {thing.colour}.",
        )
    if kind == 1:
        return one(
            "attribute",
            say.ask(rng, say.WHICH_SHAPE, thing.colour),
            f"The {thing.colour} object is {article(thing.shape)}.",
        )
    if kind == 2:
        return one(
            "attribute",
            say.ask(rng, say.WHICH_SIZE, thing.name),
            f"The {thing.name} is {thing.size}.",
        )
    place = scene.place(thing)
    return one(
        "attribute",
        say.ask(rng, say.WHERE, thing.name),
        f"The {thing.name} is {'in' if place == 'center' else 'at'} the {place}.",
    )


def _extreme(rng: random.Random, scene: Scene) -> tuple[str, Thing] | None:
    """A superlative that fits one thing clearly."""
    height = scene.size_wh[1]
    orders = {
        "largest": lambda t: -t.area,
        "smallest": lambda t: t.area,
        "left": lambda t: t.point[0],
        "right": lambda t: -t.point[0],
        "top": lambda t: t.point[1],
        "bottom": lambda t: -t.point[1],
    }
    for kind in rng.sample(list(orders), 6):
        ranked = sorted(scene.things, key=orders[kind])
        first, rest = ranked[0], ranked[1:]
        if not rest or kind in ("left", "right"):
            return kind, first
        ratio = max(first.area, rest[0].area) / min(first.area, rest[0].area)
        if kind in ("largest", "smallest") and ratio > 1.35:
            return kind, first
        if kind in ("top", "bottom") and abs(first.point[1] - rest[0].point[1]) > 0.05 * height:
            return kind, first
    return None


def extreme(rng: random.Random, scene: Scene) -> Talk:
    """The largest, topmost, leftmost ... object."""
    found = _extreme(rng, scene) or ("left", scene.things[0])
    return one("attribute", say.ask(rng, say.EXTREME[found[0]]), f"The {found[1].name}.")


def ground(rng: random.Random, scene: Scene) -> Talk:
    """The kind of ground."""
    return one("attribute", say.ask(rng, say.GROUND), f"The background is {scene.ground}.")


def _box_items(scene: Scene, things: list[Thing], label: Callable[[Thing], str]) -> list[dict]:
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
        chosen = rng.sample(present, rng.randint(1, len(present)))
        if rng.random() < 0.4:
            miss = _near_miss(rng, scene, scene.things[0])
            if by_shape == (" " not in miss):
                chosen.insert(rng.randint(0, len(chosen)), miss)
        return ", ".join(chosen), [t for t in scene.things if key(t) in chosen], key
    noun, found = _category(rng, scene, absent, generic=False)
    return (plural(noun) if rng.random() < 0.3 else noun), found, lambda t: noun


def boxes(rng: random.Random, scene: Scene) -> Talk:
    """Boxes by category; `[]` for what is not there."""
    noun, found, label = _asked(rng, scene, absent=0.22)
    question = say.ask(rng, say.BOXES, noun, preset_id="ground_boxes")
    return one(
        "boxes" if found else "absent",
        question,
        answers.fenced_items(_box_items(scene, found, label)),
    )


def referring(rng: random.Random, scene: Scene) -> Talk:
    """Boxes by description."""
    extreme_of = _extreme(rng, scene)
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
        phrase, found = _category(rng, scene, absent=0.2, generic=False)
        if rng.random() < 0.3:
            phrase = "the " + phrase
    question = say.ask(rng, say.REFERRING, phrase, preset_id="ground_phrase")
    return one(
        "referring", question, answers.fenced_items(_box_items(scene, found, lambda t: phrase))
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
    words = say.ask(
        rng, say.ATTRIBUTES, noun, " and ".join(keys), shown, preset_id="ground_attributes"
    )
    items = _box_items(scene, found, lambda t: noun)
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
        say.ask(rng, say.POINTS, noun, preset_id="ground_by_points"),
        answers.fenced_items(items),
    )


def chat(rng: random.Random, scene: Scene) -> Talk:
    """Two turns; the second refers back to the answer of the first."""
    found = _extreme(rng, scene)
    if found is None or rng.random() < 0.4:
        first = (say.ask(rng, say.COUNT_ALL), answers.there_are(len(scene.things), "object"))
        follow = rng.choice(
            (
                ("What are they?", answers.caption(scene.things)),
                ("List them.", answers.caption(scene.things)),
                (
                    "Report their bbox coordinates in JSON format.",
                    answers.fenced_items(_box_items(scene, list(scene.things), lambda t: t.name)),
                ),
            )
        )
        return Talk("chat", (first, follow))
    kind, thing = found
    place = scene.place(thing)
    follow = rng.choice(
        (
            ("What color is it?", f"It is {thing.colour}."),
            ("Which color?", f"It is {thing.colour}."),
            ("How big is it?", f"It is {thing.size}."),
            ("Where is it?", f"It is {'in' if place == 'center' else 'at'} the {place}."),
            (
                "Give its bounding box in JSON.",
                answers.fenced_items(_box_items(scene, [thing], lambda t: t.name)),
            ),
            (
                "Point to it, answer in JSON.",
                answers.fenced_items(
                    [
                        {
                            "point_2d": answers.scaled_point(thing.point, scene.size_wh),
                            "label": thing.name,
                        }
                    ]
                ),
            ),
        )
    )
    return Talk("chat", ((say.ask(rng, say.EXTREME[kind]), f"The {thing.name}."), follow))


TALKS: tuple[tuple[Callable[[random.Random, Scene], Talk], float], ...] = (
    (caption, 1.3),
    (other_caption, 1.3),
    (count, 0.9),
    (yes_no, 0.5),
    (attribute, 0.8),
    (extreme, 0.4),
    (ground, 0.2),
    (boxes, 2.0),
    (referring, 0.9),
    (attributes, 0.5),
    (points, 1.2),
    (chat, 0.7),
)
