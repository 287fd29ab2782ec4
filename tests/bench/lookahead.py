"""What it brings to look tokens up before they are drawn, for one request after another.

    python tests/bench/lookahead.py [--size demo] [--each 8] [--sampled] [--half] [--weights fp8]
                                     [--documents FILE]

`demo` answers questions about its own world: pages as Markdown and HTML, lines and boxes as JSON,
forms, descriptions. The other sizes are random weights of the published shapes, which have nothing
to say: their choice is made as always, and then replaced by the next token of a script, so that
every step costs what it costs. Scripts: `fresh` tokens that were never heard; a `copy` of the
prompt's text with every 25th token changed, as when a caption is refined; `rows` of JSON whose
numbers and labels alone are new. Or `--documents`, JSON of
kind → lists of token ids: they are said as they stand, about a picture, asked for as Markdown.

One JSON line for each kind: decoded tokens a second (all but the first token of each answer)
without looking ahead, with a phrasebook that is emptied before each request (as the engine has it
in 16 bits), and with one that is kept (as it has it in fp32); both against the first, and their
tokens a step; and how many of both ways' answers were the same as without.
"""

# ruff: noqa: E402 - the demo modules are found by path, the pack has no name before it is loaded
from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import demo_questions
import numpy as np
import torch
from qwen3vl_pack import load_pack
from world import pages, printed, scenes

load_pack()

from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.request.phrasebook import Phrasebook
from qwen3vl_nodes.loaders.engine.state.rows import Field, Rows
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Progress, Reply, Request
from qwen3vl_nodes.utils.images.picture import Picture
from shapes import KINDS, make, pack

FIRST_SEED = 9_000_000
LINES = (
    "Spotting all the text in the image with line-level, and output in JSON format as "
    "[{'bbox_2d': [x1, y1, x2, y2], 'text_content': 'text'}, ...]."
)
SHAPES = "circle, square, triangle, star, heart, diamond, cross"
# A script is so long, and every so many of its tokens are one that nobody could know.
SCRIPT_TOKENS, NEWS_EVERY = 256, 25
LONGEST_SCRIPT = 4_096  # of a document
WAYS = ("off", "emptied", "kept")
# What is asked, and what is to be done before.
Job = tuple[Request, Callable[[], None]]


def asked(drawn: Any, words: str, sampled: bool, **more: Any) -> Request:
    """A question about one drawn picture, or about none."""
    greedy = {} if sampled else {"temperature": 0.0, "presence_penalty": 0.0}
    shown = () if drawn is None else (Picture(np.asarray(drawn)),)
    return Request(
        (Message("user", (*shown, words)),), GenerationOptions(**(more | greedy)), seed=11
    )


def demo_requests(number: int, sampled: bool) -> dict[str, Request]:
    """One request of each kind, about pictures of this number."""
    rng = random.Random(FIRST_SEED + number)
    width = rng.randint(448, 640)
    page = pages.random_page(rng, (width, rng.randint(width, 800))).draw()
    lines = printed.random_print(rng, scenes.random_size(rng, 300, 560)).draw()
    scene = scenes.random_scene(rng, scenes.random_size(rng, 400, 600)).draw()
    card = printed.random_card(rng, scenes.random_size(rng, 300, 560))
    form = json.dumps({key: "" for key, _ in card.fields})
    words = {
        "markdown": (page, "qwenvl markdown"),
        "html": (page, "qwenvl html"),
        "lines": (lines, LINES),
        "boxes": (scene, demo_questions.BOXES.format(SHAPES)),
        "form": (card.draw(), f"Extract the key-value information in the format: {form}"),
        "description": (scene, "Describe this image in detail."),
    }
    return {
        kind: asked(*what, sampled, max_new_tokens=1_000, max_pixels=2_097_152)
        for kind, what in words.items()
    }


class Script:
    """Puts the next token of a script in the place of each that was chosen."""

    def __init__(self, ops: Any, device: torch.device):
        self.ids = torch.zeros(LONGEST_SCRIPT + 64, dtype=torch.int64, device=device)
        choose = ops.choose

        def scripted(rows: Rows, logits: torch.Tensor, drawing: Any) -> torch.Tensor:
            chosen = choose(rows, logits, drawing)
            steps = rows.ints[: len(chosen), Field.STEP].clamp(max=len(self.ids) - 1)
            return self.ids[steps]

        ops.choose = scripted

    def write(self, ids: list[int]) -> None:
        """What is said next time."""
        self.ids[: len(ids)] = torch.tensor(ids, dtype=torch.int64)


def scripts(number: int, text: list[int]) -> dict[str, list[int]]:
    """Token ids by kind; `text` is a long text of the prompt."""
    dice = np.random.default_rng([FIRST_SEED, number])
    news = dice.integers(1_000, 140_000, SCRIPT_TOKENS).tolist()
    copied = [
        news[i] if i % NEWS_EVERY == 0 else token for i, token in enumerate(text[:SCRIPT_TOKENS])
    ]
    # As boxes are written: 26 tokens, of which 12 are the digits of four numbers and one a label.
    digits = {6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20, 24}
    rows = [news[i] % 10 + 500 if i % 26 in digits else 600 + i % 26 for i in range(SCRIPT_TOKENS)]
    return {"fresh": news, "copy": copied, "rows": rows}


