"""Runs requests for a node: progress on its bar, interrupts, errors that name the picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..loaders.engine.protocol import OnProgress, Outcome
from ..loaders.host import comfyui
from ..loaders.local_model import LocalModel
from ..utils.chat.messages import Progress, Reply, Request
from ..utils.errors import GenerationError, Qwen3VLError

if TYPE_CHECKING:
    from PIL.Image import Image

# Each text goes to the browser whole, so a few times a second is enough.
SHOW_EVERY_SECONDS = 0.3
PREVIEW_CHARACTERS = 240
# Text and picture for a running node.
Show = Callable[[Progress], "tuple[str, Image | None]"]


def node_id_of(node: type[io.ComfyNode]) -> str | None:
    """The running node's id in its workflow; None on a host that runs nodes without one."""
    return node.hidden.unique_id if node.hidden else None


def run(
    model: LocalModel,
    requests: Iterable[Request],
    total: int,
    node_id: str | None,
    show: Show | None = None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Outcomes as they finish, with the node's bar over `total` requests; `show` as in `watch`."""
    with model.open() as engine:
        yield from engine.generate(requests, watch(total, node_id, show))  # closes it when closed


def answer_all(model: LocalModel, requests: Sequence[Request], node_id: str | None) -> list[Reply]:
    """Every reply, in the order of the requests.

    Raises:
        GenerationError: the first request that could not be answered, by its number.
    """
    replies: dict[int, Reply] = {}
    # Closed at once: an exception keeps its frame, and with it a half-read run and its model.
    with closing(run(model, requests, len(requests), node_id)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Qwen3VLError):
                if len(requests) == 1:
                    raise outcome
                problem = f"Picture {index + 1} of {len(requests)}: {outcome.problem}"
                raise GenerationError(problem, outcome.remedy) from outcome
            replies[index] = outcome
    return [replies[index] for index in range(len(requests))]


def watch(total: int, node_id: str | None, show: Show | None = None) -> OnProgress:
    """A callback that moves the node's bar and lets ComfyUI's interrupt through.

    `show` gives the text and the picture for the node, where the usual text will not do.
    """
    bar = comfyui.ProgressBar(total, node_id)
    shown_at, shown_finished = 0.0, -1

    def on_progress(progress: Progress) -> None:
        nonlocal shown_at, shown_finished
        comfyui.check_interrupt()
        now = time.monotonic()
        if now - shown_at >= SHOW_EVERY_SECONDS:
            shown_at, shown_finished = now, progress.finished
            text, picture = show(progress) if show else (progress_text(progress, total), None)
            bar.show(progress.finished, text, picture)
        elif progress.finished != shown_finished:
            shown_finished = progress.finished
            bar.show(progress.finished)  # the bar alone is small, and its end must not be missed

    return on_progress


def progress_text(progress: Progress, total: int) -> str:
    """One line on where the run stands, and below it the end of the text being written."""
    line = progress_line(progress, total)
    text = progress.text[-PREVIEW_CHARACTERS:]
    return f"{line}\n{text}" if text else line


def progress_line(progress: Progress, total: int) -> str:
    """How much is done, how fast, and how long it will still take."""
    parts = [f"{progress.finished} of {total}"] if total > 1 else []
    if progress.tokens and progress.seconds > 0:
        if progress.finished > 1:
            parts.append(f"{progress.finished / progress.seconds:.2g} a second")
        parts.append(f"{progress.tokens / progress.seconds:.0f} tokens/s")
    if progress.finished and progress.finished < total:
        left = progress.seconds / progress.finished * (total - progress.finished)
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one says it of a wait."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def report(replies: Sequence[Reply]) -> str:
    """How the replies went, a line each: tokens, time, and whether they were cut off."""
    return "\n".join(_report_line(number, reply) for number, reply in enumerate(replies, 1))


def _report_line(number: int, reply: Reply) -> str:
    line = (
        f"{number}: {reply.tokens} tokens in {reply.seconds:.2f} s"
        f" ({reply.tokens_per_second:.0f} tokens/s, first after {reply.first_token_seconds:.2f} s,"
        f" prompt {reply.prompt_tokens})"
    )
    return line + CUT_OFF.get(reply.stopped_by, "")


CUT_OFF = {
    "length": "; cut off at max_new_tokens",
    "repetition": "; stopped because it repeated itself without end",
}
