"""Captures a decode step as a CUDA graph, one for each shape it runs in."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch

log = logging.getLogger(__name__)


class StepGraphs:
    """Graphs by key, captured at first use, with one memory pool for all of them.

    A graph holds addresses: whoever moves a weight or a buffer calls `clear` first.
    """

    def __init__(self) -> None:
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None
        self._works = True

    def __len__(self) -> int:
        return len(self._graphs)

    def wants(self, key: Hashable) -> bool:
        """Whether `replay` would capture the graph for `key` first."""
        return key not in self._graphs and self._works

    def clear(self) -> None:
        """Forget all graphs and give their memory back."""
        self._graphs.clear()
        self._pool = None

    def replay(
        self, key: Hashable, step: Callable[[], object], rehearse: Callable[[], object]
    ) -> None:
        """Run `step` as the graph for `key`, or as it is once a capture has failed.

        Args:
            key: everything that shapes the step.
            step: the step on the real buffers; captured, not run, the first time.
            rehearse: the same step on spare buffers, so that kernels are compiled and libraries
                set up before the capture, in which neither may happen.
        """
        if self.wants(key):
            self._works = self._captured(key, step, rehearse)
        if key in self._graphs:
            self._graphs[key].replay()
        else:
            step()

    def _captured(
        self, key: Hashable, step: Callable[[], object], rehearse: Callable[[], object]
    ) -> bool:
        """Capture the graph for `key`; False when this system cannot: no reason to stop."""
        try:
            self._graphs[key] = self._capture(step, rehearse)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            log.warning("A decode step could not be captured, so each is launched: %s", error)
            return False
        return True

    def _capture(
        self, step: Callable[[], object], rehearse: Callable[[], object]
    ) -> torch.cuda.CUDAGraph:
        main = torch.cuda.current_stream()
        aside = _side_stream(main.device)
        aside.wait_stream(main)
        collecting = gc.isenabled()
        gc.disable()  # a tensor freed by a collection inside the capture would break it
        try:
            with torch.cuda.stream(aside):
                rehearse()
                graph = torch.cuda.CUDAGraph()
                _record(graph, self._pool, step)
        finally:
            if collecting:
                gc.enable()
            main.wait_stream(aside)
        self._pool = self._pool or graph.pool()
        return graph


@lru_cache(maxsize=8)
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: cuBLAS keeps 32 MiB for every stream it has ever worked on."""
    return torch.cuda.Stream(device)


def _record(graph: torch.cuda.CUDAGraph, pool: Any, step: Callable[[], object]) -> None:
    # Other threads prepare pictures meanwhile; what they do is no part of this capture.
    where = {} if pool is None else {"pool": pool}
    graph.capture_begin(**where, capture_error_mode="thread_local")
    try:
        step()
    except BaseException:
        with suppress(RuntimeError):
            graph.capture_end()
        raise
    graph.capture_end()
