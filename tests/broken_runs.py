"""A folder that is captioned on a broken disk: what must be so after the run, and after the next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import folder_runs as runs
from qwen3vl_nodes.utils.errors import InputError

USERS = "a person wrote this"


@dataclass
class BrokenFolder:
    """Pictures, some with a person's or an older caption of ours, and the right captions."""

    folder: Path
    kept: Path  # a copy of the folder as it was
    kind: str
    mode: str
    inputs: int
    right: dict[str, str]
    old: dict[str, str]
    ledger: str = ""

    @classmethod
    def made(cls, base: Path, pictures: int, kind: str, mode: str) -> BrokenFolder:
        """A new one below `base`, in the place of the last."""
        for name in ("work", "kept", "truth"):
            shutil.rmtree(base / name, ignore_errors=True)
        folder = runs.use_folders(base / "work")
        for number in range(pictures):
            place = folder / ("sub" if number % 4 == 1 else ".")
            place.mkdir(exist_ok=True)
            (place / f"p{number}.png").write_bytes(runs.png(number))
        said = json.dumps({"file_name": "p0.png", "caption": USERS}) + "\n"
        name = "captions.jsonl" if kind == "jsonl" else f"p0.{kind}"
        (folder / name).write_text(USERS if kind == "txt" else said)
        if mode == "overwrite own":
            runs.run_folder(runs.StubModel(), format=kind, instructions="Other words.")
        old = runs.captions(folder, kind)
        shutil.copytree(folder, base / "kept")
        right = runs.truth(folder, base / "truth", kind, mode=mode)
        runs.use_folders(base / "work")
        return cls(folder, base / "kept", kind, mode, pictures, right, old)

    def restore(self) -> None:
        """The folder as it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)

    def attempt(self, wait_ms: float = 0.0, on_open: Callable[[], object] = lambda: None) -> str:
        """Run; how it ended, in words."""
        self.ledger = ""
        try:
            model = runs.StubModel(wait_ms, on_open=on_open)
            self.ledger = runs.run_folder(model, format=self.kind, mode=self.mode)
        except InputError:
            return "said by the node before it began"
        return "a whole ledger with failures" if self.failed else "a whole ledger"

    @property
    def failed(self) -> int:
        """Lines of failures in the ledger."""
        return self.ledger.count("\nfailed ") + self.ledger.startswith("failed ")

    def check(self, where: str) -> None:
        """No caption is damaged or lost, and the ledger tells the truth."""
        there = runs.captions(self.folder, self.kind)
        for name, text in there.items():
            assert text in (self.right.get(name), self.old.get(name)), f"{where}: {name}: {text!r}"
        assert not self.old.keys() - there.keys(), f"{where}: lost {self.old.keys() - there.keys()}"
        if self.mode != "append to captions":
            assert there["p0"] == USERS, f"{where}: a person's caption was touched"
        self.check_ledger(where)

    def check_ledger(self, where: str = "") -> None:
        """A line for each picture, counted right; what is written is new, what failed is not."""
        if not self.ledger:
            return
        assert runs.adds_up(self.ledger, self.inputs), f"{where}: {self.ledger}"
        there = runs.captions(self.folder, self.kind)
        for line in self.ledger.split("\n")[:-1]:
            name = line[8:].partition(": ")[0].rpartition(".")[0]
            is_new = there.get(name) == self.right[name] != self.old.get(name)
            assert is_new == line.startswith("written"), f"{where}: {line}: {there.get(name)!r}"

    def mend(self, where: str) -> None:
        """A run on a sound disk makes everything right."""
        self.attempt()
        assert self.ledger and not self.failed, f"{where}: after the mend: {self.ledger}"
        there = runs.captions(self.folder, self.kind)
        assert there == self.right, f"{where}: after the mend: {there} is not {self.right}"
        assert not runs.temp_files(self.folder), f"{where}: half-written files stay"
        if self.kind == "jsonl":  # each line is one that a trainer can read, and there is no more
            lines = (self.folder / "captions.jsonl").read_text("utf-8").splitlines()
            assert len(lines) == len(self.right), f"{where}: lines that repeat or say nothing"
