"""Chooses the blocks of a product on its card: measured, remembered, or the quickest of a few.

Why not `triton.autotune(cache_results=True)`: it tries wherever a kernel is launched first, also
where a graph is captured; nothing bounds or interrupts it; most errors pass through; the pieces of
a sum need buffers that depend on the choice; and it keeps its choices in the cache of compiled
kernels, which people empty, so that the same question might get another answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ....host.port import host
from .candidates import Blocks, with_default
from .contest import Attempt, quickest
from .notebook import BLOCKS_FILE, Notebook

log = logging.getLogger(__name__)

# H100 and H200, on which the blocks in the kernels' own modules were measured.
MEASURED = (9, 0)
# For all products of a step that is the first of its kind; and for one of them, so that a slow
# compiler does not leave nothing for the matrices that are largest.
SECONDS, OF_ONE = 15.0, 5.0


@dataclass(slots=True)
class _Trial:
    """A step in which blocks may be tried; `tick` is called between them and may raise."""

    tick: Callable[[], None]
    began: float = 0.0
    end: float = 0.0
    found: dict[tuple[str, str], Blocks] = field(default_factory=dict)

    def begin(self, card: str) -> None:
        """The next product."""
        now = time.monotonic()
        if not self.began:
            self.began = now
            log.info("Trying blocks of kernels on %s, for %.0f s at most.", card, SECONDS)
        self.end = min(now + OF_ONE, self.began + SECONDS)

    def is_late(self) -> bool:
        """Whether no more is to be tried for this product."""
        return time.monotonic() >= self.end


_trial: ContextVar[_Trial | None] = ContextVar("trial", default=None)
# By card and question; what a process has once chosen it keeps, as graphs have.
_chosen: dict[tuple[Any, ...], Blocks] = {}
_everywhere: list[Path] = []


def is_measured(device: torch.device) -> bool:
    """Whether the kernels' own numbers hold for this device as they are."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) == MEASURED


@lru_cache(maxsize=8)
def _tries(device: torch.device) -> bool:
    return device.type == "cuda" and (bool(_everywhere) or not is_measured(device))


@contextmanager
def trials(device: torch.device, tick: Callable[[], None]) -> Iterator[bool]:
    """Whether blocks may be tried in the `with` block: only in a step that nothing waits for, never
    inside of a capture. What was chosen is remembered behind it.

    Args:
        device: of the step.
        tick: called before each try; what it raises passes through.
    """
    if not _tries(device):
        yield False
        return
    trial = _Trial(tick)
    token = _trial.set(trial)
    try:
        yield True
    finally:
        _trial.reset(token)
        if trial.found:
            _remember(trial)


def _remember(trial: _Trial) -> None:
    took, book = time.monotonic() - trial.began, _notebook()
    cards = {card for card, _ in trial.found}
    try:
        for card in cards:
            mine = {question: b for (of, question), b in trial.found.items() if of == card}
            book.add(card, mine)
    except Exception as error:  # the answer is worth more than its being quick again
        log.warning("Blocks that were tried cannot be kept in %s: %s", book.path, error)
        return
    log.info(
        "Tried blocks of %d products once: %.1f s; kept in %s.", len(trial.found), took, book.path
    )


def blocks_for(
    kernel: Any,
    facts: tuple[Any, ...],
    inputs: torch.Tensor,
    default: Blocks,
    others: Callable[[], Iterable[Blocks]],
    attempt: Attempt,
) -> Blocks:
    """The blocks of a product.

    Args:
        kernel: what is launched.
        facts: all that shapes the product, beside device and type of `inputs`; printable.
        inputs: of the product.
        default: what was measured on an H100.
        others: what may be quicker elsewhere.
        attempt: the product with given blocks, which changes nothing that is used.
    """
    device = inputs.device
    if not _tries(device):
        return default
    key = (device, inputs.dtype, kernel, facts)
    found = _chosen.get(key)
    if found is None:
        found = _choice(key, default, others, attempt)
    return found


def _choice(
    key: tuple[Any, ...],
    default: Blocks,
    others: Callable[[], Iterable[Blocks]],
    attempt: Attempt,
) -> Blocks:
    device, dtype, kernel, facts = key
    every = with_default(default, others())
    try:
        card, question = _card(device), _question(kernel, dtype, facts)
        found = _notebook().read(card).get(question)
    except Exception as error:  # no answer fails for want of quicker blocks
        log.warning("Blocks of kernels are not tried: %s", error)
        card, question, found = "", "", default
    if found not in every:
        trial = _trial.get()
        if torch.cuda.is_current_stream_capturing():
            found = default
        elif trial is None:
            return default
        else:
            trial.begin(torch.cuda.get_device_name(device))
            best = quickest(every, attempt, device, trial.tick, trial.is_late)
            found = best or default
            if best is not None:
                trial.found[card, question] = best
    _chosen[key] = found
    return found


def _question(kernel: Any, dtype: torch.dtype, facts: tuple[Any, ...]) -> str:
    """With the kernel as it is compiled: one that was changed is tried anew."""
    version = str(getattr(kernel, "cache_key", ""))[:12]
    return " ".join(map(str, (kernel.__name__.strip("_"), version, dtype, *facts)))


@lru_cache(maxsize=8)
def _card(device: torch.device) -> str:
    """What a choice holds for: this kind of card with these compilers."""
    import triton

    seen = torch.cuda.get_device_properties(device)
    driver = 0
    with suppress(AttributeError, RuntimeError):  # not promised by torch
        driver = torch._C._cuda_getDriverVersion()
    return (
        f"{seen.name}, {seen.major}.{seen.minor}, {seen.multi_processor_count} multiprocessors, "
        f"driver {driver}, torch {torch.__version__}, triton {triton.__version__}"
    )


@lru_cache(maxsize=1)
def _notebook() -> Notebook:
    return Notebook(_everywhere[-1] if _everywhere else host().user_folder() / BLOCKS_FILE)


@contextmanager
def tried_everywhere(path: Path) -> Iterator[None]:
    """For tests and measurements: also on cards that were measured, and kept at `path`."""
    before = dict(_chosen)
    _everywhere.append(path)
    _forget({})
    try:
        yield
    finally:
        _everywhere.pop()
        _forget(before)


def _forget(but: dict[tuple[Any, ...], Blocks]) -> None:
    _chosen.clear()
    _chosen.update(but)
    _tries.cache_clear()
    _notebook.cache_clear()
