"""How well the demo checkpoint reads, through a real ComfyUI's queue: text, pages and forms.

    python tests/bench/reading.py [--prints 100] [--pages 30] [--forms 30] [--seed 5000000]

Pictures of the demo world from seeds of this script's own, each a file in ComfyUI's input folder,
ten to a workflow, greedy. Of ten prints six are as the world draws them, two are turned and two
are small. Every print is read as plain text and as lines with boxes, every page as Markdown and as
HTML, every form by a schema of its own fields, and by one that asks for one more. Every miss is
printed, and one JSON line at the end.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples" / "demo_model"), str(ROOT / "examples" / "scripts")]

import hosting
from evaluation import scores
from world import pages, printed, scenes

FIRST_SEED = 5_000_000
AT_ONCE = 10
LEAVE_EMPTY = "leave the image empty"
# As the node's menu calls them, and how Pillow turns an upright picture into such a one.
TURNS = {
    "turned right (90°)": Image.Transpose.ROTATE_270,
    "upside down (180°)": Image.Transpose.ROTATE_180,
    "turned left (90°)": Image.Transpose.ROTATE_90,
}
Box = tuple[float, ...]
Figures = dict[str, list[float]]
# What a node says about one picture (its texts and boxes), and what that adds to the figures.
Score = Callable[[dict[str, Any]], None]
Prompt = dict[str, Any]


def greedy(picture: str, class_type: str, **inputs: Any) -> Prompt:
    """The parts of a workflow that reads one picture; ids begin with the picture's name."""
    shown = {"class_type": "LoadImage", "inputs": {"image": picture}}
    given = {"model": ["model", 0], "options": ["greedy", 0], "seed": 0, "image": [picture, 0]}
    return {picture: shown, f"read {picture}": {"class_type": class_type, "inputs": given | inputs}}


def frame() -> Prompt:
    """The loader and the options that all readings share, as the shipped workflows have them."""
    shipped = json.loads((ROOT / "examples" / "api" / "video_events.json").read_text("utf-8"))
    return {"model": shipped["1"], "greedy": shipped["3"]}


def turned_box(box: Box, size_wh: tuple[int, int], turn: str) -> Box:
    """Where a box of an upright picture is on the turned one."""
    (x1, y1, x2, y2), (width, height) = box, size_wh
    return {
        "upright": box,
        "turned right (90°)": (height - y2, x1, height - y1, x2),
        "upside down (180°)": (width - x2, height - y2, width - x1, height - y1),
        "turned left (90°)": (y1, width - x2, y2, width - x1),
    }[turn]


