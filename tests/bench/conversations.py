"""Chats about two pictures and about films, through a real ComfyUI, with the demo checkpoint.

    python tests/bench/conversations.py [--pairs 20] [--films 10] [--seed 7000000]

Two pictures of the demo world from seeds of this script's own and three turns about them, each
asking which picture shows a thing, the first time a red star where one of them has it; the shipped
workflow `chat` with other pictures. Each film is asked by Video what happens, and then by Chat, to
which Video hands the talk, what is seen at a second; the folder of the films goes through Caption
Folder. Every wrong answer is printed, and one JSON line at the end.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "examples" / "demo_model"),
    str(ROOT / "examples" / "scripts"),
    str(ROOT / "tests" / "support"),
]

import hosting
import numpy as np
from evaluation import scores
from films import write_film
from talks import answers
from world import clips, scenes
from world.nouns import article

FIRST_SEED = 7_000_000
TURNS = 3
RED_STAR = "red star"
Prompt = dict[str, Any]


def shipped(name: str) -> Prompt:
    """A workflow of the pack, as it is."""
    return json.loads((ROOT / "examples" / "api" / f"{name}.json").read_text("utf-8"))


def named(scene: scenes.Scene) -> set[str]:
    """What is in a picture."""
    return {thing.name for thing in scene.things}


def drawn_pair(rng: random.Random, red_star: bool) -> tuple[list[scenes.Scene], list[str]]:
    """Two pictures and three things that only one of them has, a red star first where wanted."""
    while True:
        pair = [
            scenes.random_scene(rng, scenes.random_size(rng, 160, 400), rng.randint(1, 3))
            for _ in range(2)
        ]
        things = sorted(named(pair[0]) ^ named(pair[1]))
        if len(things) >= TURNS and (RED_STAR in things) >= red_star:
            rng.shuffle(things)
            things.sort(key=lambda name: not (red_star and name == RED_STAR))
            return pair, things[:TURNS]


def pair_prompt(files: list[str], questions: list[str]) -> Prompt:
    """The shipped chat about other pictures."""
    prompt = shipped("chat")
    del prompt["7"]
    for node, file in zip("23", files, strict=True):
        prompt[node] = {"class_type": "LoadImage", "inputs": {"image": file}}
    for node, question in zip("456", questions, strict=True):
        prompt[node]["inputs"]["question"] = question
    return prompt


def film_prompt(file: str, question: str) -> Prompt:
    """Video about a film, and Chat that goes on."""
    prompt, chat = shipped("video_describe"), shipped("chat")["5"]
    video = prompt["4"]["inputs"] | {"video": ["2", 0], "preset": "Describe", "instructions": ""}
    chat["inputs"] |= {"chat": ["4", 3], "question": question}
    return {
        "1": prompt["1"],
        "3": prompt["3"],
        "2": {"class_type": "LoadVideo", "inputs": {"file": file}},
        "4": prompt["4"] | {"inputs": video},
        "5": chat,
    }


class Talks:
    """One server and its input folder."""

    def __init__(self, server: hosting.Server, folder: Path, seed: int):
        self.server, self.folder, self.seed = server, folder, seed

    def outputs(self, prompt: Prompt) -> Prompt:
        """What a run showed."""
        entry = self.server.run(prompt)
        if hosting.error_of(entry):
            raise RuntimeError(hosting.error_of(entry))
        return entry["outputs"]

    def pairs(self, count: int) -> dict[str, Any]:
        """Right answers by turn, and to the question for the red star."""
        right, stars = [0] * TURNS, [0, 0]
        for number in range(count):
            rng = random.Random(self.seed + number)
            pair, things = drawn_pair(rng, red_star=number % 2 == 0)
            files = [f"pair {number} {k}.png" for k in range(2)]
            for scene, file in zip(pair, files, strict=True):
                scene.draw().save(self.folder / file)
            asked = [f"Which picture shows {article(thing)}?" for thing in things]
            if things[0] == RED_STAR:
                asked[0] = "Which picture has the red star?"
            said = self.outputs(pair_prompt(files, asked))
            for turn, thing in enumerate(things):
                text = said[str(4 + turn)]["text"][0]
                wanted = 1 if thing in named(pair[0]) else 2
                hit = scores.first_number(text) == wanted
                right[turn] += hit
                if thing == RED_STAR:
                    stars = [stars[0] + hit, stars[1] + 1]
                if not hit:
                    print(f"pair {number}, turn {turn + 1}: {asked[turn]} {text!r}, it is {wanted}")
        return {"pairs": count, "right_by_turn": right, "red_star": stars}

    def films(self, count: int) -> dict[str, Any]:
        """Right answers of Chat about a second, after Video; and captions of the folder."""
        (self.folder / "films").mkdir()
        right = told = 0
        for number in range(count):
            rng = random.Random(self.seed + 500_000 + number)
            clip = clips.random_clip(rng, scenes.random_size(rng, 144, 240))
            frames = [np.asarray(clip.frame(k)) for k in range(clip.total_frames)]
            height, width = (side // 2 * 2 for side in frames[0].shape[:2])
            frames = [frame[:height, :width] for frame in frames]
            write_film(self.folder / f"{number}.mp4", fps=clips.SOURCE_FPS, frames=frames)
            (self.folder / "films" / f"{number}.mp4").hardlink_to(self.folder / f"{number}.mp4")
            second = next(
                s for s in (2, 3, 1, 0) if all(abs(s - t) > 0.2 or t == 0 for e in clip.events
                                               for t in (e.start, e.end))
            )  # fmt: skip
            said = self.outputs(film_prompt(f"{number}.mp4", f"What happens at second {second}?"))
            told += all(e.thing.name in said["4"]["text"][0].lower() for e in clip.events)
            truth, text = answers.at_second(clip, second), said["5"]["text"][0]
            hit = scores.names_in(text) == scores.names_in(truth)
            right += hit
            if not hit:
                print(f"film {number}, second {second}: {text!r}, but {truth!r}", flush=True)
        folder = shipped("caption_folder")
        folder["2"]["inputs"] |= {"folder": "input/films", "films": True}
        folder["2"]["inputs"] |= {"preset": "Short caption", "place": "beside the picture"}
        ledger = self.outputs(folder)["2"]["text"][0].splitlines()[-1]
        texts = [p.read_text("utf-8") for p in (self.folder / "films").glob("*.txt")]
        return {
            "films": count, "all_things_told": told, "chat_about_a_second": right,
            "folder": ledger, "captions": len(texts),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--films", type=int, default=10)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    chosen = parser.parse_args()
    comfyui = hosting.find_comfyui()
    if comfyui is None:
        raise SystemExit("This needs a ComfyUI checkout; set COMFYUI_PATH.")
    with (
        tempfile.TemporaryDirectory() as folder,
        hosting.temporary_server(comfyui, input_folder=Path(folder)) as server,
    ):
        made = Talks(server, Path(folder), chosen.seed)
        print(json.dumps(made.pairs(chosen.pairs)), flush=True)
        print(json.dumps(made.films(chosen.films)))


if __name__ == "__main__":
    main()
