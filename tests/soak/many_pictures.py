"""Runs Caption Folder over 100,000 tiny pictures with a stub model; speeds, memory, journal.

    python tests/soak/many_pictures.py --pictures 100000 --plot tests/soak/many_pictures.png

Three runs on one folder: all new, all there, and a tenth of the pictures changed. Memory is
sampled twice a second; the plot, and a table beside it, show it over the pictures done. Listing,
deciding, reading and writing are also timed by themselves.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import folder_runs as runs
from PIL import Image, ImageDraw
from qwen3vl_nodes.utils.captions.journal import JOURNAL_NAME
from qwen3vl_nodes.utils.dataset import picture_kinds, scope
from qwen3vl_nodes.utils.dataset.run import CaptionRun

PLOT_WH, EDGE = (900, 420), 60


class Memory(threading.Thread):
    """Samples (pictures answered so far, resident MB) until it is stopped."""

    def __init__(self, model: runs.StubModel):
        super().__init__(daemon=True)
        self.samples: list[tuple[int, float]] = []
        self._model, self._over = model, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            self.samples.append((self._model.answered, runs.resident_mb()))

    def stop(self) -> None:
        self._over.set()
        self.join()


class Timed:
    """Replaces a function and adds up the seconds spent in it, in all threads together."""

    def __init__(self, owner: object, name: str):
        self.seconds, self._lock = 0.0, threading.Lock()
        self._owner, self._name, self._work = owner, name, getattr(owner, name)

        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return self._work(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - started

        setattr(owner, name, timed)

    def restore(self) -> None:
        setattr(self._owner, self._name, self._work)


def write_pictures(folder: Path, count: int, a_folder: int) -> None:
    """Tiny pictures, `a_folder` of them in each folder; 0: all in one."""
    for number in range(count):
        place = folder / f"{number // a_folder:04d}" if a_folder else folder
        if not a_folder or number % a_folder == 0:
            place.mkdir(exist_ok=True)
        (place / f"p{number}.png").write_bytes(runs.png(number))


def change(folder: Path, every: int) -> int:
    """Give every n-th picture other pixels; how many."""
    paths = sorted(folder.rglob("*.png"))[::every]
    for number, path in enumerate(paths):
        path.write_bytes(runs.png(10_000_000 + number))
    return len(paths)


def run_once(name: str, count: int) -> list[tuple[int, float]]:
    """One run, told in a line; its memory."""
    model = runs.StubModel(words=12)
    listing, deciding = Timed(scope, "list_files"), Timed(CaptionRun, "decide")
    reading, writing = Timed(picture_kinds, "read_file"), Timed(CaptionRun, "write")
    memory, before = Memory(model), runs.resident_mb()
    memory.start()
    started = time.perf_counter()
    ledger = runs.run_folder(model)
    seconds = time.perf_counter() - started
    memory.stop()
    for timed in (listing, deciding, reading, writing):
        timed.restore()
    most = max((mb for _, mb in memory.samples), default=runs.resident_mb())
    known = listing.seconds + deciding.seconds
    print(f"{name}: {ledger.splitlines()[-1]}; {seconds:.1f} s, {count / seconds:.0f} pictures/s")
    print(
        f"  listing {listing.seconds:.2f} s, deciding {deciding.seconds:.2f} s: "
        f"{count / known:.0f} pictures/s"
    )
    if model.answered:
        print(
            f"  the rest {seconds - known:.1f} s: {model.answered / (seconds - known):.0f} "
            f"captions/s; in their threads, reading {reading.seconds:.1f} s "
            f"({model.answered / reading.seconds:.0f}/s), writing {writing.seconds:.1f} s "
            f"({model.answered / writing.seconds:.0f}/s)"
        )
    print(f"  memory {before:.0f} MB before, {most:.0f} MB at most", flush=True)
    return memory.samples


def plot(samples: list[tuple[int, float]], path: Path) -> None:
    """Resident memory over pictures answered."""
    width, height = PLOT_WH
    picture = Image.new("RGB", PLOT_WH, "white")
    draw = ImageDraw.Draw(picture)
    most_done = max(done for done, _ in samples) or 1
    most_mb = 1.15 * max(mb for _, mb in samples)

    def place(done: float, mb: float) -> tuple[float, float]:
        return (
            EDGE + done / most_done * (width - 2 * EDGE),
            height - EDGE - mb / most_mb * (height - 2 * EDGE),
        )

    for share in (0, 0.25, 0.5, 0.75, 1):
        (left, y), (right, _) = place(0, share * most_mb), place(most_done, share * most_mb)
        draw.line((left, y, right, y), fill="#cccccc")
        draw.text((4, y - 6), f"{share * most_mb:.0f} MB", fill="black")
        x, _ = place(share * most_done, 0)
        draw.text((x - 18, height - EDGE + 8), f"{share * most_done:.0f}", fill="black")
    draw.line([place(*sample) for sample in samples], fill="#2050c0", width=2)
    draw.text((EDGE, 12), "Resident memory over captions written, one run", fill="black")
    picture.save(path, optimize=True)


def main() -> int:
    """Three runs, one after the other in this process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--a-folder", type=int, default=1_000, help="0: all in one folder")
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        folder = runs.use_folders(Path(base))
        (folder.parent / "warm").mkdir()
        (folder.parent / "warm" / "a.png").write_bytes(runs.png(0))
        runs.run_folder(runs.StubModel(), folder="input/warm")  # everything is imported
        write_pictures(folder, chosen.pictures, chosen.a_folder)
        os.sync()
        samples = run_once("all new", chosen.pictures)
        journal = (folder / JOURNAL_NAME).stat().st_size
        print(f"journal: {journal / 1e6:.1f} MB, {journal / chosen.pictures:.0f} bytes a picture")
        run_once("all there", chosen.pictures)
        changed = change(folder, 10)
        run_once(f"{changed} changed", chosen.pictures)
    if chosen.plot:
        plot(samples, chosen.plot)
        table = "".join(f"{done},{mb:.1f}\n" for done, mb in samples)
        chosen.plot.with_suffix(".csv").write_text("captions,resident_mb\n" + table)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"at most {most / 1e3:.0f} MB in this process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
