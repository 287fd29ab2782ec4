"""Unseen scenes of the demo world, what is asked about each, and how an answer counts."""

# ruff: noqa: E402, E501 (the demo modules are found by path; prompts are quoted whole)
from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "examples" / "demo_model"),
    str(ROOT / "tests"),
    str(ROOT / "tests" / "support"),
]

from evaluation import scores
from talks import lessons, tools
from world import asked, backgrounds, clips, pages, printed, scenes
from world.nouns import article

Figures = dict[str, list[float]]
# Of ten scenes: pictures of shapes, print, a page, a clip, two pictures, a screen.
KINDS = ("shapes", "shapes", "shapes", "shapes", "print", "print", "page", "clip", "pair", "screen")
BOXES = (
    'locate every instance that belongs to the following categories: "{}". '
    "Report bbox coordinates in JSON format."
)
EVENTS = (
    "Localize a series of activity events in the video, output the start and end timestamp for each "
    "event, and describe each event with sentences. Provide the result in json format with "
    "'mm:ss.ff' format for time depiction."
)


@dataclass
class Question:
    """What is shown and asked, and what the answer adds to the figures."""

    words: str
    score: Callable[[str, Figures], None]
    pictures: list[Image.Image] = field(default_factory=list)
    clip: clips.Clip | None = None
    system: str = ""
    node: str = "ask"  # caption, detect, point or ask
    find: str = ""  # what detect and point look for
    is_json: bool = False


def questions(number: int, seed: int) -> list[Question]:
    """The questions about one scene."""
    rng = random.Random(seed + number)
    return {
        "shapes": _shapes,
        "print": _print,
        "page": _page,
        "clip": _clip,
        "pair": _pair,
        "screen": _screen,
    }[KINDS[number % len(KINDS)]](rng)


def _scene(rng: random.Random) -> scenes.Scene:
    if rng.random() < 0.1:
        return scenes.random_scene(
            rng, scenes.random_size(rng, 128, 1024), kinds=backgrounds.UNSEEN_KINDS
        )
    return scenes.random_scene(rng, scenes.random_size(rng))


def _shapes(rng: random.Random) -> list[Question]:
    scene = _scene(rng)
    shown, size = [scene.draw()], scene.size_wh
    names = ", ".join(dict.fromkeys(t.name for t in scene.things))
    thing = rng.choice(scene.things)
    missing = asked.near_miss(rng, scene, thing)

    def boxes(text: str, figures: Figures) -> None:
        found = scores.pixel_boxes(scores.fenced_json(text), "label", size)
        right, overlaps = scores.match(found, [(t.name, t.box) for t in scene.things])
        figures["box_label"] += [1.0] * right + [0.0] * (max(len(found), len(scene.things)) - right)
        figures["box_iou"] += overlaps

    def points(text: str, figures: Figures) -> None:
        places = [i.get("point_2d") for i in scores.fenced_json(text) or [] if isinstance(i, dict)]
        pixels = [
            (p[0] / 1000 * size[0], p[1] / 1000 * size[1]) for p in places if p and len(p) == 2
        ]
        wanted = [t for t in scene.things if t.name == thing.name]
        figures["point_hit"] += [
            float(any(scores.inside(p, t.points) for p in pixels)) for t in wanted
        ]

    def absent(text: str, figures: Figures) -> None:
        figures["absent"].append(float(scores.fenced_json(text) == []))

    def caption(text: str, figures: Figures) -> None:
        figures["caption_exact"].append(float(scores.caption_exact(text, scene)))

    def count(text: str, figures: Figures) -> None:
        figures["count"].append(float(scores.first_number(text) == len(scene.things)))

    return [
        Question("Describe this image in one sentence.", caption, shown, node="caption"),
        Question("How many objects are in the picture?", count, shown),
        Question(BOXES.format(names), boxes, shown, node="detect", find=names, is_json=True),
        Question("", points, shown, node="point", find=thing.name, is_json=True),
        Question(BOXES.format(missing), absent, shown, node="detect", find=missing, is_json=True),
    ]


def _print(rng: random.Random) -> list[Question]:
    picture = printed.random_print(rng, scenes.random_size(rng, 200, 560))
    truth = " ".join(line.text for line in picture.lines)

    def score(text: str, figures: Figures) -> None:
        right, total = scores.words_right(text, truth)
        figures["ocr_exact"] += [1.0] * right + [0.0] * (total - right)

    return [Question("Read all the text in the image.", score, [picture.draw()])]


def _page(rng: random.Random) -> list[Question]:
    width = rng.randint(448, 640)
    page = pages.random_page(rng, (width, rng.randint(width, 800)))

    def score(text, figures):
        return figures["layout_iou"].append(scores.layout_iou(text, page))

    return [Question("qwenvl html", score, [page.draw()])]


def _clip(rng: random.Random) -> list[Question]:
    clip = clips.random_clip(rng, scenes.random_size(rng, 144, 240))

    def score(text: str, figures: Figures) -> None:
        right, total = scores.event_ends(
            text, [(e.thing.name, e.start, e.end) for e in clip.events]
        )
        figures["event_half_second"] += [1.0] * right + [0.0] * (total - right)

    return [Question(EVENTS, score, clip=clip, is_json=True)]


def _pair(rng: random.Random) -> list[Question]:
    while True:
        pair = [
            scenes.random_scene(rng, scenes.random_size(rng, 160, 400), rng.randint(1, 3))
            for _ in range(2)
        ]
        right = rng.randint(0, 1)
        name = rng.choice(pair[right].things).name
        if all(t.name != name for t in pair[1 - right].things):
            break

    def score(text, figures):
        return figures["two_pictures"].append(float(scores.first_number(text) == right + 1))

    return [Question(f"Which picture shows {article(name)}?", score, [s.draw() for s in pair])]


def _screen(rng: random.Random) -> list[Question]:
    size = scenes.random_size(rng, 240, 640)
    screen = printed.random_window(rng, size)
    k = rng.randrange(len(screen.lines))
    x1, y1, x2, y2 = screen.plates[k][0]

    def score(text: str, figures: Figures) -> None:
        place = scores.clicked(text, size)
        figures["click_hit"].append(
            float(bool(place) and x1 <= place[0] <= x2 and y1 <= place[1] <= y2)
        )

    tool = json.dumps(tools.signature(random.Random(1), mobile=False))
    system = lessons.tools_text(tool)
    return [
        Question(f"Click the {screen.lines[k].text} button.", score, [screen.draw()], system=system)
    ]
