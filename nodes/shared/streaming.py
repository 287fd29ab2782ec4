"""Sends the text being written to whoever queued the prompt: what is new of it, as it grows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...loaders.host.port import host
from ...utils.chat.requests import Progress, Reply

if TYPE_CHECKING:
    from PIL.Image import Image

# Ten times a second looks like writing; more would only cost.
EVERY_SECONDS = 0.1
# Of a fast batch only the newest replies are seen; so many that finished go with one message.
MOST_FINISHED = 4

# A line on the run, and a picture for the running node.
Show = Callable[[Progress], "tuple[str, Image | None]"]
# What a request is called, where its number says too little.
Title = Callable[[int], str]


class TextStream:
    """The bar of a running node, and the messages `qwen3vl.text` (the README says what is in
    them).

    Args:
        total: requests of the run.
        node_id: the running node; None on a host that runs nodes without one.
        show: gives the line and the picture, where the usual line will not do.
        title: names a request.
    """

    def __init__(
        self, total: int, node_id: str | None, show: Show | None = None, title: Title | None = None
    ):
        self._total, self._show, self._title = total, show, title
        self._bar = host().progress_bar(total, node_id)
        self._sent: dict[int, str] = {}
        self._finished: dict[int, tuple[str, str]] = {}
        self._shown_at, self._shown_finished = 0.0, -1

    def take(self, progress: Progress) -> None:
        """One step of the run; most of them say nothing."""
        now = time.monotonic()
        if now - self._shown_at >= EVERY_SECONDS:
            self._shown_at, self._shown_finished = now, progress.finished
            self._tell(progress)
        elif progress.finished != self._shown_finished:
            self._shown_finished = progress.finished
            self._bar.show(progress.finished)  # small, and its end must not be missed

    def finish(self, index: int, reply: Reply) -> None:
        """A reply is complete; what of it was not sent goes before the next message."""
        self._finished[index] = reply.text, self._name(index)
        while len(self._finished) > MOST_FINISHED:
            self._sent.pop(oldest := next(iter(self._finished)), None)
            del self._finished[oldest]

    def _tell(self, progress: Progress) -> None:
        line = progress_line(progress, self._total)
        picture = None
        if self._show is not None:
            line, picture = self._show(progress)
        self._bar.show(progress.finished, picture=picture)
        for index, (text, title) in self._finished.items():
            self._bar.tell(total=self._total, **self._news(index, text, title))
            self._sent.pop(index, None)
        known = progress.index in self._finished
        self._finished.clear()
        facts: dict[str, Any] = {
            "line": line,
            "finished": progress.finished,
            "total": self._total,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
        }
        if progress.index is not None and progress.running and not known:
            facts |= self._news(progress.index, progress.text, self._name(progress.index))
        self._bar.tell(**facts)

    def _name(self, index: int) -> str:
        return self._title(index) if self._title is not None else ""

    def _news(self, index: int, text: str, title: str) -> dict[str, Any]:
        """What the other side does not have yet of a text, and where it begins."""
        sent = self._sent.get(index, "")
        # The end of a text may change: a character in pieces, a thought that was cut off.
        at = len(sent) if text.startswith(sent) else len(os.path.commonprefix((sent, text)))
        self._sent[index] = text
        facts: dict[str, Any] = {"index": index, "at": at, "text": text[at:]}
        return facts | ({"title": title} if title else {})


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
