"""Folder runs without a node or a model: pictures in a temporary root, captions as told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from qwen3vl_nodes.utils.captions.journal import Journal
from qwen3vl_nodes.utils.captions.ledger import Ledger
from qwen3vl_nodes.utils.captions.policy import SKIP
from qwen3vl_nodes.utils.captions.recipe import Recipe
from qwen3vl_nodes.utils.captions.record import Record
from qwen3vl_nodes.utils.captions.sidecars import CAPTION_FORMATS
from qwen3vl_nodes.utils.captions.wording import Wording
from qwen3vl_nodes.utils.dataset.run import CaptionRun
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.fingerprint import FileFacts, digest, file_stamp
from qwen3vl_nodes.utils.roots.allowed_folders import Folder, Root
from qwen3vl_nodes.utils.roots.listing import FileChoice, list_files

# A caption, or what makes one of a picture's name.
Text = str | Callable[[str], object]


def make(folder: Path, *names: str) -> Path:
    """Small pictures of these names, each with pixels of its own; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = number + 100 * len(list(folder.iterdir()))
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).save(path, "PNG")
    return folder


def recipe(prompt: str = "p", variant: str = "", **wording) -> Recipe:
    """A recipe; another prompt is another recipe."""
    return Recipe(variant, Wording(**wording), {"prompt": prompt})


def allowed(path: Path, root: Path | None = None) -> Folder:
    """A folder below `root`, which may be written; its own root if there is none."""
    return Folder(Root("input", root or path, True), path, "input/pics")


FIRST = (recipe(),)


class Run(CaptionRun):
    """A run that knows the recipes of all its files."""

    recipes: list[Recipe]


def run(source: Path, target=None, recipes=FIRST, mode=SKIP, form="txt", dry_run=False) -> Run:
    """A folder run with its files in order."""
    into = allowed(target or source)
    if not dry_run:  # as whoever takes the lock does
        into.path.mkdir(parents=True, exist_ok=True)
    store = CAPTION_FORMATS[form](into, into.path != source)
    ledger = Ledger(dry_run=dry_run)
    files = Run(allowed(source), store, Journal(into), mode, ledger)
    files.recipes = list(recipes)
    if not dry_run:
        files.begin()
    return files


def wanted_of(files: Run) -> list[Record]:
    """What the run wants; folders that cannot be listed are in the ledger."""
    names = list_files(
        files.source.path,
        FileChoice(recursive=True),
        lambda name, error: files.ledger.add(name, "failed", str(error)),
    )
    return files.decide(names, lambda _: files.recipes, lambda: None)


def made(files: Run, wanted: list[Record], text: Text = "a caption") -> list[Record]:
    """Each wanted caption, with the text or what `text(picture)` gives, and what was known."""
    found = []
    for record in wanted:
        name = record.place.file
        try:
            path = files.file(name).path()
            facts = FileFacts(digest(path.read_bytes()), file_stamp(path.stat()))
        except (InputError, OSError) as error:
            files.fail([record], error)
            continue
        ask, known = files.settle([record], facts)
        for one in ask:
            one.text = str(text(name)) if callable(text) else text
        found += [*known, *ask]
    return found


def caption_all(files: Run, text: Text = "a caption") -> list[str]:
    """Write every caption that is wanted; the pictures that were written for."""
    files.write(made(files, wanted_of(files), text))
    files.end()
    return [line.name for line in files.ledger.lines if line.state == "written"]


def states(files: CaptionRun) -> dict[str, str]:
    """What became of each picture."""
    return {line.name: line.state for line in files.ledger.lines}


def tree(folder: Path) -> dict[str, tuple]:
    """Every file and folder with its content and its time."""
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes() if path.is_file() else None, path.lstat().st_mtime_ns
        )
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip
