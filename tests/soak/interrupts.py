"""Interrupts runs on a real ComfyUI at random moments: each must stop within 2 s.

    python tests/soak/interrupts.py --interrupts 100
    python tests/soak/interrupts.py --interrupts 100 --templates

Each run captions a folder with the demo checkpoint and is interrupted after a random wait, from
before the first picture is read to the middle of answers. Finished captions stay, and the next
prompt runs. With --templates the nodes that write (captions, answers, chats, films, pages) are
interrupted in turn, each for a long text; then its template, run to its end, must answer right, and
the server has no thread more than before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import queue_runs as runs

sys.path.insert(0, str(runs.TESTS / "support"))

from template_answers import check_answers  # noqa: E402 - found only now

TEMPLATES = (
    "just_caption", "caption_image", "chat", "compare_pictures", "read_text", "document_pdf",
    "video_describe", "video_events",
)  # fmt: skip
WRITERS = (
    "Qwen3VLCaption", "Qwen3VLAsk", "Qwen3VLChat", "Qwen3VLCompare", "Qwen3VLReadText",
    "Qwen3VLDocument", "Qwen3VLVideo", "Qwen3VLEvents", "Qwen3VLZoom",
)  # fmt: skip
ENDS = ("execution_success", "execution_error", "execution_interrupted")


async def interrupted(
    server: runs.hosting.Server,
    prompt: dict,
    wait: float,
    kinds: tuple[str, ...] = ("Qwen3VLCaptionFolder",),
) -> tuple[str, float]:
    """How a prompt ended, and how many seconds after the interrupt, which comes so long after a
    node of one of these kinds began.
    """
    nodes = {number for number, node in prompt.items() if node["class_type"] in kinds}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws?clientId=soak") as socket,
    ):
        body = {"prompt": prompt, "client_id": "soak"}
        async with session.post(f"{server.url}/prompt", json=body) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        asked_at = 0.0

        async def ask() -> None:
            nonlocal asked_at
            await asyncio.sleep(wait)
            asked_at = time.monotonic()
            await session.post(f"{server.url}/interrupt")

        asking = None
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            data = event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            if event["type"] == "executing" and data.get("node") in nodes and asking is None:
                asking = asyncio.create_task(ask())
            if event["type"] in ENDS:
                if asking is not None:
                    asking.cancel()
                return event["type"], time.monotonic() - asked_at if asked_at else -1.0
    raise AssertionError("the websocket closed")


def of_templates(comfyui: Path, chosen: argparse.Namespace) -> None:
    """Interrupt each template in turn."""
    rng, took, early = random.Random(chosen.seed), {name: [] for name in TEMPLATES}, 0
    with (
        tempfile.TemporaryDirectory() as base,
        runs.hosting.Server(comfyui, Path(base)) as server,
    ):
        usual = max(answers_right(server, name) for name in TEMPLATES)
        for number in range(chosen.interrupts):
            name = TEMPLATES[number % len(TEMPLATES)]
            prompt = long_answer(template(name), number)
            end, seconds = asyncio.run(
                interrupted(server, prompt, rng.random() ** 2 * 2.0, WRITERS)
            )
            if end == "execution_interrupted":
                took[name].append(seconds)
            else:
                assert end == "execution_success", (name, end)
                early += 1
            threads = answers_right(server, name)
            # Libraries start their own at first need; after two rounds all have been there.
            usual = max(usual, threads) if number < 2 * len(TEMPLATES) else usual
            assert threads <= usual, f"{threads} threads after {name}, {usual} before"
    print(f"{usual} threads at most")
    for name, seconds in took.items():
        if seconds:
            print(f"{name}: {len(seconds)}, at most {max(seconds):.3f} s")
    tell(sorted(second for own in took.values() for second in own), early)


def template(name: str) -> dict:
    """A template's prompt as it is shipped."""
    return json.loads((runs.EXAMPLES / "api" / f"{name}.json").read_text("utf-8"))


def long_answer(prompt: dict, seed: int) -> dict:
    """The same with another seed, and as many tokens as its nodes let be asked for."""
    for node in prompt.values():
        if node["class_type"] in WRITERS:
            node["inputs"] |= {"seed": seed + 1000, "max_new_tokens": 2000}
    return prompt


def answers_right(server: runs.hosting.Server, name: str) -> int:
    """Hold a template's answer, made anew, to the expected one; how many threads the server has."""
    server.post("/free", {"free_memory": True})
    time.sleep(0.3)  # which the queue does between two prompts
    entry = server.run(template(name))
    assert runs.hosting.error_of(entry) == "", (name, runs.hosting.error_of(entry))
    check_answers(name, entry["outputs"])
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


def main() -> int:
    """Interrupt, look, and print the distribution."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--interrupts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--templates", action="store_true")
    chosen = parser.parse_args()
    comfyui = runs.hosting.find_comfyui()
    assert comfyui is not None, "needs a ComfyUI checkout"
    (of_templates if chosen.templates else of_folders)(comfyui, chosen)
    return 0


def of_folders(comfyui: Path, chosen: argparse.Namespace) -> None:
    """Interrupt folder runs."""
    rng, took, early = random.Random(chosen.seed), [], 0
    with tempfile.TemporaryDirectory() as base:
        pictures = Path(base) / "input" / "pics"
        runs.draw_pictures(pictures, 400)
        captions = Path(base) / "output" / "captions" / "input" / "pics"
        with runs.hosting.Server(comfyui, Path(base)) as server:
            while len(took) < chosen.interrupts:
                before = {p: p.read_bytes() for p in captions.rglob("*.txt")}
                if len(before) > 300:
                    for path in before:
                        path.unlink()
                    before = {}
                prompt = runs.folder_prompt("input/pics", seed=len(took))
                end, seconds = asyncio.run(interrupted(server, prompt, rng.random() ** 2 * 3.0))
                for path, data in before.items():
                    assert path.read_bytes() == data, f"{path} changed"
                assert all(p.stat().st_size for p in captions.rglob("*.txt")), "an empty caption"
                if end != "execution_interrupted":
                    assert end == "execution_success", end
                    early += 1
                    continue
                took.append(seconds)
            last = server.run(runs.folder_prompt("input/pics/000", seed=1))
            assert runs.hosting.error_of(last) == "", runs.hosting.error_of(last)
    tell(sorted(took), early)


def tell(took: list[float], early: int) -> None:
    """Print the distribution."""
    print(f"{len(took)} interrupts, {early} runs ended before theirs")
    print(
        f"seconds until it stopped: median {statistics.median(took):.3f}, "
        f"95 % {took[int(0.95 * len(took))]:.3f}, at most {took[-1]:.3f}"
    )
    print(f"more than 2 s: {sum(s > 2 for s in took)}")


if __name__ == "__main__":
    sys.exit(main())