def scripted_jobs(
    engine: FastEngine, processor: Any, each: int, sampled: bool
) -> dict[str, list[Job]]:
    """By kind, requests and what is to be done before each of them."""
    engine._end_ids = frozenset()
    script = Script(engine._attached()._ops, engine._module.lm_head.weight.device)
    jobs: dict[str, list] = {}
    for number in range(each):
        dice = random.Random(FIRST_SEED + number)
        words = " ".join(f"{dice.randrange(10**6)}" for _ in range(60))
        text = processor.tokenizer(words)["input_ids"]
        noise = np.random.default_rng(number).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
        request = asked(noise, words, sampled, max_new_tokens=SCRIPT_TOKENS)
        for kind, ids in scripts(number, text).items():
            jobs.setdefault(kind, []).append((request, lambda ids=ids: script.write(ids)))
    return jobs


def document_jobs(engine: FastEngine, file: Path, each: int, sampled: bool) -> dict[str, list[Job]]:
    """As `scripted_jobs`, for documents that are there as token ids."""
    engine._end_ids = frozenset()
    script = Script(engine._attached()._ops, engine._module.lm_head.weight.device)
    jobs: dict[str, list] = {}
    for kind, documents in json.loads(file.read_text("utf-8")).items():
        for number, ids in enumerate(document[:LONGEST_SCRIPT] for document in documents[:each]):
            noise = np.random.default_rng(number).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
            request = asked(noise, "qwenvl markdown", sampled, max_new_tokens=len(ids))
            jobs.setdefault(kind, []).append((request, lambda ids=ids: script.write(ids)))
    return jobs


@dataclass
class Way:
    """One of `WAYS`, and what came of it."""

    name: str
    book: Phrasebook | None
    seconds: float = 0.0
    tokens: int = 0
    steps: int = 0
    texts: list[str] = field(default_factory=list)

    def ask(self, engine: FastEngine, request: Request) -> None:
        """One request more."""
        engine._phrasebook = self.book
        # On a CPU what this process was given of it, whatever else runs there.
        clock = time.perf_counter if torch.cuda.is_available() else time.process_time
        counts, first = {1}, [0.0]

        def watch(seen: Progress) -> None:
            counts.add(seen.tokens)
            if seen.tokens and not first[0]:
                first[0] = clock()

        ((_, reply),) = engine.generate([request], watch)
        if not isinstance(reply, Reply):
            raise reply
        self.seconds += clock() - first[0] if reply.tokens > 1 else 0.0
        self.tokens += max(0, reply.tokens - 1)
        self.steps += len((counts | {reply.tokens}) - {0, 1})
        self.texts.append(reply.text)

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def measured(engine: FastEngine, jobs: list[Job]) -> dict[str, Way]:
    """All jobs, each in all ways before the next, so that a busy machine slows all of them."""
    books = (None, Phrasebook(keeps=False), Phrasebook(keeps=True))
    ways = {name: Way(name, book) for name, book in zip(WAYS, books, strict=True)}
    for number, (request, before) in enumerate(jobs):
        before()
        for name in WAYS[number % 3 :] + WAYS[: number % 3]:
            ways[name].ask(engine, request)
    return ways


def report(kind: str, args: Any, runs: list[dict[str, Way]]) -> None:
    """One line; medians of the runs."""
    line: dict[str, Any] = {"size": args.size, "half": args.half or args.size != "demo"}
    line |= {"weights": args.weights, "kind": kind}
    for name in WAYS:
        line[name] = round(statistics.median(run[name].speed for run in runs), 1)
    for name in WAYS[1:]:
        gain = statistics.median(run[name].speed / run["off"].speed for run in runs)
        line[f"{name}_gain"] = round(gain, 3)
        line[f"{name}_tok_step"] = round(runs[0][name].tokens / max(1, runs[0][name].steps), 2)
    plain = runs[0]["off"].texts
    pairs = [pair for name in WAYS for pair in zip(plain, runs[0][name].texts, strict=True)]
    line["same"] = f"{sum(a == b for a, b in pairs) - len(plain)}/{2 * len(plain)}"
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=("demo", "2B", "4B", "8B"), default="demo")
    parser.add_argument("--each", type=int, default=8, help="requests of each kind")
    parser.add_argument("--sampled", action="store_true", help="the official sampling")
    parser.add_argument("--half", action="store_true", help="the demo in bf16, not fp32")
    parser.add_argument("--weights", choices=("plain", *KINDS), default="plain")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kind", nargs="+", help="these kinds alone")
    parser.add_argument("--documents", type=Path, help="what is said, not with the demo")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module, processor = make(args.size, device)
    if args.half:
        module = module.to(torch.bfloat16)
    if args.weights != "plain":
        pack(module, args.weights)
    engine = FastEngine(module, processor, looks_ahead=True)
    if args.size == "demo":
        asked_of = [demo_requests(number, args.sampled) for number in range(args.each)]
        kinds = {k: [(one[k], lambda: None) for one in asked_of] for k in asked_of[0]}
    elif args.documents:
        kinds = document_jobs(engine, args.documents, args.each, args.sampled)
    else:
        kinds = scripted_jobs(engine, processor, args.each, args.sampled)
    for kind, jobs in kinds.items():
        if args.kind and kind not in args.kind:
            continue
        measured(engine, jobs)  # everything is compiled, and every prompt is read
        report(kind, args, [measured(engine, jobs) for _ in range(args.repeat)])


if __name__ == "__main__":
    main()
