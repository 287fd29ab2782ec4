"""Exchanges a folder with a link that leads out, in a loop, while captions are read and written.

    python tests/soak/link_swaps.py --swaps 100000

A process of its own exchanges the two names, each time in one call where the system has one
(renameat2), while this process reads pictures and captions through the folder, writes captions
into it, appends to its journal, and opens its ledger. Outside lie files of the same names, whose
content would be known. At the end nothing of theirs has been read, and nothing has been written
beside them; how often the folder was met, and how often the link was refused, is counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

from qwen3vl_pack import load_pack  # noqa: E402

load_pack()

from caption_runs import allowed, recipe  # noqa: E402
from qwen3vl_nodes.utils.captions.journal import Journal, Mark  # noqa: E402
from qwen3vl_nodes.utils.captions.ledger import LedgerFile  # noqa: E402
from qwen3vl_nodes.utils.captions.place import Place  # noqa: E402
from qwen3vl_nodes.utils.captions.record import Record  # noqa: E402
from qwen3vl_nodes.utils.captions.sidecars import CAPTION_FORMATS  # noqa: E402
from qwen3vl_nodes.utils.errors import InputError  # noqa: E402
from qwen3vl_nodes.utils.files.fingerprint import digest  # noqa: E402
from qwen3vl_nodes.utils.files.folder_lock import only_writer  # noqa: E402
from qwen3vl_nodes.utils.roots.allowed_folders import Folder, FolderFile  # noqa: E402

OUTSIDE = b"outside"
SWAPPER = """
import ctypes, os, random, sys, time
folder, swaps = os.fsencode(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
a, b, c = (folder + name for name in (b"/sub", b"/link", b"/third"))
def exchange():
    if libc.renameat2(-100, a, -100, b, 2):  # AT_FDCWD, RENAME_EXCHANGE
        os.rename(a, c), os.rename(b, a), os.rename(c, b)
print("up", flush=True)
for number in range(swaps):
    exchange()
    time.sleep(random.random() * 0.001)
"""


def tree(place: Path) -> Path:
    """A root with a folder and a link beside it; what the link leads to lies outside the root."""
    root, secret = place / "root", place / "secret"
    for folder, content in ((root / "pics" / "sub", b"inside"), (secret, OUTSIDE)):
        folder.mkdir(parents=True)
        for name in ("p.png", "p.txt", "captions.jsonl", ".qwen3vl.jsonl"):
            (folder / name).write_bytes(content)
    (root / "pics" / "link").symlink_to(secret)
    return root


def state(folder: Path) -> dict[str, bytes]:
    """Every name below a folder with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*"))}


class Work:
    """What a run does with a folder; each call is counted by what came of it."""

    def __init__(self, root: Path):
        self.pics = allowed(root / "pics", root)
        self.sub = Folder(self.pics.root, root / "pics" / "sub", "input/pics/sub")
        self.counts: Counter[str] = Counter()
        self.seen: set[bytes] = set()
        self.number = 0

    def round(self) -> None:
        """One of each."""
        for step in (
            self.read,
            self.read_caption,
            self.write,
            self.journal,
            self.ledger,
            self.lock,
        ):
            try:
                step()
                self.counts[f"{step.__name__} done"] += 1
            except (InputError, OSError):
                self.counts[f"{step.__name__} refused"] += 1

    def read(self) -> None:
        """A picture."""
        with FolderFile(self.pics, "sub/p.png").open() as file:
            self.seen.add(file.read())

    def read_caption(self) -> None:
        """A caption that is there, in a file of its own and in the file for all."""
        self.seen.add(CAPTION_FORMATS["txt"](self.pics, False).content("sub/p.txt") or b"")
        CAPTION_FORMATS["jsonl"](self.sub, False)

    def write(self) -> None:
        """A new caption, made with its folder, and one over an old one."""
        self.number += 1
        for makes_folders in (False, True):
            store = CAPTION_FORMATS["txt"](self.pics, makes_folders)
            place = Place(f"sub/new{self.number % 50}{makes_folders}.png")
            old = store.content(store.name(place))
            record = Record(place, recipe(), content=b"a caption", replaces=old)
            (outcome,) = store.write([record])
            if outcome is not None:
                raise OSError(str(outcome))

    def journal(self) -> None:
        """A line of the journal."""
        mark = Mark(digest(b"r"), digest(b"p"), "1-1-1")
        Journal(self.sub).add([("p.txt", digest(b"c"), mark)])

    def ledger(self) -> None:
        """A ledger that is begun anew."""
        with LedgerFile(self.sub) as file:
            file.add("a line")

    def lock(self) -> None:
        """The lock, with the name of who holds it."""
        with only_writer(self.sub.path, self.sub.root.real()):
            pass


def main() -> int:
    """Exit code 0 where nothing of what lies outside was touched."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--swaps", type=int, default=100_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = tree(Path(name).resolve())
        before, work, started = state(root.parent / "secret"), Work(root), time.perf_counter()
        command = [sys.executable, "-c", SWAPPER, str(root / "pics"), str(wanted.swaps)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
            assert swapper.stdout
            swapper.stdout.readline()
            rounds = 0
            while swapper.poll() is None:
                work.round()
                rounds += 1
        seconds = time.perf_counter() - started
        untouched = state(root.parent / "secret") == before
        print(f"{wanted.swaps} swaps, {rounds} rounds in {seconds:.0f} s")
        print(", ".join(f"{what} {count}" for what, count in sorted(work.counts.items())))
        print(f"outside: {'untouched' if untouched else 'CHANGED'}, "
              f"{'READ' if OUTSIDE in work.seen else 'never read'}")  # fmt: skip
        return int(not untouched or OUTSIDE in work.seen)


if __name__ == "__main__":
    sys.exit(main())
