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
from ..checkpoint.safetensors_header import ITEM_BYTES
from .chunks import PIECE_BYTES, TORCH_DTYPES, Piece, Scales, dequantize

# More do not help a disk; each costs a piece of pinned memory.
THREADS = min(6, max(2, os.cpu_count() or 2))
# How often a waiting load looks for an interrupt.
LOOK_SECONDS = 0.2

# (bytes read, bytes in all); whatever it raises ends the load and passes through.
OnBytes = Callable[[int, int], None]


def read_pieces(pieces: Sequence[Piece], on_bytes: OnBytes = lambda _done, _total: None) -> None:
    """Fill every piece's target. When this returns, the weights are on their devices.

    Raises:
        LoadError: a file ended early or could not be read.
        torch.OutOfMemoryError: unchanged.
    """
    total = sum(piece.size_bytes for piece in pieces)
    devices = {piece.target.device for piece in pieces}
    with _synchronized(devices), ThreadPoolExecutor(THREADS, "qwen3vl-read") as pool:
        reader = _Reader()
        futures = {pool.submit(reader.read, piece): piece for piece in pieces}
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


def _collect(futures: dict[Future[None], Piece], total: int, on_bytes: OnBytes) -> None:
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
    """Reads pieces from several threads, each with its own handles, staging and stream."""

    def __init__(self) -> None:
        self.stop = False
        self._own = threading.local()
        self._files: list[BinaryIO] = []
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()

    def read(self, piece: Piece) -> None:
        """Fill one piece's target."""
        if self.stop:
            return
        target = piece.target
        with torch.no_grad():
            if self._is_direct(piece):
                # Straight into the weights: no staging, no copy.
                self._fill(piece.source.path, piece.start, target.view(-1).view(torch.uint8))
                return
            staged = self._staging(piece.size_bytes, target.device.type == "cuda")
            self._fill(piece.source.path, piece.start, staged)
            self._copy(piece, staged)

    @staticmethod
    def _is_direct(piece: Piece) -> bool:
        same = piece.target.dtype == TORCH_DTYPES.get(piece.source.dtype)
        on_cpu = piece.target.device.type == "cpu"
        return on_cpu and same and piece.scales is None and piece.target.is_contiguous()

    def _copy(self, piece: Piece, staged: torch.Tensor) -> None:
        target, on_cuda = piece.target, piece.target.device.type == "cuda"
        values = staged.view(TORCH_DTYPES[piece.source.dtype]).view(piece.shape)
        if not on_cuda:
            values = self._converted(piece, values)
        if target.device.type not in ("cpu", "cuda"):
            values = values.to(target.dtype)  # Apple's GPUs have neither FP8 nor fp64
        with self._turn(target.device):
            if on_cuda:
                values = self._converted(piece, values.to(target.device, non_blocking=True))
            # Elsewhere a copy that does not block may read staging memory that is used again.
            target.copy_(values, non_blocking=on_cuda)
            if target.dtype == torch.float16 and piece.source.dtype != "F16":
                _refuse_overflow(piece)
            if on_cuda:
                # The staging memory is used again for the next piece.
                torch.cuda.current_stream(target.device).synchronize()

    def _converted(self, piece: Piece, values: torch.Tensor) -> torch.Tensor:
        """The stored numbers times their scales, where they have some."""
        if piece.scales is None:
            return values
        scales = self._scales(piece.scales).to(values.device)
        return dequantize(values, scales, piece.scales.block, piece.target.dtype)

    def _scales(self, scales: Scales) -> torch.Tensor:
        item = ITEM_BYTES[scales.source.dtype]
        raw = torch.empty(scales.rows * scales.columns * item, dtype=torch.uint8)
        start = scales.source.start + scales.first_row * scales.columns * item
        self._fill(scales.source.path, start, raw)
        return raw.view(TORCH_DTYPES[scales.source.dtype]).view(scales.rows, scales.columns)

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
            files[path] = path.open("rb", buffering=0)
            with self._lock:
                self._files.append(files[path])
        return files[path]

    def _staging(self, size_bytes: int, pinned: bool) -> torch.Tensor:
        held: torch.Tensor | None = getattr(self._own, "staging", None)
        if held is not None and held.numel() >= size_bytes:
            return held[:size_bytes]
        room = torch.empty(max(size_bytes, PIECE_BYTES), dtype=torch.uint8, pin_memory=pinned)
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


def _refuse_overflow(piece: Piece) -> None:
    """bf16 reaches much further than fp16; a weight beyond it would be infinite, and silent."""
    if not torch.isfinite(piece.target).all():
        raise LoadError(
            f"{piece.source.path} holds weights beyond 65,504, the largest number of fp16.",
            "Choose dtype bf16 or fp32.",
        )
