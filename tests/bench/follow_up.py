"""What an earlier turn's keys and values save, and what streaming costs, with the demo checkpoint.

    python tests/bench/follow_up.py [--device cpu] [--tries 5]

A chat about three pictures and a film of the demo world: the second turn's seconds to the first
token, where the engine has read the first turn before and where it has not. Then descriptions of
pictures with and without a text that is shown as it grows. Medians, in one JSON line.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from typing import Any

import demo_questions  # noqa: F401 - it knows where the demo's modules are
import numpy as np
from qwen3vl_pack import load_pack
from world import clips, scenes

load_pack()

from qwen3vl_nodes.loaders.hub.official import DEMO_NAME
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Progress, Reply, Request
from qwen3vl_nodes.utils.images.picture import Clip, Picture

FIRST_SEED = 8_000_000
PICTURES, DESCRIBED = 3, 4
EVERY_SECONDS = 0.1  # as nodes send a growing text
GREEDY = GenerationOptions(max_new_tokens=200, temperature=0.0, presence_penalty=0.0)


def picture(seed: int) -> Picture:
    dice = random.Random(seed)
    return Picture(np.asarray(scenes.random_scene(dice, scenes.random_size(dice, 400, 600)).draw()))


def film(seed: int) -> Clip:
    clip = clips.random_clip(random.Random(seed), (240, 180), 10.0)
    numbers = clips.sample_indices(clip.total_frames, even=True)
    frames = np.stack([np.asarray(clip.frame(n)) for n in numbers])
    return Clip(frames, clips.SOURCE_FPS, tuple(numbers), clip.total_frames)


def chat(seed: int) -> tuple[Message, ...]:
    """The first question, about pictures and a film."""
    shown = [picture(seed * 100 + number) for number in range(PICTURES)]
    return (Message("user", (*shown, film(seed), "Describe each picture.")),)


class Streamed:
    """Takes a run's progress as a node does: what is new of the text, ten times a second."""

    def __init__(self) -> None:
        self.at, self.length, self.messages = 0.0, 0, 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.at >= EVERY_SECONDS:
            json.dumps({"text": progress.text[self.length :], "tokens": progress.tokens})
            self.at, self.length = now, len(progress.text)
            self.messages += 1


def asked(engine: Any, requests: list[Request], *more: Any) -> list[Reply]:
    replies = dict(engine.generate(requests, *more))
    wrong = [reply for reply in replies.values() if not isinstance(reply, Reply)]
    if wrong:
        raise wrong[0]
    return [replies[number] for number in range(len(requests))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tries", type=int, default=5)
    chosen = parser.parse_args()
    model = LocalModel(LoadSettings(model=DEMO_NAME, device=chosen.device))
    first: dict[str, list[float]] = {"first turn": [], "known": [], "anew": []}
    speed: dict[str, list[float]] = {"streamed": [], "whole": []}
    prompt_tokens = 0
    with model.open() as engine:
        asked(engine, [Request(chat(FIRST_SEED), GREEDY)])  # everything is loaded
        for number in range(chosen.tries):
            opened = chat(FIRST_SEED + 1 + number)
            (reply,) = asked(engine, [Request(opened, GREEDY)])
            second = (Message("assistant", (reply.text,)), Message("user", ("And the film?",)))
            follow = Request((*opened, *second), GREEDY)
            (known,) = asked(engine, [follow])
            engine.drop_buffers()
            (anew,) = asked(engine, [follow])
            prompt_tokens = known.prompt_tokens
            assert known.text == anew.text, (known.text, anew.text)
            for name, one in (("first turn", reply), ("known", known), ("anew", anew)):
                first[name].append(one.first_token_seconds)
        for number in range(chosen.tries):
            pictures = [picture(FIRST_SEED * 2 + number * DESCRIBED + n) for n in range(DESCRIBED)]
            words = "Describe this image in detail."
            requests = [Request((Message("user", (one, words)),), GREEDY) for one in pictures]
            ways = [("whole", ()), ("streamed", (Streamed(),))]
            for name, watch in ways if number % 2 else ways[::-1]:
                engine.drop_buffers()
                started = time.perf_counter()
                tokens = sum(one.tokens for one in asked(engine, requests, *watch))
                speed[name].append(tokens / (time.perf_counter() - started))
    figures = {f"first token, {name}": statistics.median(v) for name, v in first.items()}
    figures |= {f"tokens/s, {name}": statistics.median(v) for name, v in speed.items()}
    tokens = {"prompt tokens": float(prompt_tokens)}
    print(json.dumps({name: round(value, 3) for name, value in (figures | tokens).items()}))


if __name__ == "__main__":
    main()
