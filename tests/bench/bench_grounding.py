"""How well the demo checkpoint finds things through the real nodes, in every form of a picture.

Scenes it never saw, sides 1:2 to 2:1. Each is asked about as it is and in other forms: smaller,
larger, wider, padded. The figures must not depend on it, so each form also says by how much it
differs from the picture as it is, thing by thing, with the standard error of that difference.

The nodes run as they are; only their questions are answered together, those of several scenes
and all forms in one batch, because one by one takes hours on a CPU. `--alone` asks one by one.

The last form is large, and the pack is told to make it as small as the plain one is seen: it
shows whether the pack's own resizing and counting of places cost anything, apart from what the
model makes of sizes and borders that it never learned.

Run: python tests/bench/bench_grounding.py --scenes 200 [--sampling official] [--alone]
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
for folder in ("tests", "examples/scripts", "examples/demo_model"):
    sys.path.insert(0, str(ROOT / folder))

import hosting  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from qwen3vl_pack import load_pack  # noqa: E402
from world.scenes import Scene, iou, random_scene, random_size  # noqa: E402

FIRST_SEED = 1_000_000
SCENES_TOGETHER = 5
REPORT_EVERY = 40
AS_IT_IS = "as it is"
# Name → what both sides are multiplied by. What is larger than the checkpoint's picture budget
# (preprocessor_config.json, longest_edge) is made smaller again by the pack.
SCALES = {
    "3/4 of the sides (0.56 of the pixels)": 0.75,
    "2 times the sides (4 times the pixels)": 2.0,
    "4 times the sides (16 times the pixels)": 4.0,
}
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Form:
    """A batch, the picture's place in it, by what its coordinates grew, and the pixel limit."""

    pictures: list[Image.Image]
    place: int = 0
    scale: float = 1.0
    max_pixels: int | None = None


def forms(picture: Image.Image) -> dict[str, Form]:
    """The picture in each form."""
    width, height = picture.size
    made = {AS_IT_IS: Form([picture])}
    for name, scale in SCALES.items():
        size = round(width * scale), round(height * scale)
        made[name] = Form([picture.resize(size, Image.Resampling.BICUBIC)], scale=scale)
    side = max(width, height)
    made["padded to a square"] = Form([_padded(picture, (side, side))])
    # A batch has one size, so ComfyUI's nodes pad the smaller pictures of one.
    larger = round(width * 1.25), round(height * 1.25)
    made["padded by 1/4 for a larger one of its batch"] = Form([_padded(picture, larger)])
    others = ImageOps.mirror(picture), ImageOps.flip(picture)
    made["in a batch of three"] = Form([others[0], picture, others[1]], place=1)
    large = made["4 times the sides (16 times the pixels)"]
    seen = math.prod(_seen_wh(picture))
    made["4 times the sides, max_pixels as before"] = replace(large, max_pixels=seen)
    return made


def _seen_wh(picture: Image.Image) -> tuple[int, int]:
    """The size that the model sees; small pictures are enlarged by the checkpoint's own setting."""
    from qwen3vl_nodes.utils.images.resize import fit_size_wh

    file = ROOT / "examples" / "demo_model" / "qwen3-vl-demo" / "preprocessor_config.json"
    limits = json.loads(file.read_text(encoding="utf-8"))["size"]
    return fit_size_wh(*picture.size, limits["shortest_edge"], limits["longest_edge"])


def _padded(picture: Image.Image, size_wh: tuple[int, int]) -> Image.Image:
    padded = Image.new("RGB", size_wh)
    padded.paste(picture, (0, 0))
    return padded


def image_of(pictures: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).float() / 255


def score(scene: Scene, boxes: list[dict], points: list[dict], scale: float) -> list[Figures]:
    """For each thing of the scene: the IoU of its box, whether its label and its point fit."""
    found = []
    for thing in scene.things:
        near = [b for b in boxes if b["label"] == thing.name]
        true = tuple(value * scale for value in thing.box)
        overlaps = [
            iou((b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]), true) for b in near
        ]
        hits = [
            true[0] <= p["x"] <= true[2] and true[1] <= p["y"] <= true[3]
            for p in points
            if p["label"] == thing.name
        ]
        found.append({"label": bool(near), "iou": max(overlaps, default=0.0), "point": any(hits)})
    return found


