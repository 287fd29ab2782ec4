"""A long folder run through a real ComfyUI, with bad pictures, interrupts and restarts.

    python tests/soak/queue_soak.py --pictures 2000

The demo checkpoint captions small scenes, a tenth of them spoilt. Five runs are interrupted and
three servers end, one of them by kill -9; each time the same prompt is queued again. In the end
every good picture must have its caption, whole and the one it would have had anyway, and the
last ledger must name every bad one. A thread polls the server all the while.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import queue_runs as runs

# In the order in which they come, spread over the run by how many captions are there.
EVENTS = (
    "interrupt", "stop", "interrupt", "kill -9", "interrupt", "stop", "interrupt", "interrupt",
)  # fmt: skip
FOLDER = "input/pics"


class Soak:
    """The servers of one soak, one after the other on the same folders."""

    def __init__(self, comfyui: Path, base: Path, poll: runs.Poll):
        self.comfyui, self.base, self.poll = comfyui, base, poll
        self.captions = base / "output" / "captions" / FOLDER
        self.prompts = 0

    def start(self) -> runs.hosting.Server:
        """A server that answers."""
        server = runs.hosting.Server(self.comfyui, self.base).__enter__()
        self.poll.server = server
        return server

    def end(self, server: runs.hosting.Server, kill: bool) -> None:
        """Stop it, politely or not."""
        self.poll.server = None
        if kill:
            os.kill(server.process.pid, signal.SIGKILL)
        server.__exit__(None, None, None)

    def queue(self, server: runs.hosting.Server) -> str:
        """Queue the folder again."""
        self.prompts += 1
        return server.queue(runs.folder_prompt(FOLDER))

    def done(self) -> int:
        """How many captions are there."""
        return sum(1 for _ in self.captions.rglob("*.txt"))

    def wait_for(self, server: runs.hosting.Server, prompt_id: str, captions: int) -> bool:
        """Whether the run still goes when so many captions are there."""
        while self.done() < captions:
            if prompt_id in server.get(f"/history/{prompt_id}"):
                return False
            time.sleep(0.1)
        return True


def disturbed(soak: Soak, good: int, rng: random.Random) -> dict:
    """Run to the end through all events; the history entry of the last prompt."""
    server = soak.start()
    prompt_id = soak.queue(server)
    step = good // (len(EVENTS) + 1)
    for number, event in enumerate(EVENTS, 1):
        assert soak.wait_for(server, prompt_id, number * step - rng.randrange(step // 2)), event
        print(f"{event} at {soak.done()} captions", flush=True)
        if event == "interrupt":
            asked = time.monotonic()
            server.post("/interrupt", {})
            entry = server.wait(prompt_id)
            assert runs.hosting.error_of(entry), "it was not interrupted"
            assert time.monotonic() - asked < 3, "an interrupt took too long"
        else:
            soak.end(server, kill=event == "kill -9")
            server = soak.start()
        prompt_id = soak.queue(server)
    entry = server.wait(prompt_id, 3600)
    soak.end(server, kill=False)
    return entry


def main() -> int:
    """Run, check, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    comfyui = runs.hosting.find_comfyui()
    assert comfyui is not None, "needs a ComfyUI checkout"
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        pictures = Path(base) / FOLDER
        runs.draw_pictures(pictures, chosen.pictures, chosen.seed)
        bad = runs.spoil(pictures, 10)
        poll = runs.Poll()
        poll.start()
        soak = Soak(comfyui, Path(base), poll)
        entry = disturbed(soak, chosen.pictures - bad, random.Random(chosen.seed))
        poll.stop()
        check(soak, entry, chosen.pictures, bad)
    slow = sorted(poll.seconds)
    print(f"{soak.prompts} prompts, {time.monotonic() - started:.0f} s")
    print(
        f"{len(slow)} polls: median {slow[len(slow) // 2] * 1000:.0f} ms, "
        f"at most {slow[-1]:.2f} s, {poll.failures} without an answer"
    )
    print(f"server's memory: {max(poll.megabytes):.0f} MB at most")
    return 0


def check(soak: Soak, entry: dict, pictures: int, bad: int) -> None:
    """The last ledger adds up, bad pictures are named, and captions are whole."""
    assert runs.hosting.error_of(entry) == "", runs.hosting.error_of(entry)
    ledger = entry["outputs"]["3"]["text"][0]
    closing = ledger.splitlines()[-1]
    counts = {word: int(n) for word, n in (part.split() for part in closing.split(", "))}
    print(f"the last ledger: {closing}; {pictures} pictures, {bad} of them bad")
    assert sum(counts.values()) == pictures and counts["failed"] == bad
    failed = [line for line in ledger.splitlines() if line.startswith("failed ")]
    assert len(failed) == bad or "lines more" in ledger
    assert all(": " in line for line in failed)
    texts = [path.read_text("utf-8") for path in soak.captions.rglob("*.txt")]
    assert len(texts) == pictures - bad
    whole = sum(text.startswith(("A ", "An ", "Two ", "No ", "The ")) for text in texts)
    ended = sum(text.rstrip().endswith(".") for text in texts)
    print(f"{len(texts)} captions, {whole} begin and {ended} end as sentences do")
    assert not list(soak.captions.rglob("*qwen3vl-tmp"))


if __name__ == "__main__":
    sys.exit(main())