def boxes_of(value: list[dict[str, Any]]) -> list[tuple[str, Box]]:
    """(label, corners in pixels) of a BOX of one picture."""
    return [
        (one["label"], (one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"]))
        for one in value
    ]


class Reading:
    """One server, one folder of pictures, and the figures."""

    def __init__(self, server: hosting.Server, folder: Path, seed: int):
        self.server, self.folder, self.seed = server, folder, seed
        self.figures: Figures = defaultdict(list)

    def run(self, parts: list[tuple[Prompt, Score]]) -> None:
        """The parts, ten to a workflow, and their scores."""
        for first in range(0, len(parts), AT_ONCE):
            some = parts[first : first + AT_ONCE]
            prompt = frame()
            for part, _ in some:
                prompt |= part
            entry = self.server.run(prompt)
            if hosting.error_of(entry):
                raise RuntimeError(hosting.error_of(entry))
            for part, score in some:
                score(entry["outputs"][list(part)[-1]])

    def count(self, figure: str, right: int, total: int) -> None:
        """So many of so many were right."""
        self.figures[figure] += [1.0] * right + [0.0] * (total - right)

    def prints(self, count: int) -> None:
        """Plain reading and spotting of free lines."""
        plain, spotted = [], []
        for number in range(count):
            rng = random.Random(self.seed + number)
            kind = ("as drawn", "turned", "small")[(number % 5 == 3) + 2 * (number % 5 == 4)]
            size = scenes.random_size(rng, *((112, 160) if kind == "small" else (200, 560)))
            picture = printed.random_print(rng, size)
            turn = rng.choice(list(TURNS)) if kind == "turned" else "upright"
            drawn = picture.draw()
            name = f"print {number}.png"
            (drawn.transpose(TURNS[turn]) if kind == "turned" else drawn).save(self.folder / name)
            inputs = {
                "language": "automatic", "overlay_style": "text on its place", "turned": turn,
                "unreadable": LEAVE_EMPTY,
            }  # fmt: skip
            node = ("Qwen3VLReadText",)
            plain.append(
                (greedy(name, *node, read="plain text", **inputs), self.text(name, kind, picture))
            )
            spotted.append(
                (
                    greedy(name, *node, read="lines with boxes", **inputs),
                    self.boxes(name, kind, picture, turn),
                )
            )
        self.run(plain)
        self.run(spotted)

    def text(self, name: str, kind: str, picture: printed.Print) -> Score:
        def score(said: dict[str, Any]) -> None:
            truth = "\n".join(line.text for line in picture.lines)
            text = said["text"][0]
            self.count(f"words, {kind}", *scores.words_right(text, truth))
            self.count(f"whole pictures, {kind}", text == truth, 1)
            if text != truth:
                print(f"{name}, {kind}: {truth!r} was read as {text!r}", flush=True)

        return score

    def boxes(self, name: str, kind: str, picture: printed.Print, turn: str) -> Score:
        def score(said: dict[str, Any]) -> None:
            found = boxes_of(said["boxes"][0])
            truth = [
                (line.text, turned_box(line.box, picture.size_wh, turn)) for line in picture.lines
            ]
            right, overlaps = scores.match(found, truth)
            self.figures[f"spotted IoU, {kind}"] += overlaps
            self.count(f"spotted lines, {kind}", right, max(len(found), len(truth)))
            if right < len(truth) or min(overlaps) < 0.5:
                print(f"{name}, {kind}: {truth} was spotted as {found}", flush=True)

        return score

    def pages(self, count: int) -> None:
        """Pages as Markdown and as HTML, the texts and the places of their blocks."""
        parts = {write: [] for write in ("Markdown", "HTML", "Markdown, by way of HTML")}
        for number in range(count):
            rng = random.Random(self.seed + 100_000 + number)
            width = rng.randint(448, 640)
            page = pages.random_page(rng, (width, rng.randint(width, 800)))
            name = f"page {number}.png"
            page.draw().save(self.folder / name)
            inputs = {"pages_as": "page by page", "unreadable": LEAVE_EMPTY}
            for write, some in parts.items():
                part = greedy(name, "Qwen3VLDocument", write=write, **inputs)
                some.append((part, self.page(name, write, page)))
        for some in parts.values():
            self.run(some)

    def page(self, name: str, write: str, page: pages.Page) -> Score:
        # By way of Markdown only figures and tables have places.
        placed = [b for b in page.blocks if write != "Markdown" or b.kind in ("figure", "table")]

        def score(said: dict[str, Any]) -> None:
            found = boxes_of(said["layout"][0])
            overlaps = []
            for block in placed:
                kind = "image" if block.kind == "figure" else block.kind
                same = [scenes.iou(box, block.box) for label, box in found if label == kind]
                overlaps.append(max(same, default=0.0))
            self.figures[f"layout IoU, {write}"] += overlaps
            words = " ".join(line.text for block in page.blocks for line in block.lines)
            said_words = " ".join(re.sub(r"<[^>]*>|[|#]", " ", said["text"][0]).split())
            right, total = scores.words_right(said_words, words)
            self.count(f"page words, {write}", right, total)
            if right < total or min(overlaps, default=1) < 0.5:
                print(f"{name}, {write}: {words!r} was read as {said['text'][0]!r}; {found}")

        return score

    def forms(self, count: int) -> None:
        """Cards by a schema of their own fields, and by one that asks for another one too."""
        parts = []
        for number in range(count):
            rng = random.Random(self.seed + 200_000 + number)
            card = printed.random_card(rng, scenes.random_size(rng, 200, 560))
            name = f"form {number}.png"
            card.draw().save(self.folder / name)
            own = dict(card.fields)
            missing = rng.choice([key for key in printed.FIELDS if key not in own])
            for kind, truth in (("own", own), ("one more", own | {missing: ""})):
                inputs = {
                    "fields": json.dumps(schema_of(truth)), "with_boxes": False, "save": "nothing",
                    "invalid": "go on, valid = False", "file_name": "extracted", "names": "",
                }  # fmt: skip
                part = greedy(name, "Qwen3VLExtract", **inputs)
                parts.append((part, self.form(name, kind, truth)))
        self.run(parts[::2])
        self.run(parts[1::2])

    def form(self, name: str, kind: str, truth: dict[str, str]) -> Score:
        def score(said: dict[str, Any]) -> None:
            value = json.loads(said["text"][0]) or {}
            right = sum(value.get(key) == wanted for key, wanted in truth.items())
            self.count(f"valid forms, {kind}", said["valid"][0], 1)
            self.count(f"fields, {kind}", right, len(truth))
            if right < len(truth):
                print(f"{name}, {kind}: {truth} was read as {value}", flush=True)

        return score


def schema_of(fields: Iterable[str]) -> dict[str, Any]:
    """A JSON Schema that wants each of the fields, as text."""
    wanted = list(fields)
    properties = {key: {"type": "string"} for key in wanted}
    return {"type": "object", "properties": properties, "required": wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prints", type=int, default=100)
    parser.add_argument("--pages", type=int, default=30)
    parser.add_argument("--forms", type=int, default=30)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    chosen = parser.parse_args()
    comfyui = hosting.find_comfyui()
    if comfyui is None:
        raise SystemExit("This needs a ComfyUI checkout; set COMFYUI_PATH.")
    with (
        tempfile.TemporaryDirectory() as folder,
        hosting.temporary_server(comfyui, input_folder=Path(folder)) as server,
    ):
        reading = Reading(server, Path(folder), chosen.seed)
        reading.prints(chosen.prints)
        reading.pages(chosen.pages)
        reading.forms(chosen.forms)
    print(json.dumps({k: round(sum(v) / len(v), 4) for k, v in reading.figures.items() if v}))


if __name__ == "__main__":
    main()
