"""What a question may ask for: nouns, near misses and superlatives that fit a scene."""

from __future__ import annotations

import random
from collections.abc import Callable

from world.nouns import COLOURS, SHAPES
from world.scenes import Scene, Thing


def category(
    rng: random.Random, scene: Scene, absent: float, generic: bool = True
) -> tuple[str, list[Thing]]:
    """A noun and the things it names; with chance `absent` a near miss that names nothing."""
    thing = rng.choice(scene.things)
    kind = rng.random()
    if rng.random() < absent:
        return near_miss(rng, scene, thing), []
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


def near_miss(rng: random.Random, scene: Scene, thing: Thing) -> str:
    """A noun that fits nothing here: often a present colour on a present shape."""
    names = {t.name for t in scene.things} | {t.shape for t in scene.things}
    for _ in range(20):
        colour = rng.choice([rng.choice(scene.things).colour, rng.choice(list(COLOURS))])
        shape = rng.choice([rng.choice(scene.things).shape, rng.choice(SHAPES)])
        noun = rng.choice((shape, f"{colour} {shape}", f"{colour} {shape}"))
        if noun not in names:
            return noun
    return "banana"


def unique(rng: random.Random, scene: Scene, key: Callable[[Thing], str]) -> Thing | None:
    """A thing that no other thing shares its key with."""
    keys = [key(t) for t in scene.things]
    alone = [t for t in scene.things if keys.count(key(t)) == 1]
    return rng.choice(alone) if alone else None


def superlative(rng: random.Random, scene: Scene) -> tuple[str, Thing] | None:
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
