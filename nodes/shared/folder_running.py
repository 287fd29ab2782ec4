"""Runs a folder for a node: asks the model, shows how far it is, returns the ledger."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.host.port import host
from ...utils.captions.ledger import Ledger
from ...utils.captions.record import Record
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.requests import Outcome, Progress, Request
from ...utils.dataset.captioning import ATTEMPTS, Captioning
from ...utils.dataset.medium import Media
from ...utils.dataset.run import CaptionRun
from ...utils.dataset.scope import Scope
from ...utils.files.atomic_write import check_space
from ...utils.text.natural_sort import natural_key
from ...utils.text.printable import on_one_line
from .running import run
from .streaming import duration, progress_line

if TYPE_CHECKING:
    from PIL.Image import Image

# Of one caption in the node's box.
MOST_CHARACTERS = 1_000


def run_folder(
    scope: Scope,
    media: Media,
    model: Model,
    options: GenerationOptions | None,
    dry_run: bool,
    node_id: str | None,
) -> io.NodeOutput:
    """Caption what needs it; the ledger is the output and the node's text."""
    started = time.monotonic()
    with scope.open_run(dry_run) as files:
        work = Captioning(files, media, host().check_interrupt)
        wanted = scope.wanted(files, media, host().check_interrupt)
        if dry_run:
            bar = host().progress_bar(len(wanted), node_id)
            work.try_out(wanted, bar.show)
        elif wanted:
            check_space(scope.target.path)
            # The likeliest answer is the same with every seed.
            attempts = 1 if options and options.temperature == 0 else ATTEMPTS
            try:
                _ask(work, wanted, model, attempts, node_id)
            except host().interrupts():  # by now all that was finished is written
                counts = {state: files.ledger.count(state) for state in ("written", "failed")}
                host().progress_bar(len(wanted), node_id).tell(**counts)
                raise
    ledger = files.ledger
    report = [ledger.summary, speed(ledger, work.tokens, time.monotonic() - started)]
    ui = {"text": [str(ledger)], "report": report, "captions": shown_captions(files)}
    return io.NodeOutput(str(ledger), ui=ui)


def shown_captions(files: CaptionRun) -> list[dict[str, str]]:
    """The captions written last, by name; a long one is cut, for the files have them whole."""
    return [
        {"name": on_one_line(name), "text": shortened(text)}
        for name, text in sorted(files.newest, key=lambda one: natural_key(one[0]))
    ]


def shortened(text: str) -> str:
    """At most `MOST_CHARACTERS` of it."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …"


def _ask(
    work: Captioning,
    wanted: Sequence[Record],
    model: Model,
    attempts: int,
    node_id: str | None,
) -> None:
    def generate(
        requests: Iterable[Request], total: int
    ) -> Generator[tuple[int, Outcome], None, None]:
        return run(model, requests, total, node_id, lambda at: _shown(work, at, total), work.title)

    work.caption(wanted, generate, attempts)
    # What is finished last may come too quickly for ComfyUI to show; a full bar it always shows.
    host().progress_bar(len(wanted), node_id).show(len(wanted))


def _shown(work: Captioning, progress: Progress, total: int) -> tuple[str, Image | None]:
    """The line on the run, and the last picture that was captioned; each once."""
    from PIL import Image

    failed = work.files.ledger.count("failed")
    line = progress_line(progress, total) + (f", {failed} failed" if failed else "")
    picture, work.last_picture = work.last_picture, None
    return line, Image.fromarray(picture.pixels) if picture else None


def speed(ledger: Ledger, tokens: int, seconds: float) -> str:
    """How long the run took, and how fast it was."""
    took = f"{ledger.total} lines in {duration(seconds)}"
    made = ledger.count("written")
    if not tokens or seconds <= 0:
        return took
    return f"{took}, {made / seconds:.2g} captions and {tokens / seconds:.0f} tokens a second"
