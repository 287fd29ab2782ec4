"""Batches on the training device: copied in the background, repeated when none is ready."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator

import torch
from torch import Tensor

Batch = dict[str, Tensor]


class Feed:
    """Fresh batches as they are drawn; the device never waits for the drawing.

    On CUDA a thread copies each batch through one page-locked buffer while the network works.
    When no fresh batch is ready, one of the last `kept` is learnt once more.
    """

    def __init__(self, source: Iterator[Batch], device: torch.device, kept: int = 96):
        self.source, self.device = source, device
        self.kept, self.earlier = kept, []
        self.ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=4)
        self.rng = random.Random(0)
        if device.type == "cuda":
            threading.Thread(target=self._copy_until_error, daemon=True).start()

    def next(self) -> tuple[Batch, bool]:
        """A batch on the device and whether it is fresh."""
        if self.device.type != "cuda":
            return _widened(next(self.source)), True
        fresh = not self.ready.empty() or len(self.earlier) < 32
        if not fresh:
            return _widened(self.rng.choice(self.earlier)), False
        batch = self.ready.get()
        if isinstance(batch, BaseException):
            raise RuntimeError("The drawing of lessons failed.") from batch
        for value in batch.values():
            value.record_stream(torch.cuda.current_stream())
        self.earlier = [*self.earlier[1 - self.kept :], batch]
        return _widened(batch), True

    def _copy_until_error(self) -> None:
        try:
            self._copy_forever()
        except BaseException as error:  # handed to the training thread, which raises it
            self.ready.put(error)

    def _copy_forever(self) -> None:
        stream = torch.cuda.Stream()
        locked = torch.empty(512 << 20, dtype=torch.uint8, pin_memory=True)
        for batch in self.source:
            with torch.cuda.stream(stream):
                there, at = {}, 0
                for name, value in batch.items():
                    raw = value.contiguous().view(-1).view(torch.uint8)
                    part = locked[at : at + len(raw)]
                    part.copy_(raw)
                    there[name] = (
                        part.to(self.device, non_blocking=True).view(value.dtype).view(value.shape)
                    )
                    at += -(-len(raw) // 16) * 16
                stream.synchronize()  # frees the buffer, shows the copies to every stream
            self.ready.put(there)


def _widened(batch: Batch) -> Batch:
    """Indices as int64, which the network's lookups need; they travel as int32."""
    return {
        name: value.long() if value.dtype == torch.int32 else value for name, value in batch.items()
    }
