"""Folder runs on disks that break: every call that can fail fails once; full and read-only disks.

    python tests/soak/broken_disks.py --rounds 30

1. Each call by which a run writes fails with each error, alone or with all after it, until a run
   passes with no call left to fail.
2. As root: a small tmpfs that is filled up, and emptied again, at random moments.
3. As root: the run of another user whose folders lose and regain their write permission at
   random moments; and a file system that is mounted read-only.

After each run the captions must be whole and nobody's lost, the ledger must add up and tell the
truth, and a run on the mended disk must end with every caption right.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import folder_runs as runs  # noqa: E402 - found only now
from broken_runs import BrokenFolder  # noqa: E402
from faulty_disk import CODES, faulty_disk  # noqa: E402
from qwen3vl_nodes.utils.errors import InputError  # noqa: E402

KINDS = [(kind, mode) for kind in ("txt", "json", "jsonl")
         for mode in ("skip existing", "overwrite own")] + [("txt", "append to captions")]  # fmt: skip
NOBODY = 65534


def every_call(base: Path, tally: Counter) -> None:
    """Part 1."""
    for kind, mode in KINDS:
        files = BrokenFolder.made(base, 4, kind, mode)
        for code in CODES:
            for lasting in (False, True):
                call, fired = 0, True
                while fired:
                    call += 1
                    files.restore()
                    last = sys.maxsize if lasting else call
                    with faulty_disk(files.folder.parent, call, last, code) as disk:
                        ended = files.attempt()
                    fired = bool(disk.failed)
                    tally[f"faults: {ended}"] += fired
                    where = (
                        f"{kind}, {mode}, {errno.errorcode[code]} at call {call} {disk.failed[:1]}"
                    )
                    files.check(where)
                    files.mend(where)


@contextmanager
def small_disk(place: Path):
    """A tmpfs of 14 MB."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "none", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def disturbed(
    act: Callable[[], None], undo: Callable[[], None], rng: random.Random, seconds: float
):
    """Start a thread that acts and undoes at random moments; returns what ends it."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(rng.random() * seconds):
            act()
            over.wait(rng.random() * seconds)
            undo()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()
        undo()

    return end


def full_disks(base: Path, rounds: int, rng: random.Random, tally: Counter) -> None:
    """Part 2."""
    with small_disk(base / "small"):
        filler = base / "small" / "filler"

        def fill() -> None:
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                for size in (1 << 20, 4096, 512):
                    with suppress(OSError):
                        while True:
                            file.write(b"x" * size)

        for number in range(rounds):
            kind, mode = KINDS[number % len(KINDS)]
            files = BrokenFolder.made(base / "small", 120, kind, mode)
            end = disturbed(fill, lambda: filler.unlink(missing_ok=True), rng, 0.1)
            ended = files.attempt(wait_ms=4)
            end()
            tally[f"full disks: {ended}"] += 1
            tally["full disks: captions that had no room"] += files.failed
            files.check(f"full disk, {kind}, {mode}")
            files.mend(f"full disk, {kind}, {mode}")


def refused_folders(base: Path, rounds: int, rng: random.Random, tally: Counter) -> None:
    """Part 3, permissions: the run is a child that is not root."""
    base.chmod(0o755)
    for number in range(rounds):
        kind, mode = KINDS[number % len(KINDS)]
        files = BrokenFolder.made(base, 120, kind, mode)
        subprocess.run(["chown", "-R", str(NOBODY), base], check=True)
        folders = [files.folder, *(p for p in files.folder.iterdir() if p.is_dir())]
        process = os.fork()
        if not process:
            os.setuid(NOBODY)
            ended = files.attempt(wait_ms=4)
            (base / "ended").write_text(f"{files.failed} {ended}")
            files.check_ledger()
            os._exit(0)
        end = disturbed(
            lambda: [folder.chmod(0o555) for folder in folders],
            lambda: [folder.chmod(0o755) for folder in folders], rng, 0.1,
        )  # fmt: skip
        _, status = os.waitpid(process, 0)
        end()
        failed, ended = (base / "ended").read_text().split(" ", 1)
        assert status == 0, "the ledger of a run does not tell the truth"
        tally[f"refused folders: {ended}"] += 1
        tally["refused folders: captions that were refused"] += int(failed)
        files.check(f"refused, {kind}, {mode}")
        files.mend(f"refused, {kind}, {mode}")


def read_only_disk(base: Path, tally: Counter) -> None:
    """Part 3, a file system mounted read-only: said at once, before the model is opened."""
    with small_disk(base / "small"):
        files = BrokenFolder.made(base / "small", 5, "txt", "skip existing")
        remount = ["mount", "-o", "remount,ro", base / "small"]
        subprocess.run(remount, check=True)
        try:
            runs.run_folder(runs.StubModel(on_open=lambda: sys.exit("opened for nothing")))
        except InputError as error:
            assert "Read-only file system" in str(error), error
            tally["read-only file systems: said before the model is opened"] += 1
        subprocess.run([*remount[:2], "remount,rw", base / "small"], check=True)
        files.mend("read-only")


def main() -> int:
    """Break, check, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, tally, started = random.Random(arguments.seed), Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        every_call(base, tally)
        if os.name == "posix" and os.geteuid() == 0:
            full_disks(base, arguments.rounds, rng, tally)
            refused_folders(base, arguments.rounds, rng, tally)
            read_only_disk(base, tally)
        else:
            print("not root: full and read-only disks are left out")
    for name, count in sorted(tally.items()):
        print(f"{name}: {count}")
    print("captions damaged or lost, ledgers that do not add up: 0")
    print(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
