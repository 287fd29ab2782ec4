"""How well the times of events are told for films of every kind, by the demo checkpoint.

    python tests/bench/film_events.py [--clips 60] [--device cpu]

Clips of the demo world that training never saw become films: of constant rate, of a rate that
varies, turned, trimmed out of a longer one, with ten bits. Each goes through the pack's own reader
and parser, greedy; an end counts that is at most half a second off. Prints one JSON line.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "examples" / "demo_model"),
    str(ROOT / "tests"),
    str(ROOT / "tests/support"),
]

from films import write_film
from qwen3vl_pack import load_pack
from world import clips, scenes

FIRST_SEED = 3_000_000
LEAD_SECONDS = 4.0  # what a trimmed film leaves out before its beginning
Trim = tuple[float, float]


def drawn(clip: clips.Clip, numbers: list[int]) -> list[np.ndarray]:
    """Source frames as arrays; sides even, as the codecs want them."""
    frames = [np.asarray(clip.frame(number)) for number in numbers]
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    return [frame[:height, :width] for frame in frames]


def constant(clip: clips.Clip, path: Path, dice: random.Random) -> Trim:
    write_film(path, fps=clips.SOURCE_FPS, frames=drawn(clip, [*range(clip.total_frames)]))
    return 0.0, 0.0


def varying(clip: clips.Clip, path: Path, dice: random.Random) -> Trim:
    """A third of the frames is left out; the others keep their seconds."""
    last = clip.total_frames - 1
    numbers = [k for k in range(clip.total_frames) if k in (0, last) or dice.random() > 0.33]
    times = [number / clips.SOURCE_FPS for number in numbers]
    write_film(path, fps=clips.SOURCE_FPS, frames=drawn(clip, numbers), times=times)
    return 0.0, 0.0


def turned(clip: clips.Clip, path: Path, dice: random.Random) -> Trim:
    """Filmed with the camera held sideways; the file says how to turn it back."""
    frames = [np.rot90(f, -1).copy() for f in drawn(clip, [*range(clip.total_frames)])]
    write_film(path, fps=clips.SOURCE_FPS, frames=frames, rotate=90)
    return 0.0, 0.0


def trimmed(clip: clips.Clip, path: Path, dice: random.Random) -> Trim:
    """Another clip stands before it in the file."""
    frames = drawn(clip, [*range(clip.total_frames)])
    size_wh = frames[0].shape[1], frames[0].shape[0]
    before = clips.random_clip(dice, size_wh, LEAD_SECONDS)
    frames = [*drawn(before, [*range(before.total_frames)]), *frames]
    write_film(path, fps=clips.SOURCE_FPS, frames=frames)
    return LEAD_SECONDS, clip.seconds


def ten_bits(clip: clips.Clip, path: Path, dice: random.Random) -> Trim:
    frames = drawn(clip, [*range(clip.total_frames)])
    write_film(path, fps=clips.SOURCE_FPS, frames=frames, pix_fmt="yuv420p10le")
    return 0.0, 0.0


KINDS = {
    "constant": constant, "varying": varying, "turned": turned, "trimmed": trimmed,
    "ten_bits": ten_bits,
}  # fmt: skip


class Teller:
    """The events of a film, by the demo checkpoint through the pack's own rooms."""

    def __init__(self, device: str):
        load_pack()
        from qwen3vl_nodes.loaders.hub import catalog
        from qwen3vl_nodes.loaders.local_model import LocalModel
        from qwen3vl_nodes.loaders.settings import LoadSettings

        self.model = LocalModel(LoadSettings(model=catalog.DEMO_NAME, device=device))

    def request(self, path: Path, trim: Trim):
        from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
        from qwen3vl_nodes.utils.chat.messages import Message
        from qwen3vl_nodes.utils.chat.requests import Request
        from qwen3vl_nodes.utils.chat.tasks import task
        from qwen3vl_nodes.utils.video.film import open_film
        from qwen3vl_nodes.utils.video.footage import film_footage
        from qwen3vl_nodes.utils.video.frame_budget import FrameBudget
        from qwen3vl_nodes.utils.video.moments import FrameChoice

        with open_film(path, path.name, trim) as film:
            clip = film_footage(film, FrameChoice(), FrameBudget()).clip
        options = GenerationOptions(max_new_tokens=400, temperature=0.0, presence_penalty=0.0)
        words = task("video_events").prompt
        return Request((Message("user", (clip, words)),), options)

    def answers(self, requests: list) -> list[str]:
        texts: dict[int, str] = {}
        with self.model.open() as engine:
            for index, reply in engine.generate(requests):
                if isinstance(reply, Exception):
                    raise reply
                texts[index] = reply.text
        return [texts[k] for k in range(len(requests))]


def ends_right(text: str, clip: clips.Clip) -> tuple[int, int]:
    """(starts and ends within half a second, all), events found by their thing's name."""
    from qwen3vl_nodes.utils.parsing.films.events import parse_events

    found = parse_events(text, clip.seconds)
    right = 0
    for event in clip.events:
        same = [e for e in found if event.thing.name in e.text.lower()]
        if same:
            best = min(same, key=lambda e: abs(e.start - event.start) + abs(e.end - event.end))
            right += abs(best.start - event.start) <= 0.5 + 1e-6
            right += abs(best.end - event.end) <= 0.5 + 1e-6
    return right, 2 * len(clip.events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    teller = Teller(chosen.device)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in KINDS.items():
            made, requests = [], []
            for number in range(chosen.clips):
                dice = random.Random(FIRST_SEED + number)
                clip = clips.random_clip(dice, scenes.random_size(dice, 144, 240))
                path = Path(folder) / "film.mp4"
                trim = make(clip, path, dice)
                made.append(clip)
                requests.append(teller.request(path, trim))
            scored = [
                ends_right(text, clip)
                for text, clip in zip(teller.answers(requests), made, strict=True)
            ]
            figures[kind] = round(sum(r for r, _ in scored) / sum(n for _, n in scored), 4)
    print(json.dumps({"clips": chosen.clips, "ends_within_half_a_second": figures}))


if __name__ == "__main__":
    main()
