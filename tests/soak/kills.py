"""Kills folder runs with kill -9 at random moments; every caption must stay whole and owned.

    python tests/soak/kills.py --kills 200

Each run is a fork of one warmed-up process and goes through the node's own `execute` with a stub
model. After every kill: each caption is the right one for its picture or the one that was there
before, a person's captions are as they were, what the ledger's file says written is there and
stays, and the journal knows all that is new. What the kill left half written must be gone once
the next run asks its model. A run that is not killed in time ends a round; the next round has
another format and mode.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import folder_runs as runs
from qwen3vl_nodes.utils.files.fingerprint import digest

APPEND = "append to captions"
ROUNDS = [
    *((kind, mode) for kind in ("txt", "json", "jsonl") for mode in ("skip existing",)),
    *((kind, "overwrite own") for kind in ("txt", "json", "jsonl")),
    ("txt", APPEND),
]
USERS = "a person wrote this "
PERSONS_EVERY = 7


@dataclass
class Round:
    """One folder, kept from kill to kill until a run comes to its end."""

    folder: Path
    kind: str
    mode: str
    right: dict[str, str]
    old: dict[str, str]  # what stands there before: a person's, or ours by other settings
    persons: set[str]
    seconds: float  # of an undisturbed run
    settled: set[str] = field(default_factory=set)  # have their new caption
    leftovers: set[tuple[str, int]] = field(default_factory=set)

    def check(self, swept: bool) -> None:
        """Raise AssertionError on anything that is not as it must be."""
        there = runs.captions(self.folder, self.kind)
        for name, text in there.items():
            allowed = {self.right.get(name), self.old.get(name)}
            assert text in allowed, f"damaged: {name}: {text!r}, not one of {allowed}"
        lost = [name for name in self.old if name not in there]
        assert not lost, f"captions that were there are lost: {lost}"
        new = {name for name in there if there[name] != self.old.get(name)}
        assert self.settled <= new, f"written before, and lost: {self.settled - new}"
        told = set(runs.ledger_written(self.folder))
        assert told <= new, f"written by the ledger, but not there: {told - new}"
        self._check_owned(new)
        if swept:
            still = self.leftovers & runs.temp_files(self.folder)
            assert not still, f"not swept: {still}"
        self.settled, self.leftovers = new, runs.temp_files(self.folder)

    def _check_owned(self, new: set[str]) -> None:
        if self.kind == "jsonl":
            return  # its lines are compared in `check`; the journal has digests of whole lines
        known = runs.journal_contents(self.folder)
        for name in new:
            content = (self.folder / f"{name}.{self.kind}").read_bytes()
            owned = digest(content).hex() in known.get(f"{name}.{self.kind}", ())
            assert owned, f"nobody owns {name}"


def begin(base: Path, pictures: int, kind: str, mode: str, seed: int) -> Round:
    """A new folder, with a person's captions and, to be overwritten, ours by other settings."""
    folder = runs.use_folders(base / "work")
    for number in range(pictures):
        place = folder / ("sub" if number % 3 == 0 else ".")
        place.mkdir(exist_ok=True)
        (place / f"p{number}.png").write_bytes(runs.png(seed * 100_000 + number))
    persons = write_persons(folder, kind, pictures)
    if mode == "overwrite own":
        runs.run_folder(runs.StubModel(), format=kind, instructions="Other words.")
        (folder / runs.LEDGER_NAME).unlink()  # its lines are of another run
    old = runs.captions(folder, kind)
    began = time.monotonic()
    right = runs.truth(folder, base / "truth", kind, mode=mode)
    seconds = time.monotonic() - began
    runs.use_folders(base / "work")
    return Round(folder, kind, mode, right, old, persons, seconds)


def write_persons(folder: Path, kind: str, pictures: int) -> set[str]:
    """Captions of a person for every seventh picture; those of a .jsonl have lines there."""
    names = []
    for number in range(0, pictures, PERSONS_EVERY):
        name = f"{'sub/' if number % 3 == 0 else ''}p{number}"
        names.append(name)
        said = f'{{"file_name": "{name}.png", "caption": "{USERS}{number}"}}\n'
        if kind == "jsonl":
            with (folder / "captions.jsonl").open("a") as file:
                file.write(said)
        else:
            text = said if kind == "json" else f"{USERS}{number}"
            (folder / f"{name}.{kind}").write_text(text)
    return set(names)


def run_in_child(files: Round, wait_ms: float, seed: int) -> tuple[int, int]:
    """Start a run; its process, and a pipe that gets a byte once the model is opened."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        os.close(reading)
        model = runs.StubModel(wait_ms, seed, on_open=lambda: os.write(writing, b"o"))
        runs.run_folder(model, format=files.kind, mode=files.mode)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's code
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def kill_at(process: int, seconds: float) -> bool:
    """Whether the run was still going when it was killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert status == 0, "a run failed"
            return False
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def play(files: Round, rng: random.Random, most: int) -> tuple[int, int]:
    """Kill runs on one folder until one ends; kills, and leftovers seen."""
    kills, leftovers = 0, 0
    wait_ms = rng.choice((0.0, 2.0, 6.0))
    whole = files.seconds + wait_ms / 1000 * len(files.right) / 2
    while True:
        process, pipe = run_in_child(files, wait_ms, rng.randrange(1 << 30))
        left = 0.1 + whole * (1 - len(files.settled) / len(files.right))
        killed = kill_at(process, rng.random() * left if kills < most else 600)
        swept = os.read(pipe, 1) == b"o"
        os.close(pipe)
        files.check(swept)
        if not killed:
            return kills, leftovers
        kills += 1
        leftovers += len(files.leftovers)


def finished(files: Round) -> None:
    """After a run that came to its end all captions are right, and nothing is left over."""
    there = runs.captions(files.folder, files.kind)
    assert there == files.right, "an ended run left other captions than an undisturbed one"
    assert not runs.temp_files(files.folder), "half-written files after a whole run"
    if files.mode != APPEND:
        kept = {name for name in files.persons if there[name].startswith(USERS)}
        assert kept == files.persons, f"a person's captions were touched: {files.persons - kept}"


def main() -> int:
    """Kill, check, and print what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, tally, started = random.Random(arguments.seed), Counter(), time.monotonic()
    for number, (kind, mode) in enumerate(cycle(ROUNDS)):
        with tempfile.TemporaryDirectory() as base:
            files = begin(Path(base), arguments.pictures, kind, mode, number)
            kills, leftovers = play(files, rng, 12)
            finished(files)
        tally.update({"kills": kills, "half-written files left and swept": leftovers, "rounds": 1})
        tally[f"kills, {kind}, {mode}"] += kills
        if tally["kills"] >= arguments.kills and number + 1 >= len(ROUNDS):
            break
    for name, count in tally.items():
        print(f"{name}: {count}")
    print("captions damaged, lost, unowned, or a person's touched: 0")
    print(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
