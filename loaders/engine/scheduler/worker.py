"""Runs a blocking generation in a thread and hands its steps to the caller's thread.

The caller's callback may raise an interrupt at any moment, also during a long prompt: the
module is then stopped before its next layer, and the exception stays in the caller's thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

# While the model reads a long prompt no token comes; the caller still gets a turn this often.
TURN_SECONDS = 0.2


class _StopRun(Exception):  # noqa: N818 - a signal, not an error
    """Ends the worker's run; never leaves the worker's thread."""


class Steps:
    """Iterate over what `run(on_step)` passes to `on_step`, an empty list when it takes long.

    Leaving the `with` block early stops the run and waits until the module is free. An
    exception of the run is raised in the caller's thread.
    """

    def __init__(self, run: Callable[[Callable[[list[int]], None]], None], module: nn.Module):
        self._run = run
        self._module = module
        self._steps: queue.Queue[list[int] | None] = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="qwen3vl-generate", daemon=True)

    def __enter__(self) -> Iterator[list[int]]:
        self._hooks = [
            child.register_forward_pre_hook(self._check_stopped)
            for stack in self._module.modules()
            if isinstance(stack, nn.ModuleList)
            for child in stack
        ]
        self._thread.start()
        return self._iterate()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            self._thread.join(timeout=0.01)
            self._drain()  # the worker may be waiting for its last step to be taken
        for hook in self._hooks:
            hook.remove()

    def _iterate(self) -> Iterator[list[int]]:
        while True:
            try:
                step = self._steps.get(timeout=TURN_SECONDS)
            except queue.Empty:
                yield []
                continue
            if step is None:
                break
            yield step
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        try:
            self._run(self._on_step)
        except _StopRun:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._steps.put(None)

    def _on_step(self, finished: list[int]) -> None:
        self._check_stopped()
        self._steps.put(finished)

    def _check_stopped(self, *_: Any) -> None:
        if self._stop.is_set():
            raise _StopRun

    def _drain(self) -> None:
        while not self._steps.empty():
            self._steps.get_nowait()
