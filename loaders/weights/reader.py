"""Reads weights from files into a module's tensors, near the disk's own speed.

Several threads read into staging memory (pinned for a GPU) and copy from there, so the disk, the
bus and the conversion work at the same time. Memory use is the weights and a little staging.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

import torch

from ...utils.errors import LoadError
from ...utils.files.ordinary import open_ordinary
from ..checkpoint.safetensors_header import ITEM_BYTES
from .chunks import CHUNK_BYTES, STORED_DTYPES, Chunk, Scales, dequantize

# More do not help a disk; each costs a chunk of pinned memory.
THREADS = min(6, max(2, os.cpu_count() or 2))
# How often a waiting load looks for an interrupt.
LOOK_SECONDS = 0.2

# (bytes read, bytes in all); whatever it raises ends the load and passes through.
OnBytes = Callable[[int, int], None]


def read_chunks(chunks: Sequence[Chunk], on_bytes: OnBytes = lambda _done, _total: None) -> None:
    """Fill every chunk's target. When this returns, the weights are on their devices.

    Raises:
        LoadError: a file ended early or could not be read.
        torch.OutOfMemoryError: unchanged.
    """
    total = sum(chunk.size_bytes for chunk in chunks)
    devices = {chunk.target.device for chunk in chunks}
    with _synchronized(devices), ThreadPoolExecutor(THREADS, "qwen3vl-read") as pool:
        reader = _Reader()
        futures = {pool.submit(reader.read, chunk): chunk for chunk in chunks}
        try:
            _collect(futures, total, on_bytes)
        except BaseException:
            # The pool waits for its threads, so leave them nothing to do.
            for future in futures:
                future.cancel()
            raise
        finally:
            reader.stop = True
            pool.shutdown(wait=True)
            reader.close()


def _collect(futures: dict[Future[None], Chunk], total: int, on_bytes: OnBytes) -> None:
    waiting: set[Future[None]] = set(futures)
    done_bytes = 0
    while waiting:
        done, waiting = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
            done_bytes += futures[future].size_bytes
        on_bytes(done_bytes, total)


@contextmanager
def _synchronized(devices: Iterable[torch.device]) -> Iterator[None]:
    """The targets may reuse memory that earlier work of the GPU still reads; and our copies must
    be done before later work reads them.
    """
    cuda = [device for device in devices if device.type == "cuda"]
    for device in cuda:
        torch.cuda.synchronize(device)
    yield
    for device in cuda:
        torch.cuda.synchronize(device)


class _Reader:
    """Reads chunks from several threads, each with its own handles, staging and stream."""

    def __init__(self) -> None:
        self.stop = False
        self._own = threading.local()
        self._files: list[BinaryIO] = []
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()

    def read(self, chunk: Chunk) -> None:
        """Fill one chunk's target."""
        if self.stop:
            return
        target = chunk.target
        with torch.no_grad():
            if self._is_direct(chunk):
                # Straight into the weights: no staging, no copy.
                self._fill(chunk.source.path, chunk.start, target.view(-1).view(torch.uint8))
                return
            staged = self._staging(chunk.size_bytes, target.device.type == "cuda")
            self._fill(chunk.source.path, chunk.start, staged)
            self._copy(chunk, staged)

    @staticmethod
    def _is_direct(chunk: Chunk) -> bool:
        same = chunk.target.dtype == STORED_DTYPES.get(chunk.source.dtype)
        on_cpu = chunk.target.device.type == "cpu"
        return on_cpu and same and chunk.scales is None and chunk.target.is_contiguous()

    def _copy(self, chunk: Chunk, staged: torch.Tensor) -> None:
        target, on_cuda = chunk.target, chunk.target.device.type == "cuda"
        values = staged.view(STORED_DTYPES[chunk.source.dtype]).view(chunk.shape)
        if not on_cuda:
            values = self._converted(chunk, values)
        if target.device.type not in ("cpu", "cuda"):
            values = values.to(target.dtype)  # Apple's GPUs have neither FP8 nor fp64
        with self._turn(target.device):
            if on_cuda:
                values = self._converted(chunk, values.to(target.device, non_blocking=True))
            # Elsewhere a copy that does not block may read staging memory that is used again.
            target.copy_(values, non_blocking=on_cuda)
            if target.dtype == torch.float16 and chunk.source.dtype != "F16":
                _refuse_overflow(chunk)
            if on_cuda:
                # The staging memory is used again for the next chunk.
                torch.cuda.current_stream(target.device).synchronize()

    def _converted(self, chunk: Chunk, values: torch.Tensor) -> torch.Tensor:
        """The stored numbers times their scales, where they have some."""
        if chunk.scales is None:
            return values
        scales = self._scales(chunk.scales).to(values.device)
        return dequantize(values, scales, chunk.scales.block, chunk.target.dtype)

    def _scales(self, scales: Scales) -> torch.Tensor:
        item = ITEM_BYTES[scales.source.dtype]
        raw = torch.empty(scales.rows * scales.columns * item, dtype=torch.uint8)
        start = scales.source.start + scales.first_row * scales.columns * item
        self._fill(scales.source.path, start, raw)
        return raw.view(STORED_DTYPES[scales.source.dtype]).view(scales.rows, scales.columns)

    def _fill(self, path: Any, start: int, buffer: torch.Tensor) -> None:
        view = memoryview(buffer.numpy().data)
        try:
            file = self._file(path)
            file.seek(start)
            while view and not self.stop:
                count = file.readinto(view)  # type: ignore[attr-defined]
                if not count:
                    raise LoadError(f"{path} ended early.", "Download this file again.")
                view = view[count:]
        except OSError as error:
            raise LoadError(
                f"{path} cannot be read ({error.strerror}).", "Check the disk, then try again."
            ) from error

    def _file(self, path: Any) -> BinaryIO:
        files = self._own.__dict__.setdefault("files", {})
        if path not in files:
            files[path] = open_ordinary(path, buffering=0)
            with self._lock:
                self._files.append(files[path])
        return files[path]

    def _staging(self, size_bytes: int, pinned: bool) -> torch.Tensor:
        held: torch.Tensor | None = getattr(self._own, "staging", None)
        if held is not None and held.numel() >= size_bytes:
            return held[:size_bytes]
        room = torch.empty(max(size_bytes, CHUNK_BYTES), dtype=torch.uint8, pin_memory=pinned)
        self._own.staging = room
        return room[:size_bytes]

    def _turn(self, device: torch.device) -> Any:
        """This thread's turn on the device: a stream of its own where there are such."""
        if device.type == "cpu":
            return nullcontext()
        if device.type != "cuda":
            # Two threads at once on Apple's GPU end the process: all share one command buffer.
            return self._one_at_a_time
        streams = self._own.__dict__.setdefault("streams", {})
        if device not in streams:
            streams[device] = torch.cuda.Stream(device)
        return torch.cuda.stream(streams[device])

    def close(self) -> None:
        """Close the files that the threads opened."""
        for file in self._files:
            file.close()


def _refuse_overflow(chunk: Chunk) -> None:
    """bf16 reaches much further than fp16; a weight beyond it would be infinite, and silent."""
    if not torch.isfinite(chunk.target).all():
        raise LoadError(
            f"{chunk.source.path} holds weights beyond 65,504, the largest number of fp16.",
            "Choose dtype bf16 or fp32.",
        )
