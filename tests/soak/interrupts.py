"""Interrupts folder runs on a real ComfyUI at random moments: each must stop within 2 s.

    python tests/soak/interrupts.py --interrupts 100

Each run captions a folder with the demo checkpoint and is interrupted after a random wait, from
before the first picture is read to the middle of answers. Finished captions stay, and the next
prompt runs.
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

ENDS = ("execution_success", "execution_error", "execution_interrupted")


async def interrupted(server: runs.hosting.Server, prompt: dict, wait: float) -> tuple[str, float]:
    """How a prompt ended, and how many seconds after the interrupt."""
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
            if event["type"] == "executing" and data.get("node") == "3" and asking is None:
                asking = asyncio.create_task(ask())
            if event["type"] in ENDS:
                if asking is not None:
                    asking.cancel()
                return event["type"], time.monotonic() - asked_at if asked_at else -1.0
    raise AssertionError("the websocket closed")


def main() -> int:
    """Interrupt, look, and print the distribution."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--interrupts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    comfyui = runs.hosting.find_comfyui()
    assert comfyui is not None, "needs a ComfyUI checkout"
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
    took.sort()
    print(f"{len(took)} interrupts, {early} runs ended before theirs")
    print(
        f"seconds until it stopped: median {statistics.median(took):.3f}, "
        f"95 % {took[int(0.95 * len(took))]:.3f}, at most {took[-1]:.3f}"
    )
    print(f"more than 2 s: {sum(s > 2 for s in took)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
