"""Disks that fail in the middle of folder runs: nothing may be lost, and all must be said.

    python tests/soak/broken_disks.py             # every fault at every change; then real disks
    python tests/soak/broken_disks.py --disks 40  # as root, on Linux: filled, read-only

First every change of the folder fails in turn, with every error, once, in half or for good. Then
real small disks are filled by another thread (tmpfs) or made read-only by the kernel (ext4).
Each time: every caption is whole, the new one or the one before; a person's is as it was; the
ledger has every picture, a failure with its reason and what to do, or one InputError comes before
the model is asked; and the next run, on a sound disk, leaves what an undisturbed one leaves.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import folder_runs as runs
from faulty_disk import FAULTS, PLANS, FaultyDisk, breaking
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import atomic_write

SKIP, OWN, APPEND = "skip existing", "overwrite own", "append to captions"
ROUNDS = [(kind, mode) for kind in ("txt", "json", "jsonl") for mode in (SKIP, OWN)]
ROUNDS += [("txt", APPEND)]
USERS = "a person wrote this"
REMEDIES = ("Make room", "Allow writing", "Allow reading")


@dataclass(frozen=True)
class Case:
    """A folder as it is before a run, what is to become of it, and how it is captioned."""

    start: Path
    kind: str
    mode: str
    pictures: int
    old: dict[str, str]
    right: dict[str, str]

    @classmethod
    def made(cls, base: Path, kind: str, mode: str, pictures: int) -> Case:
        """With a person's caption for the first picture, and ours for all where they are to go."""
        start = runs.use_folders(base / "start")
        (start / "sub").mkdir()
        for number in range(pictures):
            folder = start / "sub" if number % 3 == 2 else start
            (folder / f"p{number}.png").write_bytes(runs.png(number))
        said = f'{{"file_name": "p0.png", "caption": "{USERS}"}}\n'
        file = start / ("captions.jsonl" if kind == "jsonl" else f"p0.{kind}")
        file.write_text(USERS if kind == "txt" else said)
        if mode == OWN:
            runs.run_folder(runs.StubModel(), format=kind, seed=1)
        right = runs.truth(start, base / "truth", kind, mode=mode)
        return cls(start, kind, mode, pictures, runs.captions(start, kind), right)

    def laid_out(self, base: Path) -> Path:
        """A new copy of the folder, which the node sees as input/pics."""
        folder = runs.use_folders(base)
        shutil.copytree(self.start, folder, dirs_exist_ok=True)
        return folder

    def run(self, wait_ms: float = 0.0) -> tuple[str, runs.StubModel]:
        """One run; its ledger, empty where it ended with an error, and the model it asked."""
        model = runs.StubModel(wait_ms)
        try:
            return runs.run_folder(model, format=self.kind, mode=self.mode), model
        except InputError as error:
            assert not model.answered, f"asked, and then: {error}"
            assert error.remedy, error
            return "", model

    def check(self, folder: Path, ledger: str) -> Counter[str]:
        """Raise AssertionError on anything that is not as it must be after a disturbed run."""
        there = runs.captions(folder, self.kind)
        lost = [name for name in self.old if name not in there]
        assert not lost, f"lost: {lost}"
        for name, text in there.items():
            assert text in (self.old.get(name), self.right[name]), f"damaged: {name}: {text!r}"
        if not ledger:
            return Counter({"ended before the model was asked": 1})
        assert runs.adds_up(ledger, self.pictures), f"does not add up:\n{ledger}"
        for line in (lines := ledger.split("\n")[:-1]):
            state, name = line[:8].strip(), line[8:].partition(": ")[0].rpartition(".")[0]
            if state == "written":
                assert there.get(name) == self.right[name], f"not there: {line}"
            if state == "failed":
                assert any(remedy in line for remedy in REMEDIES), f"no remedy: {line}"
        return Counter(f"lines {line[:8].strip()}" for line in lines)

    def finish(self, folder: Path) -> None:
        """The next run, on a sound disk."""
        ledger, _ = self.run()
        assert runs.adds_up(ledger, self.pictures) and ", failed 0" in ledger, ledger
        assert runs.captions(folder, self.kind) == self.right, "not as an undisturbed run"
        assert not runs.temp_files(folder), f"half-written: {runs.temp_files(folder)}"
        if self.kind == "jsonl":
            lines = (folder / "captions.jsonl").read_text().splitlines()
            assert len(lines) == self.pictures, f"{len(lines)} lines"
        if self.mode != APPEND:
            ledger = runs.run_folder(runs.StubModel(), format=self.kind, mode=OWN, seed=2)
            ours = f"written {self.pictures - 1}, skipped 1, failed 0"
            assert ledger.endswith(ours), f"captions that nobody owns:\n{ledger}"


