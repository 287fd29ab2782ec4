"""What each step of a zoom talk reads, with and without the keys and values of the step before.

    python tests/bench/zoom_steps.py [--side 1024] [--looks 4] [--repeat 3]

The demo checkpoint was not taught the zoom tool, so its turns are scripted: every request of the
talk goes through the pack's engine, which draws one token of its own; then the script's call is
taken in place of it. The call is new to the engine so, and counts as read. Prints one JSON line a
step: tokens of its prompt, how many of them were read, and median seconds.
"""

# ruff: noqa: E402 (the pack has no name before it is loaded)
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "support")]

from qwen3vl_pack import load_pack

load_pack()

from qwen3vl_nodes.loaders.hub.official import DEMO_NAME
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.utils.agents.zoom_talk import ZoomTalk
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.requests import Reply
from qwen3vl_nodes.utils.images.picture import Picture

# One token is enough to know what was read before it.
OPTIONS = GenerationOptions(max_new_tokens=1, temperature=0.0)
PICTURE = ROOT / "examples" / "images" / "notes.png"


def call(number: int) -> str:
    """A look at another part of the picture each time."""
    left = 100 * number
    arguments = {"label": "a part", "bbox_2d": [left, left, left + 300, left + 300], "img_idx": 0}
    said = json.dumps({"name": "image_zoom_in_tool", "arguments": arguments})
    return f"<tool_call>\n{said}\n</tool_call>"


class Counting:
    """The engine's reader with a count of the tokens that it is given."""

    def __init__(self, stepper: Any):
        self.tokens, self._read = 0, stepper.read
        stepper.read = self.read

    def read(self, passages: Any, *rest: Any) -> Any:
        self.tokens += sum(one.end - one.start for one in passages)
        return self._read(passages, *rest)


def steps(
    engine: Any, counting: Counting, picture: Picture, looks: int, reuse: bool
) -> list[dict[str, Any]]:
    """One talk; for each step what its prompt has, what of it was read, and the seconds it took."""
    talk, found = ZoomTalk([picture], "What does the small text say?", looks, options=OPTIONS), []
    _forget(engine)
    for number in range(looks + 1):
        if not reuse:
            _forget(engine)
        counting.tokens, started = 0, time.perf_counter()
        ((_, reply),) = engine.generate([talk.request()])
        if isinstance(reply, Exception):
            raise reply
        seconds = time.perf_counter() - started
        found.append({"prompt": reply.prompt_tokens, "read": counting.tokens, "seconds": seconds})
        said = call(number) if number < looks else "The end."
        talk.take(Reply(said, "", "end", 1, reply.prompt_tokens, seconds, seconds))
    if not talk.done or len(talk.looks) != looks:
        raise RuntimeError(f"The talk went another way: {talk.lines}")
    return found


def _forget(engine: Any) -> None:
    while engine._stepper.prefix.evict():
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--looks", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    image = Image.open(PICTURE).convert("RGB").resize((chosen.side, chosen.side))
    picture = Picture(np.asarray(image))
    model = LocalModel(LoadSettings(model=DEMO_NAME, device=chosen.device))
    with model.open() as engine:
        counting = Counting(engine._attached())  # type: ignore[attr-defined]
        runs = {
            reuse: [
                steps(engine, counting, picture, chosen.looks, reuse) for _ in range(chosen.repeat)
            ]
            for reuse in (True, False)
        }
    for number in range(chosen.looks + 1):
        line: dict[str, Any] = {"step": number + 1, "prompt": runs[True][0][number]["prompt"]}
        for reuse, name in ((True, "with"), (False, "without")):
            line[f"read_{name}"] = runs[reuse][0][number]["read"]
            line[f"seconds_{name}"] = round(
                median(run[number]["seconds"] for run in runs[reuse]), 2
            )
        print(json.dumps(line))


if __name__ == "__main__":
    main()