class Asker:
    """Runs Detect and Point as ComfyUI would, and answers the questions of many runs together."""

    def __init__(self, sampling: str, together: bool):
        from node_running import LOADER, run_node
        from qwen3vl_nodes.nodes.detection import detect
        from qwen3vl_nodes.nodes.models import loader
        from qwen3vl_nodes.utils.chat import messages

        self._run, self._detect, self._together = run_node, detect, together
        greedy = messages.GenerationOptions(temperature=0, presence_penalty=0, max_new_tokens=400)
        self._options = greedy if sampling == "greedy" else messages.GenerationOptions()
        self._model = run_node(loader.Qwen3VLLoader, model="Qwen3-VL-Demo", **LOADER)[0]
        self._empty = messages.Reply("[]", "", "end", 0, 0, 0.0, 0.0)

    def __call__(self, asked: list[tuple[Form, str]]) -> list[tuple[list, list]]:
        """(boxes, points) of every (form, find)."""
        runs = [run for form, find in asked for run in self._runs(form, find)]
        alone = None if self._together else [run()[1] for run in runs]
        outputs = alone or self._answered_together(runs)
        return list(zip(outputs[::2], outputs[1::2], strict=True))

    def _runs(self, form: Form, find: str) -> tuple[Callable, Callable]:
        shared = {
            "model": self._model, "image": image_of(form.pictures), "find": find, "seed": 0,
            "unreadable": "leave the image empty",
            "options": replace(self._options, max_pixels=form.max_pixels),
        }  # fmt: skip
        boxes_only = {
            "find_by": self._detect.CATEGORIES, "attributes": "", "max_count": 0,
            "look_again": "off",
        }  # fmt: skip
        return (
            lambda: self._run(self._detect.Qwen3VLDetect, **shared, **boxes_only),
            lambda: self._run(self._detect.Qwen3VLPoint, **shared),
        )

    def _answered_together(self, runs: list[Callable]) -> list[list]:
        """Every node runs twice: to hear its questions, and to read the answers to them."""
        heard: list[list] = []

        def hear(model: object, requests: list, node_id: str | None) -> list:
            heard.append(requests)
            return [self._empty] * len(requests)

        with mock.patch.object(self._detect, "answer_all", hear):
            for run in runs:
                run()
        requests = [request for requests in heard for request in requests]
        replies = iter(self._detect.answer_all(self._model, requests, None))

        def reply(model: object, requests: list, node_id: str | None) -> list:
            return [next(replies) for _ in requests]

        with mock.patch.object(self._detect, "answer_all", reply):
            return [run()[1] for run in runs]


def ask_about(scenes: list[Scene], ask: Asker) -> dict[str, list[Figures]]:
    """The scores of every thing of the scenes, by form."""
    asked, places = [], []
    for scene in scenes:
        find = ", ".join(dict.fromkeys(thing.name for thing in scene.things))
        for name, form in forms(scene.draw().convert("RGB")).items():
            asked.append((form, find))
            places.append((scene, name, form))
    results: dict[str, list[Figures]] = {}
    for (scene, name, form), (boxes, points) in zip(places, ask(asked), strict=True):
        found = score(scene, boxes[form.place], points[form.place], form.scale)
        results.setdefault(name, []).extend(found)
    return results


def summary(name: str, found: list[Figures], plain: list[Figures]) -> dict[str, object]:
    """The figures of a form, and its differences from the plain one."""
    labelled = [one["iou"] for one in found if one["label"]]
    said: dict[str, object] = {
        "form": name,
        "things": len(found),
        "label_match": round(statistics.fmean(one["label"] for one in found), 4),
        "mean_iou": round(statistics.fmean(one["iou"] for one in found), 4),
        "mean_iou_of_labelled": round(statistics.fmean(labelled or [0.0]), 4),
        "point_inside": round(statistics.fmean(one["point"] for one in found), 4),
    }
    if found is plain or len(found) < 2:
        return said
    for figure in ("iou", "point"):
        apart = [one[figure] - other[figure] for one, other in zip(found, plain, strict=True)]
        error = statistics.stdev(apart) / math.sqrt(len(apart))
        said[f"{figure}_apart"] = f"{statistics.fmean(apart):+.4f} ± {error:.4f}"
    return said


def by_aspect(scenes: list[Scene], plain: list[Figures]) -> dict[str, list[Figures]]:
    """The things of nearly square pictures, and those of long ones."""
    rest, split = iter(plain), {"as it is, up to 5:4": [], "as it is, from 3:2 on": []}
    for scene in scenes:
        aspect = max(scene.size_wh) / min(scene.size_wh)
        found = [next(rest) for _ in scene.things]
        if aspect <= 1.25:
            split["as it is, up to 5:4"] += found
        elif aspect >= 1.5:
            split["as it is, from 3:2 on"] += found
    return {name: found for name, found in split.items() if found}


def report(scenes: list[Scene], results: dict[str, list[Figures]]) -> list[str]:
    """A line of JSON for every form, and for two kinds of aspect."""
    plain = results[AS_IT_IS]
    lines = [summary(name, found, plain) for name, found in results.items()]
    lines += [summary(name, found, found) for name, found in by_aspect(scenes, plain).items()]
    return [json.dumps(line, ensure_ascii=False) for line in lines]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scenes", type=int, default=200)
    arguments.add_argument("--sampling", choices=("greedy", "official"), default="greedy")
    arguments.add_argument("--alone", action="store_true", help="every node run by itself")
    arguments.add_argument("--threads", type=int, default=1, help="more help on an idle machine")
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    hosting.ensure_host()
    load_pack()
    ask = Asker(chosen.sampling, together=not chosen.alone)
    scenes = []
    for number in range(chosen.scenes):
        dice = random.Random(FIRST_SEED + number)
        scenes.append(random_scene(dice, random_size(dice)))
    results: dict[str, list[Figures]] = {}
    started = time.perf_counter()
    for start in range(0, len(scenes), SCENES_TOGETHER):
        part = scenes[start : start + SCENES_TOGETHER]
        for name, found in ask_about(part, ask).items():
            results.setdefault(name, []).extend(found)
        done, seconds = start + len(part), time.perf_counter() - started
        print(f"{done} scenes in {seconds:.0f} s", file=sys.stderr, flush=True)
        if done % REPORT_EVERY == 0 and done < len(scenes):
            print("\n".join(report(scenes[:done], results)), file=sys.stderr, flush=True)
    print("\n".join(report(scenes, results)))
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"sampling": chosen.sampling, "scenes": len(scenes), "seconds": seconds}))


if __name__ == "__main__":
    main()
