"""How well the demo checkpoint finds things through the real nodes, in every form of a picture.

Scenes it never saw, sides 1:2 to 2:1. Each is asked about as it is, alone and in a batch, at
another size, at twice the sides, and padded to a square: the figures must not depend on it.

Run: python tests/bench/bench_grounding.py --scenes 200 [--sampling official]
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
for folder in ("tests", "examples", "examples/demo_model"):
    sys.path.insert(0, str(ROOT / folder))

import hosting  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from qwen3vl_pack import load_pack  # noqa: E402
from scenes import Scene, iou, random_scene, random_size  # noqa: E402

FIRST_SEED = 1_000_000
BATCH = 10
BOX = tuple[float, float, float, float]


def forms(picture: Image.Image) -> dict[str, tuple[Image.Image, float]]:
    """The picture in other forms, and by what its coordinates grew."""
    width, height = picture.size
    side = max(width, height)
    made = {"as it is": (picture, 1.0)}
    for name, scale in (("3/4 of the sides", 0.75), ("twice the sides", 2.0)):
        size = round(width * scale), round(height * scale)
        made[name] = picture.resize(size, Image.Resampling.BICUBIC), scale
    padded = Image.new("RGB", (side, side))
    padded.paste(picture, (0, 0))
    made["padded to a square"] = padded, 1.0
    return made


def image_of(pictures: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).float() / 255


def score(scene: Scene, boxes: list[dict], points: list[dict], scale: float) -> list[dict]:
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
    """Runs Detect and Point as ComfyUI would."""

    def __init__(self, sampling: str):
        from node_running import LOADER, run_node
        from qwen3vl_nodes.nodes import ground, load
        from qwen3vl_nodes.utils.chat import GenerationOptions

        self._run, self._nodes = run_node, ground
        greedy = GenerationOptions(temperature=0, presence_penalty=0, max_new_tokens=400)
        self._options = greedy if sampling == "greedy" else None
        self._model = run_node(load.Qwen3VLLoader, model="Qwen3-VL-Demo", **LOADER)[0]

    def __call__(self, pictures: list[Image.Image], find: str) -> tuple[list, list]:
        shared = {
            "model": self._model, "image": image_of(pictures), "find": find, "seed": 0,
            "unreadable": "leave the image empty", "options": self._options,
        }  # fmt: skip
        boxes = self._run(
            self._nodes.Qwen3VLDetect, **shared, find_by=self._nodes.CATEGORIES, attributes="",
            max_count=0, look_again="off",
        )[1]  # fmt: skip
        return boxes, self._run(self._nodes.Qwen3VLPoint, **shared)[1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scenes", type=int, default=200)
    arguments.add_argument("--sampling", choices=("greedy", "official"), default="greedy")
    chosen = arguments.parse_args()
    hosting.ensure_host()
    load_pack()
    ask = Asker(chosen.sampling)
    results: dict[str, list[dict]] = {}
    seconds = 0.0
    answers = 0
    for number in range(chosen.scenes):
        dice = random.Random(FIRST_SEED + number)
        scene = random_scene(dice, random_size(dice))
        find = ", ".join(dict.fromkeys(thing.name for thing in scene.things))
        picture = scene.draw().convert("RGB")
        for name, (form, scale) in forms(picture).items():
            started = time.perf_counter()
            boxes, points = ask([form], find)
            seconds, answers = seconds + time.perf_counter() - started, answers + 2
            results.setdefault(name, []).extend(score(scene, boxes[0], points[0], scale))
        # The same picture in the middle of a batch with its mirror images.
        others = [ImageOps.mirror(picture), ImageOps.flip(picture)]
        boxes, points = ask([others[0], picture, others[1]], find)
        results.setdefault("in a batch", []).extend(score(scene, boxes[1], points[1], 1.0))
        if (number + 1) % 20 == 0:
            print(f"{number + 1} scenes, {seconds / answers:.2f} s an answer", file=sys.stderr)
    for name, found in results.items():
        labelled = [one["iou"] for one in found if one["label"]]
        figures = {
            "form": name,
            "things": len(found),
            "label_match": round(sum(one["label"] for one in found) / len(found), 4),
            "mean_iou": round(sum(one["iou"] for one in found) / len(found), 4),
            "mean_iou_of_labelled": round(sum(labelled) / max(1, len(labelled)), 4),
            "point_inside": round(sum(one["point"] for one in found) / len(found), 4),
        }
        print(json.dumps(figures))
    print(json.dumps({"sampling": chosen.sampling, "seconds_an_answer": seconds / answers}))


if __name__ == "__main__":
    main()
