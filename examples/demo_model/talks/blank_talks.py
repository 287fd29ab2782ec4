"""Chats about one picture of a ground with nothing on it."""

from __future__ import annotations

import random

from world.nouns import COLOURS, SHAPES, article

from talks import answers
from talks import wordings as say
from talks.answers import plural
from talks.lesson import Talk, one
from talks.phrasing import ask

CAPTION = "An empty picture."


def talks(rng: random.Random) -> tuple[Talk, ...]:
    """One of each: a caption, a count, a question, boxes and points."""
    nouns = [_noun(rng) for _ in range(rng.randint(1, 3))]
    listed, nothing = ", ".join(dict.fromkeys(nouns)), answers.fenced_items([])
    return (
        one("caption_short", ask(rng, say.SHORT, preset_id="caption_short"), CAPTION),
        one("count", ask(rng, say.COUNT_ALL), answers.there_are(0, "object")),
        one("count", ask(rng, say.COUNT_SOME, plural(nouns[0])), answers.there_are(0, nouns[0])),
        one("yes_no", ask(rng, say.IS_THERE, article(nouns[0])), "No."),
        one("absent", ask(rng, say.BOXES, listed, preset_id="ground_boxes"), nothing),
        one("points", ask(rng, say.POINTS, listed, preset_id="ground_by_points"), nothing),
    )


def _noun(rng: random.Random) -> str:
    shape = rng.choice(("object", *SHAPES))
    return rng.choice((shape, f"{rng.choice(list(COLOURS))} {shape}"))
