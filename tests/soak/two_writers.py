"""Two runs at once on one folder and on nested ones, while a person writes captions there too.

    python tests/soak/two_writers.py --rounds 12             # processes
    python tests/soak/two_writers.py --rounds 0 --servers 4  # real ComfyUI servers

In each round two processes caption the same folder, or one the folder and one a folder in it,
with another seed than before, so that captions are replaced; a thread writes a person's captions
at random names and another reads: whatever stands there must be whole, a person's or a run's.
Where two want one folder the second must say who holds it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import folder_runs as runs
import hosting
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.fingerprint import digest
from tiny_checkpoint import write_checkpoint

USERS = "a person wrote this "
HELD = re.compile(r"Another run is captioning (\S+) \(process (\d+) on (\S+), since (\S+Z)\)")
WORDS = 40
MODES = ("skip existing", "overwrite own")


class Person(threading.Thread):
    """Writes captions at random names, and remembers what must stay; reads those of others."""

    def __init__(self, folder: Path, kind: str, whole, seed: float, wrote: dict[Path, bytes]):
        super().__init__(name="person", daemon=True)
        self.folder, self.kind, self.whole = folder, kind, whole
        self.rng, self.ended = random.Random(seed), threading.Event()
        self.wrote, self.most = wrote, len(wrote) + len(list(folder.rglob("*.png"))) // 5
        self.reads, self.offences = 0, []

    def run(self) -> None:
        names = [path.with_suffix(f".{self.kind}") for path in self.folder.rglob("*.png")]
        while not self.ended.wait(0.002):
            for path in self.rng.sample(names, 10):
                content = self.read(path)
                if content is not None and not self.whole(content):
                    self.offences.append((path.name, content[:200]))
            if len(self.wrote) < self.most:
                self.write(self.rng.choice(names))

    def read(self, path: Path) -> bytes | None:
        self.reads += 1
        return path.read_bytes() if path.exists() else None

    def write(self, path: Path) -> None:
        """As an editor does, by a rename, so that who reads never sees a half of it."""
        text = f"{USERS}{self.rng.random()}"
        said = json.dumps({"caption": text}) if self.kind == "json" else text
        aside = path.with_suffix(".mine")
        aside.write_text(said)
        aside.replace(path)
        self.wrote[path] = said.encode()

    def end(self) -> Counter[str]:
        """Raise AssertionError on a caption that was not whole or not left alone."""
        self.ended.set()
        self.join()
        assert not self.offences, f"not whole: {self.offences[:3]}"
        lost = [path.name for path, said in self.wrote.items() if path.read_bytes() != said]
        assert not lost, f"a person's captions touched: {lost}"
        return Counter(
            {"a person's captions, none touched, checks": len(self.wrote), "reads": self.reads}
        )


def whole(content: bytes) -> bool:
    """Whether this is a person's caption, or all of an answer of the stub."""
    text = content.decode()
    text = json.loads(text)["caption"] if text.startswith("{") else text
    return text.startswith(USERS) or (text.endswith(runs.END) and len(text) == 6 * WORDS)


