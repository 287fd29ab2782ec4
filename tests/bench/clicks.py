"""How often GUI Action clicks what it was told to, through a real ComfyUI's queue.

    python tests/bench/clicks.py [--windows 100] [--tools computer_use] [--steps 1] [--seed 4000000]

Windows of the demo world, drawn from a seed of this script's own, each a file in ComfyUI's input
folder; for each, the node of the shipped workflow `gui_action` is posted to /prompt with that
picture, and the name of one button in its instruction. With `--steps 4` four windows are one
workflow, and each step gets the history of the step before. A click counts where the value that
the node gives lies on that button. Every miss is printed, and one JSON line at the end.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples" / "demo_model"), str(ROOT / "examples" / "scripts")]

import hosting
from world import printed, scenes

FIRST_SEED = 4_000_000
TOOLS = {"computer_use": "computer_use (desktop)", "mobile_use": "mobile_use (phone)"}
Box = tuple[int, int, int, int]
HISTORY = 5  # the place of this output of GUI Action


def window_of(seed: int, path: Path) -> tuple[str, Box]:
    """Draws a window into a file; the name of one of its buttons, and where that is."""
    rng = random.Random(seed)
    window = printed.random_window(rng, scenes.random_size(rng, 240, 640))
    k = rng.randrange(len(window.lines))
    window.draw().save(path)
    return window.lines[k].text, window.plates[k][0]


def workflow(
    pictures: list[str], names: list[str], tools: str, explain: bool = True
) -> dict[str, Any]:
    """The shipped workflow about other pictures and buttons, each step with the history before it.

    What step n says to do is shown by the node `show n`.
    """
    path = ROOT / "examples" / "api" / "gui_action.json"
    shipped = json.loads(path.read_text("utf-8"))
    prompt: dict[str, Any] = {"1": shipped["1"]}
    for n, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        prompt[f"see {n}"] = {"class_type": "LoadImage", "inputs": {"image": picture}}
        inputs = shipped["3"]["inputs"] | {"image": [f"see {n}", 0], "tools": TOOLS[tools]}
        inputs["explain"] = explain
        inputs["instruction"] = f"Click the {name} button"
        if n:
            inputs["history"] = [f"act {n - 1}", HISTORY]
        prompt[f"act {n}"] = shipped["3"] | {"inputs": inputs}
        prompt[f"show {n}"] = {"class_type": "PreviewAny", "inputs": {"source": [f"act {n}", 0]}}
    return prompt


def on_button(actions: list[dict], box: Box) -> bool:
    """Whether it is one click that can be done, and lies on the button."""
    if len(actions) != 1 or not actions[0]["valid"] or "click" not in actions[0]["action"]:
        return False
    x, y = actions[0].get("x", -1), actions[0].get("y", -1)
    return box[0] <= x < box[2] and box[1] <= y < box[3]


def measure(windows: int, seed: int, tools: str, steps: int, explain: bool) -> dict[str, Any]:
    """Clicks on the named button out of so many windows, asked about in runs of `steps`."""
    hits, seconds = 0, []
    with (
        tempfile.TemporaryDirectory() as temporary,
        hosting.temporary_server(_comfyui(), input_folder=Path(temporary)) as server,
    ):
        folder = Path(temporary)
        for first in range(0, windows, steps):
            files = [f"{n}.png" for n in range(first, min(first + steps, windows))]
            drawn = [window_of(seed + first + n, folder / f) for n, f in enumerate(files)]
            started = time.perf_counter()
            entry = server.run(workflow(files, [name for name, _ in drawn], tools, explain))
            seconds.append((time.perf_counter() - started) / len(files))
            if hosting.error_of(entry):
                raise RuntimeError(hosting.error_of(entry))
            for n, (name, box) in enumerate(drawn):
                actions = json.loads(entry["outputs"][f"show {n}"]["text"][0])
                hits += (hit := on_button(actions, box))
                if not hit:
                    print(f"window {first + n}: {name} is at {box}, but: {actions}", flush=True)
    return {
        "tools": tools,
        "windows": windows,
        "steps": steps,
        "explain": explain,
        "on_the_button": hits,
        "seconds_each": round(sorted(seconds)[len(seconds) // 2], 2),
    }


def _comfyui() -> Path:
    found = hosting.find_comfyui()
    if found is None:
        raise SystemExit("This needs a ComfyUI checkout; set COMFYUI_PATH.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--tools", choices=TOOLS, default="computer_use")
    parser.add_argument("--steps", type=int, default=1, help="windows in a run with history")
    parser.add_argument("--plain", action="store_true", help="explain is off")
    chosen = parser.parse_args()
    print(
        json.dumps(
            measure(chosen.windows, chosen.seed, chosen.tools, chosen.steps, not chosen.plain)
        )
    )


if __name__ == "__main__":
    main()
