"""Chats about one picture of shapes: all their kinds and how often each is held."""

from __future__ import annotations

import random
from collections.abc import Callable

from world.asked import superlative
from world.scenes import Scene

from talks import answers, caption_talks, grounding_talks
from talks import wordings as say
from talks.grounding_talks import box_items
from talks.lesson import Talk
from talks.phrasing import ask


def chat(rng: random.Random, scene: Scene) -> Talk:
    """Two turns; the second refers back to the answer of the first."""
    found = superlative(rng, scene)
    if found is None or rng.random() < 0.4:
        first = (ask(rng, say.COUNT_ALL), answers.there_are(len(scene.things), "object"))
        follow = rng.choice(
            (
                ("What are they?", answers.caption(scene.things)),
                ("List them.", answers.caption(scene.things)),
                (
                    "Report their bbox coordinates in JSON format.",
                    answers.fenced_items(box_items(scene, list(scene.things), lambda t: t.name)),
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
                answers.fenced_items(box_items(scene, [thing], lambda t: t.name)),
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
    return Talk("chat", ((ask(rng, say.EXTREME[kind]), f"The {thing.name}."), follow))


TALKS: tuple[tuple[Callable[[random.Random, Scene], Talk], float], ...] = (
    (caption_talks.caption, 1.3),
    (caption_talks.other_caption, 1.3),
    (caption_talks.count, 0.9),
    (caption_talks.yes_no, 0.5),
    (caption_talks.attribute, 0.8),
    (caption_talks.extreme, 0.4),
    (caption_talks.ground, 0.2),
    (grounding_talks.boxes, 2.0),
    (grounding_talks.referring, 0.9),
    (grounding_talks.attributes, 0.5),
    (grounding_talks.points, 1.2),
    (chat, 0.7),
)
