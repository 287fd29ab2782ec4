"""What the soaks on a real ComfyUI share: a dataset, prompts, a websocket, a poll of the server."""

from __future__ import annotations

import random
import sys
import threading
import time
import urllib.request
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
EXAMPLES = TESTS.parent / "examples"
sys.path[:0] = [str(EXAMPLES / "scripts"), str(EXAMPLES / "demo_model")]

import hosting  # noqa: E402 - found only now
from PIL import Image  # noqa: E402
from world import scenes  # noqa: E402

DEMO = "Qwen3-VL-Demo"


def folder_prompt(folder: str, seed: int = 0, max_new_tokens: int = 24) -> dict:
    """Caption Folder with the demo checkpoint, greedy, captions in the output folder."""
    loader = {
        "model": DEMO, "dtype": "auto", "attention": "auto", "quantization": "none",
        "device": "auto", "engine": "auto",
    }  # fmt: skip
    options = {
        "sampling": "greedy", "max_new_tokens": max_new_tokens, "temperature": 0.7, "top_p": 0.8,
        "top_k": 20, "repetition_penalty": 1.0, "presence_penalty": 1.5, "min_picture_tokens": 0,
        "max_picture_tokens": 0, "stop": "",
    }  # fmt: skip
    node = {
        "folder": folder, "recursive": True, "preset": "Short caption", "instructions": "",
        "system_prompt": "", "seed": seed, "mode": "skip existing",
        "place": "in the output folder", "prefix": "", "suffix": "",
        "model": ["1", 0], "options": ["2", 0],
    }  # fmt: skip
    return {
        "1": {"class_type": "Qwen3VLLoader", "inputs": loader},
        "2": {"class_type": "Qwen3VLOptions", "inputs": options},
        "3": {"class_type": "Qwen3VLCaptionFolder", "inputs": node},
    }


def draw_pictures(folder: Path, count: int, seed: int = 0) -> None:
    """Small scenes that the demo checkpoint knows, a hundred to a folder."""
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        size = scenes.random_size(dice, 160, 224)
        place = folder / f"{number // 100:03d}"
        place.mkdir(parents=True, exist_ok=True)
        scenes.random_scene(dice, size).draw().convert("RGB").save(place / f"p{number:05d}.png")


def spoil(folder: Path, every: int) -> int:
    """Make every n-th picture bad, in ten different ways; how many."""
    paths = sorted(folder.rglob("*.png"))[::every]
    for number, path in enumerate(paths):
        data = path.read_bytes()
        bad = (
            b"", b"not a picture", data[: len(data) // 2], data[:30], b"\x89PNG\r\n\x1a\n" * 9,
            data.replace(b"IDAT", b"IDAX"), b"<html>not found</html>", b"\0" * 5000,
            data[:20] + b"\xff\xff\xff\xff" + data[24:], data[:8] + b"\xff" * 400,
        )  # fmt: skip
        path.write_bytes(bad[number % len(bad)])
    return len(paths)


class Poll(threading.Thread):
    """Asks the server for its queue again and again: how long answers take, and its memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.megabytes: list[float] = []
        self.failures = 0
        self.server: hosting.Server | None = None  # None while it is down on purpose
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.25):
            server, started = self.server, time.monotonic()
            if server is None:
                continue
            try:
                with urllib.request.urlopen(f"{server.url}/queue", timeout=10) as answer:
                    answer.read()
                self.seconds.append(time.monotonic() - started)
                pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
                self.megabytes.append(int(pages) * 4096 / 1e6)
            except OSError:
                self.failures += self.server is server

    def stop(self) -> None:
        self._over.set()
        self.join()


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size
