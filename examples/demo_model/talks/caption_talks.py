"""Captions, counts and questions about one picture of shapes."""

from __future__ import annotations

import random
from collections.abc import Callable

from world.asked import category, superlative, unique
from world.nouns import article
from world.scenes import Scene

from talks import answers
from talks import wordings as say
from talks.answers import plural
from talks.lesson import Talk, one
from talks.phrasing import ask

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
    return one(preset, ask(rng, words, preset_id=preset), answer(scene))


def count(rng: random.Random, scene: Scene) -> Talk:
    """All objects, or those of one kind."""
    if rng.random() < 0.5:
        return one("count", ask(rng, say.COUNT_ALL), answers.there_are(len(scene.things), "object"))
    noun, found = category(rng, scene, absent=0.15)
    return one("count", ask(rng, say.COUNT_SOME, plural(noun)), answers.there_are(len(found), noun))


def yes_no(rng: random.Random, scene: Scene) -> Talk:
    """Whether something is there."""
    noun, found = category(rng, scene, absent=0.5, generic=False)
    return one("yes_no", ask(rng, say.IS_THERE, article(noun)), "Yes." if found else "No.")


def attribute(rng: random.Random, scene: Scene) -> Talk:
    """Colour, shape, size or place of one object."""
    kind = rng.randint(0, 3)
    keys = (lambda t: t.shape, lambda t: t.colour, lambda t: t.name, lambda t: t.name)
    thing = unique(rng, scene, keys[kind])
    if thing is None:
        return extreme(rng, scene)
    if kind == 0:
        return one(
            "attribute",
            ask(rng, say.WHICH_COLOUR, thing.shape),
            f"The {thing.shape} is {thing.colour}.",
        )
    if kind == 1:
        return one(
            "attribute",
            ask(rng, say.WHICH_SHAPE, thing.colour),
            f"The {thing.colour} object is {article(thing.shape)}.",
        )
    if kind == 2:
        return one(
            "attribute",
            ask(rng, say.WHICH_SIZE, thing.name),
            f"The {thing.name} is {thing.size}.",
        )
    place = scene.place(thing)
    return one(
        "attribute",
        ask(rng, say.WHERE, thing.name),
        f"The {thing.name} is {'in' if place == 'center' else 'at'} the {place}.",
    )


def extreme(rng: random.Random, scene: Scene) -> Talk:
    """The largest, topmost, leftmost ... object."""
    found = superlative(rng, scene) or ("left", scene.things[0])
    return one("attribute", ask(rng, say.EXTREME[found[0]]), f"The {found[1].name}.")


def ground(rng: random.Random, scene: Scene) -> Talk:
    """The kind of ground."""
    return one("attribute", ask(rng, say.GROUND), f"The background is {scene.ground}.")
