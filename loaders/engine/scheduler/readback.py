"""Drawn tokens on their way from the device to the host, without waiting for each step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from .meter import look_away_seconds

LOOK_AWAY_SECONDS = look_away_seconds(sys.platform, sys.version_info[:2])


class Readback:
    """Drawn tokens on their way to the host."""

    def __init__(self, tokens: torch.Tensor):
        self._event: torch.cuda.Event | None = None
        if tokens.device.type == "cuda":
            host = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True)
            self._host = host.copy_(tokens, non_blocking=True)
            self._event = event = torch.cuda.Event()
            event.record()
        else:
            self._host = tokens.to("cpu", copy=True)

    def read(self, tick: Callable[[], None]) -> list[int]:
        """The tokens; `tick` is called while the device is still busy."""
        while self._event is not None and not self._event.query():
            tick()
            time.sleep(LOOK_AWAY_SECONDS)
        return self._host.tolist()
