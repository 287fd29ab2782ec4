"""How well the demo checkpoint sees.

    python tests/bench/demo_quality.py --seed 1000000 --scenes 500 [--through nodes] [--sampled]

Draws scenes that training never saw, a tenth of them on grounds and at sizes beyond training,
asks about them through the pack, and prints one JSON line. `--through nodes` runs the pack's
nodes one by one; `--through engine` hands all requests to the engine (same model, faster).
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict

import numpy as np
from demo_questions import ROOT, Figures, Question, questions

sys.path.insert(0, str(ROOT / "examples" / "scripts"))

from evaluation import scores
from world import clips

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


class ThroughEngine:
    """All questions as requests of one engine run."""

    def __init__(self, options: dict, **settings: str):
        from qwen3vl_pack import load_pack

        load_pack()
        from qwen3vl_nodes.loaders.hub.official import DEMO_NAME
        from qwen3vl_nodes.loaders.local_model import LocalModel
        from qwen3vl_nodes.loaders.settings import LoadSettings
        from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions

        self.options = GenerationOptions(**options)
        self.model = LocalModel(LoadSettings(model=DEMO_NAME, **settings))

    def request(self, question: Question, seed: int):
        from qwen3vl_nodes.utils.chat.messages import Message
        from qwen3vl_nodes.utils.chat.requests import Request
        from qwen3vl_nodes.utils.chat.tasks import task
        from qwen3vl_nodes.utils.images.picture import Clip, Picture

        shown = [Picture(np.asarray(p)) for p in question.pictures]
        if question.clip:
            indices = clips.sample_indices(question.clip.total_frames, even=True)
            frames = np.stack([np.asarray(question.clip.frame(i)) for i in indices])
            shown = [Clip(frames, clips.SOURCE_FPS, tuple(indices), question.clip.total_frames)]
        words = (
            task("ground_by_points").fill(things=question.find)
            if question.node == "point"
            else question.words
        )
        messages = (Message("user", (*shown, words)),)
        if question.system:
            messages = (Message("system", (question.system,)), *messages)
        return Request(
            messages, self.options, seed=seed, number_pictures=len(question.pictures) > 1
        )

    def answer(self, wanted: list[Question]) -> list[tuple[str, bool]]:
        """(text, whether it ended by itself) of each question."""
        answers: dict[int, tuple[str, bool]] = {}
        with self.model.open() as engine:
            requests = (self.request(question, k) for k, question in enumerate(wanted))
            for index, reply in engine.generate(requests):
                if isinstance(reply, Exception):
                    raise reply
                answers[index] = (reply.text, reply.stopped_by == "end")
        return [answers[k] for k in range(len(wanted))]


class ThroughNodes(ThroughEngine):
    """Each question by the node that a user would take; clips and tool prompts as requests."""

    def __init__(self, options: dict, **settings: str):
        import hosting

        hosting.ensure_host()
        super().__init__(options, **settings)

    def answer(self, wanted: list[Question]) -> list[tuple[str, bool]]:
        return [self._answer(k, question) for k, question in enumerate(wanted)]

    def _answer(self, seed: int, question: Question) -> tuple[str, bool]:
        import torch
        from node_running import run_node
        from qwen3vl_nodes.nodes.asking import ask, caption
        from qwen3vl_nodes.nodes.detection import detect
        from qwen3vl_nodes.nodes.shared import grounding
        from qwen3vl_nodes.utils.chat import composition

        if question.clip or question.system or len({p.size for p in question.pictures}) > 1:
            return super().answer([question])[0]
        image = torch.stack(
            [torch.from_numpy(np.asarray(p) / np.float32(255)) for p in question.pictures]
        )
        shared = {"model": self.model, "image": image, "seed": seed, "options": self.options}
        if question.node == "caption":
            output = run_node(
                caption.Qwen3VLCaption,
                **shared,
                preset="Short caption",
                instructions="",
                system_prompt="",
                batch=composition.EACH,
            )
        elif question.node == "detect":
            output = run_node(
                detect.Qwen3VLDetect,
                **shared,
                find=question.find,
                find_by="categories, comma between",
                attributes="",
                max_count=0,
                look_again="off",
                unreadable=grounding.LEAVE_EMPTY,
            )
        elif question.node == "point":
            output = run_node(
                detect.Qwen3VLPoint,
                **shared,
                find=question.find,
                unreadable=grounding.LEAVE_EMPTY,
            )
        else:
            output = run_node(
                ask.Qwen3VLAsk,
                **shared,
                question=question.words,
                system_prompt="",
                batch=composition.TOGETHER,
            )
        return output.result[0][0], "cut" not in str(output.result[-1])


def caption_seconds(through: ThroughEngine, wanted: list[Question], tries: int = 5) -> float:
    """Median time of a single caption, after one to warm up."""
    captions = [q for q in wanted if q.node == "caption"][: tries + 1]
    taken = []
    for question in captions:
        start = time.perf_counter()
        through.answer([question])
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])[len(taken[1:]) // 2]


def measure(through: ThroughEngine, seed: int, count: int) -> dict[str, float]:
    """Every figure over `count` scenes."""
    wanted = [question for number in range(count) for question in questions(number, seed)]
    figures: Figures = defaultdict(list)
    for question, (text, ended) in zip(wanted, through.answer(wanted), strict=True):
        figures["ends"].append(float(ended))
        if question.is_json:
            figures["json_valid"].append(float(scores.fenced_json(text) is not None))
        question.score(text, figures)
    figures["seconds_per_caption"] = [caption_seconds(through, wanted)]
    return {key: round(sum(figures[key]) / len(figures[key]), 4) for key in KEYS if figures[key]}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--through", choices=("engine", "nodes"), default="engine")
    parser.add_argument(
        "--sampled", action="store_true", help="the pack's default sampling, not greedy"
    )
    for name, default in (("device", "auto"), ("quantization", "none"), ("dtype", "auto")):
        parser.add_argument(f"--{name}", default=default)
    chosen = parser.parse_args(arguments)
    options = {"max_new_tokens": 400} | (
        {} if chosen.sampled else {"temperature": 0.0, "presence_penalty": 0.0}
    )
    kind = ThroughNodes if chosen.through == "nodes" else ThroughEngine
    settings = {name: getattr(chosen, name) for name in ("device", "quantization", "dtype")}
    through = kind(options, **settings)
    print(json.dumps(measure(through, chosen.seed, chosen.scenes)))


if __name__ == "__main__":
    main()
