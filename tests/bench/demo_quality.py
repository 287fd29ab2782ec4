"""How well the demo checkpoint sees: python tests/bench/demo_quality.py --seed 1000000 --scenes 500.

Draws scenes that training never saw, a tenth of them on grounds and at sizes beyond training,
asks about them through the pack, and prints one JSON line. `--through nodes` runs the pack's
nodes one by one; `--through engine` hands all requests to the engine (same model, faster).
"""

# ruff: noqa: E402, E501 (the demo modules are found by path; prompts are quoted whole)
from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples" / "demo_model"), str(ROOT / "tests")]  # "shapes" is ours

import backgrounds
import clips
import lessons
import pages
import printed
import scenes
import scores
import shape_talks
import tools
from world import article

Figures = dict[str, list[float]]
# Of ten scenes: pictures of shapes, print, a page, a clip, two pictures, a screen.
KINDS = ("shapes", "shapes", "shapes", "shapes", "print", "print", "page", "clip", "pair", "screen")
KEYS = (
    "caption_exact",
    "count",
    "box_label",
    "box_iou",
    "point_hit",
    "absent",
    "ocr_exact",
    "layout_iou",
    "event_half_second",
    "two_pictures",
    "click_hit",
    "ends",
    "json_valid",
    "seconds_per_caption",
)
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
            rng, scenes.random_size(rng, 150, 704), kinds=backgrounds.UNSEEN_KINDS
        )
    return scenes.random_scene(rng, scenes.random_size(rng))


def _shapes(rng: random.Random) -> list[Question]:
    scene = _scene(rng)
    shown, size = [scene.draw()], scene.size_wh
    names = ", ".join(dict.fromkeys(t.name for t in scene.things))
    thing = rng.choice(scene.things)
    missing = shape_talks._near_miss(rng, scene, thing)

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


class ThroughEngine:
    """All questions as requests of one engine run."""

    def __init__(self, options: dict, device: str):
        from qwen3vl_pack import load_pack

        load_pack()
        from qwen3vl_nodes.loaders import catalog
        from qwen3vl_nodes.loaders.local import LocalModel
        from qwen3vl_nodes.loaders.settings import LoadSettings
        from qwen3vl_nodes.utils.chat import GenerationOptions

        self.options = GenerationOptions(**options)
        self.model = LocalModel(LoadSettings(model=catalog.DEMO_NAME, device=device))

    def request(self, question: Question, seed: int):
        from qwen3vl_nodes.utils import chat
        from qwen3vl_nodes.utils.tasks import task

        shown = [chat.Picture(np.asarray(p)) for p in question.pictures]
        if question.clip:
            indices = clips.sample_indices(question.clip.total_frames, even=True)
            frames = np.stack([np.asarray(question.clip.frame(i)) for i in indices])
            shown = [
                chat.Clip(frames, clips.SOURCE_FPS, tuple(indices), question.clip.total_frames)
            ]
        words = (
            task("ground_by_points").fill(things=question.find)
            if question.node == "point"
            else question.words
        )
        messages = (chat.Message("user", (*shown, words)),)
        if question.system:
            messages = (chat.Message("system", (question.system,)), *messages)
        return chat.Request(
            messages, self.options, seed=seed, number_pictures=len(question.pictures) > 1
        )

    def answer(self, asked: list[Question]) -> list[tuple[str, bool]]:
        """(text, whether it ended by itself) of each question."""
        answers: dict[int, tuple[str, bool]] = {}
        with self.model.open() as engine:
            requests = (self.request(question, k) for k, question in enumerate(asked))
            for index, reply in engine.generate(requests):
                if isinstance(reply, Exception):
                    raise reply
                answers[index] = (reply.text, reply.stopped_by == "end")
        return [answers[k] for k in range(len(asked))]


class ThroughNodes(ThroughEngine):
    """Each question by the node that a user would take; clips and tool prompts as requests."""

    def answer(self, asked: list[Question]) -> list[tuple[str, bool]]:
        return [self._answer(k, question) for k, question in enumerate(asked)]

    def _answer(self, seed: int, question: Question) -> tuple[str, bool]:
        import torch
        from node_running import run_node
        from qwen3vl_nodes.nodes import ask, asking, ground, grounding

        if question.clip or question.system or len({p.size for p in question.pictures}) > 1:
            return super().answer([question])[0]
        image = torch.stack(
            [torch.from_numpy(np.asarray(p) / np.float32(255)) for p in question.pictures]
        )
        shared = {"model": self.model, "image": image, "seed": seed, "options": self.options}
        if question.node == "caption":
            output = run_node(
                ask.Qwen3VLCaption,
                **shared,
                preset="Short caption",
                instructions="",
                system_prompt="",
                batch=asking.EACH,
            )
        elif question.node == "detect":
            output = run_node(
                ground.Qwen3VLDetect,
                **shared,
                find=question.find,
                find_by=ground.CATEGORIES,
                attributes="",
                max_count=0,
                look_again="off",
                unreadable=grounding.LEAVE_EMPTY,
            )
        elif question.node == "point":
            output = run_node(
                ground.Qwen3VLPoint, **shared, find=question.find, unreadable=grounding.LEAVE_EMPTY
            )
        else:
            output = run_node(
                ask.Qwen3VLAsk,
                **shared,
                question=question.words,
                system_prompt="",
                batch=asking.TOGETHER,
            )
        return output.result[0][0], "cut" not in str(output.result[-1])


def caption_seconds(through: ThroughEngine, asked: list[Question], tries: int = 5) -> float:
    """Median time of a single caption, after one to warm up."""
    captions = [q for q in asked if q.node == "caption"][: tries + 1]
    taken = []
    for question in captions:
        start = time.perf_counter()
        through.answer([question])
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])[len(taken[1:]) // 2]


def measure(through: ThroughEngine, seed: int, count: int) -> dict[str, float]:
    """Every figure over `count` scenes."""
    asked = [question for number in range(count) for question in questions(number, seed)]
    figures: Figures = defaultdict(list)
    for question, (text, ended) in zip(asked, through.answer(asked), strict=True):
        figures["ends"].append(float(ended))
        if question.is_json:
            figures["json_valid"].append(float(scores.fenced_json(text) is not None))
        question.score(text, figures)
    figures["seconds_per_caption"] = [caption_seconds(through, asked)]
    return {key: round(sum(figures[key]) / len(figures[key]), 4) for key in KEYS if figures[key]}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--through", choices=("engine", "nodes"), default="engine")
    parser.add_argument(
        "--sampled", action="store_true", help="the pack's default sampling, not greedy"
    )
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args(arguments)
    options = {"max_new_tokens": 400} | (
        {} if chosen.sampled else {"temperature": 0.0, "presence_penalty": 0.0}
    )
    through = (ThroughNodes if chosen.through == "nodes" else ThroughEngine)(options, chosen.device)
    print(json.dumps(measure(through, chosen.seed, chosen.scenes)))


if __name__ == "__main__":
    main()
