"""What the soaks of folder runs share: a host, a stub model, small pictures, what is there after.

The stub's answer depends on the pixels, the words and the seed of a request alone, so the right
captions can be had from one undisturbed run on a copy of the folder.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import sys
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "examples" / "scripts")]

import hosting  # noqa: E402 - found only now
from qwen3vl_pack import load_pack  # noqa: E402

load_pack()
hosting.ensure_host()

from node_running import run_node  # noqa: E402
from qwen3vl_nodes.loaders.host import comfyui  # noqa: E402
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder  # noqa: E402
from qwen3vl_nodes.utils.captions.journal import JOURNAL_NAME  # noqa: E402
from qwen3vl_nodes.utils.captions.json_lines import JSON_LINES_NAME  # noqa: E402
from qwen3vl_nodes.utils.captions.ledger import LEDGER_NAME  # noqa: E402
from qwen3vl_nodes.utils.chat.requests import Progress, Reply  # noqa: E402
from qwen3vl_nodes.utils.files.atomic_write import TEMP_SUFFIX  # noqa: E402

WIDGETS = {
    "folder": "input/pics", "recursive": True, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "beside the picture",
    "prefix": "", "suffix": "",
}  # fmt: skip
# Between which bytes an answer ends is never seen in a text that a kill has cut off.
END = "."


class StubModel:
    """Answers at once, or after a random wait of at most `wait_ms`; keeps nothing."""

    identity = "stub"
    making = ""

    def __init__(self, wait_ms: float = 0.0, seed: int = 0, on_open=lambda: None, words: int = 40):
        self._wait, self._rng, self._on_open = wait_ms / 1000, random.Random(seed), on_open
        self._words = words
        self.answered = 0

    @contextmanager
    def open(self):
        self._on_open()
        yield self

    def generate(self, requests, on_progress=None):
        for number, request in enumerate(requests):
            if self._wait:
                time.sleep(self._rng.random() * self._wait)
            if on_progress is not None:
                on_progress(Progress(number, 10 * number, "", 1.0))
            self.answered += 1
            yield number, Reply(answer(request, self._words), "", "end", 10, 100, 1.0, 0.5)


def answer(request, words: int = 40) -> str:
    """Words from a digest of what is asked about what with which seed, as long as a caption."""
    picture, asked = request.messages[-1].parts
    told = sha256(picture.pixels.tobytes() + f"{request.seed} {asked}".encode()).hexdigest()
    return " ".join(told[i % 60 : i % 60 + 5] for i in range(words)) + END


def png(number: int, side: int = 4) -> bytes:
    """A tiny picture that no other number has."""
    rng = random.Random(number)
    rows = b"".join(b"\0" + rng.randbytes(3 * side) for _ in range(side))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def use_folders(base: Path) -> Path:
    """Make ComfyUI's folders those below `base`; returns the folder of the pictures."""
    import folder_paths

    for name in ("input", "output", "temp"):
        (base / name).mkdir(parents=True, exist_ok=True)
        getattr(folder_paths, f"set_{name}_directory")(str(base / name))
    (base / "input" / "pics").mkdir(exist_ok=True)
    return base / "input" / "pics"


def run_folder(model, **widgets) -> str:
    """Run the real node; its ledger."""
    return run_node(Qwen3VLCaptionFolder, model=model, **(WIDGETS | widgets))[0]


def captions(folder: Path, kind: str) -> dict[str, str]:
    """Captions by the picture's name without its ending; of two lines the later counts."""
    if kind == "jsonl":
        path = folder / JSON_LINES_NAME
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        said = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return {one["file_name"].rpartition(".")[0]: one["caption"] for one in said}
    found = {}
    for path in folder.rglob(f"*.{kind}"):
        if not path.name.startswith("."):
            text = path.read_text("utf-8")
            name = path.relative_to(folder).as_posix().removesuffix(f".{kind}")
            found[name] = json.loads(text)["caption"] if kind == "json" else text
    return found


def temp_files(folder: Path) -> set[tuple[str, int]]:
    """(path, time in ns) of half-written files; a file system uses inodes again at once."""
    return {(str(p), p.stat().st_mtime_ns) for p in folder.rglob(f"*{TEMP_SUFFIX}")}


def ledger_written(folder: Path) -> list[str]:
    """Pictures that the last run's ledger file says written, without their endings."""
    path = folder / LEDGER_NAME
    lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    named = [line[8:].partition(": ")[0] for line in lines if line.startswith("written ")]
    return [name.rpartition(".")[0] for name in named if name.endswith(".png")]


def journal_contents(folder: Path) -> dict[str, set[str]]:
    """Digests of the contents that the journal says ours, by the caption's name."""
    found: dict[str, set[str]] = {}
    path = folder / JOURNAL_NAME
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            said = json.loads(line)
            found.setdefault(said["caption"], set()).add(said["content"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def adds_up(ledger: str, inputs: int) -> bool:
    """Whether every picture has one line, and the closing line counts them."""
    lines = ledger.split("\n")
    states = Counter(line[:8].strip() for line in lines[:-1])
    closing = ", ".join(f"{state} {states[state]}" for state in ("written", "skipped", "failed"))
    return lines[-1] == closing and states.total() == inputs


def truth(folder: Path, base: Path, kind: str = "txt", /, **widgets) -> dict[str, str]:
    """The captions of an undisturbed run on a copy of the folder, made under `base`."""
    shutil.rmtree(base, ignore_errors=True)
    pictures = use_folders(base)
    shutil.rmtree(pictures)
    shutil.copytree(folder, pictures)
    run_folder(StubModel(), format=kind, **widgets)
    return captions(pictures, kind)


def resident_mb(process: int | str = "self") -> float:
    """Resident memory of a process, in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def interrupts_at(call: int, error: type[BaseException]):
    """Let the interrupt check number `call` raise, until the returned function is called."""
    checked, number = comfyui.check_interrupt, 0

    def check() -> None:
        nonlocal number
        number += 1
        if number == call:
            raise error

    comfyui.check_interrupt = check

    def restore() -> int:
        comfyui.check_interrupt = checked
        return number

    return restore