def every_fault(case: Case, base: Path, faults: dict[str, int], plans=tuple(PLANS)) -> Counter[str]:
    """Run with each fault at each change in turn, until one passes untouched."""
    tally: Counter[str] = Counter()
    for plan in plans:
        for name, error in faults.items():
            for call in count(1):
                shutil.rmtree(base, ignore_errors=True)
                folder = case.laid_out(base)
                where = f"{case.kind}, {case.mode}: {name} {plan} at change {call}"
                try:
                    with breaking(FaultyDisk(folder, call, error, plan)) as disk:
                        ledger, _ = case.run()
                    tally += case.check(folder, ledger)
                    case.finish(folder)
                except BaseException as problem:
                    raise AssertionError(where) from problem
                tally["faulty runs"] += bool(disk.refused)
                if not disk.refused and call > disk.calls:
                    break
    return tally


class Tmpfs:
    """A small disk that another thread fills at random moments, and sometimes makes room on."""

    trouble = "full"

    def __init__(self, base: Path):
        self.folder = base / "disk"
        self.folder.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", "size=1500k", "none", self.folder)

    def break_down(self) -> None:
        """Leave no block of it free."""
        with contextlib.suppress(OSError), (self.folder / "ballast").open("ab", 0) as file:
            while True:
                file.write(bytes(4096))

    def mend(self) -> None:
        """Make room again."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", self.folder], check=True)


class AbortedExt4(Tmpfs):
    """A disk that the kernel makes read-only in the middle, as it does after an error of ext4."""

    trouble = "read-only"

    def __init__(self, base: Path):
        self.folder, self.image = base / "disk", base / "disk.img"
        self.folder.mkdir(exist_ok=True)
        self.image.write_bytes(bytes(8 << 20))
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        mount("-o", "loop", self.image, self.folder)

    def break_down(self) -> None:
        """What is not yet on the disk is lost, as with the power cut."""
        mount("-o", "remount,abort", self.folder)

    def mend(self) -> None:
        """Check it, and mount it again."""
        self.close()
        subprocess.run(["e2fsck", "-fy", self.image], check=False, capture_output=True)
        mount("-o", "loop", self.image, self.folder)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def disturb(disk: Tmpfs, rng: random.Random, ended: threading.Event) -> None:
    """Break the disk down at random moments; where that may be, mend it soon, sometimes."""
    while not ended.wait(rng.random() * 0.35):
        disk.break_down()
        if disk.trouble == "read-only":
            break
        if rng.random() < 0.5 and not ended.wait(rng.random() * 0.1):
            disk.mend()


def real_disks(base: Path, runs_wanted: int, seed: int, pictures: int = 60) -> Counter[str]:
    """Runs on a real small disk with trouble, each finished on the disk when it is sound."""
    rng, tally = random.Random(seed), Counter()
    for number in range(runs_wanted):
        kind, mode = ROUNDS[number // 2 % len(ROUNDS)]
        case = Case.made(base / f"made{number}", kind, mode, pictures)
        disk = (Tmpfs, AbortedExt4)[number % 2](base)
        try:
            folder, ended = case.laid_out(disk.folder), threading.Event()
            os.sync()
            thread = threading.Thread(target=disturb, args=(disk, rng, ended))
            thread.start()
            ledger = case.run(wait_ms=8)[0]
            ended.set()
            thread.join()
            found = case.check(folder, ledger)
            disk.mend()
            case.check(folder, ledger)
            case.finish(folder)
        finally:
            disk.close()
        tally[f"runs on a disk that went {disk.trouble}"] += 1
        tally[f"of them with failures, {disk.trouble}"] += bool(found["lines failed"])
        tally += found
    return tally


def main() -> int:
    """Break, check, and print what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--disks", type=int, default=28 if os.geteuid() == 0 else 0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    atomic_write.MIN_FREE_BYTES = 0  # a small disk would be refused before it can be full
    with tempfile.TemporaryDirectory() as base:
        for kind, mode in ROUNDS if arguments.pictures else []:
            case = Case.made(Path(base, "made", kind, mode), kind, mode, arguments.pictures)
            tally = every_fault(case, Path(base, "work"), FAULTS)
            print(f"{kind}, {mode}:", *(f"{name} {n}," for name, n in tally.items()), flush=True)
        for name, n in real_disks(Path(base), arguments.disks, arguments.seed).items():
            print(f"{name}: {n}")
    print(f"captions damaged or lost: 0; {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
