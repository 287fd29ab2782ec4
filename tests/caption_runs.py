"""Folder runs without a node or a model: pictures in a temporary root, captions as told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from qwen3vl_nodes.utils.captions.journal import Journal
from qwen3vl_nodes.utils.captions.ledger import Ledger
from qwen3vl_nodes.utils.captions.policy import SKIP
from qwen3vl_nodes.utils.captions.recipe import Recipe
from qwen3vl_nodes.utils.captions.sidecars import FORMATS
from qwen3vl_nodes.utils.captions.wording import Wording
from qwen3vl_nodes.utils.dataset.jobs import Done
from qwen3vl_nodes.utils.dataset.run import CaptionRun
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.allowed_folders import Folder, Root
from qwen3vl_nodes.utils.files.fingerprint import digest, file_stamp
from qwen3vl_nodes.utils.files.listing import PictureChoice, list_pictures
from qwen3vl_nodes.utils.files.picture_reader import FileFacts

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


def run(source: Path, target=None, recipes=FIRST, mode=SKIP, form="txt", dry_run=False):
    """A folder run with its files in order."""
    into = allowed(target or source)
    store = FORMATS[form](into.path, lambda path: into.check(path, write=True))
    ledger = Ledger(dry_run=dry_run)
    files = CaptionRun(allowed(source), store, Journal(into.path), list(recipes), mode, ledger)
    if not dry_run:
        files.begin()
    return files


def jobs_of(files: CaptionRun):
    """What the run wants; folders that cannot be listed are in the ledger."""
    names = list_pictures(
        files.source.path,
        PictureChoice(recursive=True),
        lambda name, error: files.ledger.add(name, "failed", str(error)),
    )
    return files.decide(names, lambda: None)


def made(files: CaptionRun, jobs, text: Text = "a caption") -> list[Done]:
    """Each wanted caption, with the text or what `text(picture)` gives, and what was known."""
    found = []
    for job in jobs:
        try:
            path = files.path(job.picture)
            facts = FileFacts(digest(path.read_bytes()), file_stamp(path.stat()))
        except (InputError, OSError) as error:
            files.fail(job.picture, job.wanted, error)
            continue
        ask, done = files.settle(job, facts)
        said = str(text(job.picture)) if callable(text) else text
        found += [*done, *(Done(job.picture, wanted, facts, said) for wanted in ask)]
    return found


def caption_all(files: CaptionRun, text: Text = "a caption") -> list[str]:
    """Write every caption that is wanted; the pictures that were written for."""
    files.write(made(files, jobs_of(files), text))
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
