"""Stops folder runs at random moments while the folder changes; the captions must come out right.

    python tests/soak/stops.py --stops 50

Between two stops pictures are added, changed, renamed, swapped, copied and deleted. A stop is an
exception out of the interrupt check, kill -9 at a random time, or kill -9 at a random change of
the disk, which is in the middle of a commit. After the last one a run comes to its end, and every
picture that is there must have the caption that it gets in a folder captioned from scratch.
Captions of pictures that are gone may stay: they may be somebody's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import folder_runs as runs
from faulty_disk import FaultyDisk, breaking

SKIP, OWN = "skip existing", "overwrite own"
ROUNDS = [(kind, mode) for mode in (SKIP, OWN) for kind in ("txt", "json", "jsonl")]


class Stop(BaseException):
    """What ComfyUI's interrupt is to the node: nothing it may catch."""


class DeadlyDisk(FaultyDisk):
    """At the k-th change the process is killed."""

    def _refuse(self, path: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Changing:
    """A folder of pictures that changes; every picture is one that was never there before."""

    def __init__(self, folder: Path, pictures: int, rng: random.Random):
        self.folder, self.rng, self.made = folder, rng, rng.randrange(1 << 30)
        for name in ("sub", "sub/deep"):
            (folder / name).mkdir(exist_ok=True)
        self.tally: Counter[str] = Counter()
        for _ in range(pictures):
            self.add()

    def names(self) -> list[Path]:
        """The pictures that are there."""
        return sorted(self.folder.rglob("*.png"))

    def anywhere(self) -> Path:
        """A place for a picture; some are free again, with an orphan's caption beside them."""
        place = self.rng.choice((".", ".", "sub", "sub/deep"))
        return self.folder / place / f"p{self.rng.randrange(2000)}.png"

    def add(self) -> None:
        self.made += 1
        self.anywhere().write_bytes(runs.png(self.made))

    def change(self) -> None:
        self.made += 1
        self.rng.choice(self.names()).write_bytes(runs.png(self.made))

    def rename(self) -> None:
        self.rng.choice(self.names()).replace(self.anywhere())

    def rename_to_an_orphan(self) -> None:
        """One picture goes, another takes its name and finds its caption."""
        gone, other = self.rng.sample(self.names(), 2)
        gone.unlink()
        other.rename(gone)

    def swap(self) -> None:
        one, other = self.rng.sample(self.names(), 2)
        aside = one.with_suffix(".aside")
        one.rename(aside)
        other.rename(one)
        aside.rename(other)

    def copy(self) -> None:
        with contextlib.suppress(shutil.SameFileError):
            shutil.copy2(self.rng.choice(self.names()), self.anywhere())

    def delete(self) -> None:
        self.rng.choice(self.names()).unlink()

    def mutate(self, times: int) -> None:
        """Some changes of every kind."""
        ways = (self.add, self.change, self.rename, self.rename_to_an_orphan, self.swap,
                self.copy, self.delete)  # fmt: skip
        for _ in range(times):
            way = self.rng.choice(ways)
            way()
            self.tally[way.__name__.replace("_", " ")] += 1
        while len(self.names()) < 10:
            self.add()


def interrupted(calls: int, rng: random.Random, **widgets) -> bool:
    """A run that an exception leaves; whether it did before the run's end."""
    restore = runs.interrupts_at(rng.randrange(1, calls), Stop)
    try:
        runs.run_folder(runs.StubModel(), **widgets)
    except Stop:
        return True
    finally:
        restore()
    return False


def killed(folder: Path, seconds: float, change: int, **widgets) -> bool:
    """A run in a fork, killed after so many seconds or at a change of the disk."""
    process = os.fork()
    if not process:
        try:
            with breaking(DeadlyDisk(folder, change, 0)):
                runs.run_folder(runs.StubModel(), **widgets)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's code
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert status in (0, signal.SIGKILL), "a run failed"
            return status != 0
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def stop(number: int, changing: Changing, **widgets) -> str:
    """One stop of one kind, in turn; what it was, or "ended" where the run was faster."""
    rng, pictures = changing.rng, len(changing.names())
    kind = ("interrupts", "kills", "kills in a commit")[number % 3]
    if kind == "interrupts":
        stopped = interrupted(pictures * 5 // 4, rng, **widgets)
    elif kind == "kills":
        stopped = killed(changing.folder, rng.random() * 0.3, 0, **widgets)
    else:
        stopped = killed(changing.folder, 600, rng.randrange(1, pictures // 2), **widgets)
    return kind if stopped else "ended"


def from_scratch(folder: Path, base: Path, **widgets) -> dict[str, str]:
    """The captions of the pictures alone, in a folder that was never captioned."""
    alone = base / "alone"
    shutil.rmtree(alone, ignore_errors=True)
    for path in folder.rglob("*.png"):
        place = alone / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    right = runs.truth(alone, base / "truth", widgets["format"], mode=widgets["mode"])
    runs.use_folders(base / "work")
    return right


def play(base: Path, kind: str, mode: str, pictures: int, stops: int, seed: int) -> Counter[str]:
    """So many stops on one folder, then a run to the end; raises AssertionError if it is wrong."""
    widgets = {"format": kind, "mode": mode}
    changing = Changing(runs.use_folders(base / "work"), pictures, random.Random(seed))
    tally: Counter[str] = Counter()
    while tally.total() - tally["ended"] < stops:
        tally[stop(tally.total(), changing, **widgets)] += 1
        changing.mutate(max(2, pictures // 10))
    there = len(changing.names())
    ledger = runs.run_folder(runs.StubModel(), **widgets)
    assert runs.adds_up(ledger, there) and ", failed 0" in ledger, ledger
    right = from_scratch(changing.folder, base, **widgets)
    found = runs.captions(changing.folder, kind)
    wrong = {name for name, text in right.items() if found.get(name) != text}
    assert not wrong, f"{kind}, {mode}, seed {seed}: wrong captions of {sorted(wrong)}"
    assert not runs.temp_files(changing.folder), "half-written files after a whole run"
    tally += Counter({f"pictures: {name}": n for name, n in changing.tally.items()})
    tally["captions compared"] += len(right)
    tally["captions of pictures that are gone"] += len(found) - len(right)
    return tally


def main() -> int:
    """Stop, compare, and print what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stops", type=int, default=50, help="in each of the rounds")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally, started = Counter(), time.monotonic()
    for number, (kind, mode) in enumerate(ROUNDS):
        with tempfile.TemporaryDirectory() as base:
            tally += play(
                Path(base), kind, mode, arguments.pictures, arguments.stops,
                arguments.seed + number,
            )  # fmt: skip
    for name, count in tally.items():
        print(f"{name}: {count}")
    print(f"rounds: {len(ROUNDS)}; wrong captions: 0; {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