def caption_in_child(folder: str, **widgets) -> tuple[int, int]:
    """A run in a fork: its process, and a pipe with its ledger or what it said instead."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        model = runs.StubModel(wait_ms=20, seed=os.getpid(), words=WORDS)
        said = runs.run_folder(model, folder=folder, **widgets)
    except InputError as error:
        said = str(error)
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's code
        said = f"raised {type(error).__name__}: {error}"
    os.write(writing, said.encode()[-60_000:])
    os._exit(0)


def told(child: tuple[int, int]) -> str:
    """What a run said, once it ended."""
    with os.fdopen(child[1], "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child[0], 0)
    return said


def check_said(said: list[str], inner: bool, processes: list[int]) -> Counter[str]:
    """Nested folders: both are captioned; one folder: the second names the first."""
    tally: Counter[str] = Counter()
    for one in said:
        found = HELD.match(one)
        if found:
            assert not inner, one
            assert int(found[2]) in processes and found[3] == socket.gethostname(), one
            tally["said who holds the folder"] += 1
            continue
        assert re.search(r"written \d+, skipped \d+, failed 0$", one), one[-2000:]
        tally["runs to the end"] += 1
        for state in ("written", "skipped"):
            tally[f"lines {state}"] += len(re.findall(rf"^{state}", one[: one.rindex("\n")], re.M))
        tally["skipped as changed meanwhile"] += one.count("by others meanwhile")
    # One that ends within half a second is waited for.
    assert tally["runs to the end"] >= 1 and (not inner or tally["runs to the end"] == 2)
    return tally


def processes(base: Path, rounds: int, pictures: int, seed: int) -> Counter[str]:
    """Rounds with two forks each."""
    tally, rng = Counter(), random.Random(seed)
    for number in range(rounds):
        kind, inner = ("txt", "json")[number // 2 % 2], number % 2 == 1
        folder = runs.use_folders(base / f"round{number}")
        (folder / "sub").mkdir()
        for picture in range(pictures):
            place = folder / "sub" if picture % 2 else folder
            (place / f"p{picture}.png").write_bytes(runs.png(picture))
        wrote: dict[Path, bytes] = {}
        for turn, mode in enumerate(MODES):
            person = Person(folder, kind, whole, rng.random(), wrote)
            person.start()
            widgets = {"format": kind, "mode": mode, "seed": turn}
            second = "input/pics/sub" if inner else "input/pics"
            children = [caption_in_child("input/pics", **widgets)]
            time.sleep(rng.random() * 0.3)
            children.append(caption_in_child(second, **widgets))
            said = [told(child) for child in children]
            tally += check_said(said, inner, [child[0] for child in children])
            tally += person.end()
        runs.run_folder(runs.StubModel(), format=kind, mode=MODES[0])
        assert len(runs.captions(folder, kind)) == pictures
        assert not runs.temp_files(folder)
    return tally


def owned(folder: Path, sub: Path):
    """Tells whether a content is a person's, or one that a journal here knows."""

    def is_owned(content: bytes) -> bool:
        if content.startswith(USERS.encode()):
            return True
        mine = digest(content).hex()
        journals = (runs.journal_contents(place) for place in (folder, sub))
        return any(mine in contents for known in journals for contents in known.values())

    return is_owned


def servers(base: Path, rounds: int, pictures: int, seed: int) -> Counter[str]:
    """Two real ComfyUI servers on the same input and output folders."""
    sys.path.insert(0, str(runs.TESTS / "e2e"))
    from test_server import folder_prompt

    found, tally, rng = hosting.find_comfyui(), Counter(), random.Random(seed)
    wrote: dict[Path, bytes] = {}
    assert found, "needs a ComfyUI checkout; set COMFYUI_PATH"
    write_checkpoint(base / "models" / "Tiny")
    shared = {"input_folder": base / "input", "output_folder": base / "output"}
    folder = base / "input" / "pics"
    (folder / "sub").mkdir(parents=True)
    for picture in range(pictures):
        place = folder / "sub" if picture % 2 else folder
        (place / f"p{picture}.png").write_bytes(runs.png(picture, side=32))
    with ExitStack() as stack:
        up = []
        for name in ("one", "two"):
            (base / name).mkdir()
            server = hosting.Server(found, base / name, models=base / "models", **shared)
            up.append(stack.enter_context(server))
        for number in range(rounds):
            inner = number % 2 == 1
            person = Person(folder, "txt", owned(folder, folder / "sub"), rng.random(), wrote)
            person.start()
            names = ("input/pics", "input/pics/sub" if inner else "input/pics")
            widgets = {"recursive": True, "place": "beside the picture", "mode": MODES[1]}
            prompts = [folder_prompt(folder=name, seed=number, **widgets) for name in names]
            queued = [server.queue(one) for server, one in zip(up, prompts, strict=True)]
            entries = [server.wait(one) for server, one in zip(up, queued, strict=True)]
            said = [hosting.error_of(one) or one["outputs"]["3"]["text"][0] for one in entries]
            found_here = check_said(said, inner, [server.process.pid for server in up])
            tally += found_here + person.end()
    assert not runs.temp_files(folder)
    return tally


def main() -> int:
    """Run together, check, and print what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--servers", type=int, default=0, help="rounds with real servers")
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        for what, rounds in ((processes, arguments.rounds), (servers, arguments.servers)):
            if rounds:
                (Path(base) / what.__name__).mkdir()
                place = Path(base) / what.__name__
                seen = what(place, rounds, arguments.pictures, arguments.seed)
                print(f"two {what.__name__}, rounds {rounds}:")
                print(*(f"  {name}: {n}\n" for name, n in seen.items()), sep="", end="")
    print(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
