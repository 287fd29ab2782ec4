"""Full attention inside each of many packed pictures, by the quickest way the device has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from ..state.transfer import upload
from .attention import flash, flash_works

# cuDNN is 1.5 times as fast as flash attention on Hopper, but plans every new length for
# milliseconds; a length is worth it once so many pictures had it.
PLAN_AFTER = 4
# Rows that attend at once where nothing is fused: all of a large picture would take a processor
# many seconds, in which no interrupt is seen.
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Packed patches `start` to `end`: pictures of one `length` for cuDNN, or of any (0)."""

    start: int
    end: int
    length: int
    borders: torch.Tensor | None
    longest: int


class PictureAttention:
    """Made once for a tower; `plan` once for a pass, then called with every block's qkv."""

    def __init__(self, device: torch.device, dtype: torch.dtype, heads: int, head_dim: int):
        self._device = device
        self._flash = flash_works(device, dtype, head_dim)
        self._cudnn = self._flash and cudnn_works(device, dtype, heads, head_dim)
        self._seen: Counter[int] = Counter()

    def order(self, lengths: Sequence[int]) -> list[int]:
        """How to order pictures of so many patches: equal ones together."""
        return sorted(range(len(lengths)), key=lambda i: lengths[i])

    def plan(self, lengths: Sequence[int]) -> list[_Stretch]:
        """Stretches for ordered pictures of so many patches."""
        self._seen.update(lengths)
        stretches: list[_Stretch] = []
        at = 0
        loose: list[int] = []
        for length, count in sorted(Counter(lengths).items()):
            if self._cudnn and self._seen[length] >= PLAN_AFTER:
                stretches += self._loose(at, loose)
                at += sum(loose)
                loose = []
                stretches.append(_Stretch(at, at + length * count, length, None, length))
                at += length * count
            else:
                loose += [length] * count
        return stretches + self._loose(at, loose)

    def _loose(self, start: int, lengths: list[int]) -> list[_Stretch]:
        if not lengths:
            return []
        borders = upload(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32), self._device)
        return [_Stretch(start, start + sum(lengths), 0, borders, max(lengths))]

    def __call__(
        self,
        qkv: torch.Tensor,
        stretches: Sequence[_Stretch],
        lengths: Sequence[int],
        tick: Callable[[], None],
    ) -> torch.Tensor:
        """`qkv` [N, 3, heads, D] to [N, heads * D]; `tick` is called while it takes long."""
        if not self._flash:
            mixed = []
            for picture in qkv.split(list(lengths)):
                queries, keys, values = picture.unbind(1)
                for rows in queries.split(ROWS_AT_ONCE):
                    tick()
                    mixed.append(_same_length(rows, keys, values, count=1))
        else:
            mixed = [self._stretch(qkv, stretch) for stretch in stretches]
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)

    def _stretch(self, qkv: torch.Tensor, stretch: _Stretch) -> torch.Tensor:
        queries, keys, values = qkv[stretch.start : stretch.end].unbind(1)
        if stretch.borders is None:
            from torch.nn.attention import SDPBackend, sdpa_kernel

            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                count = len(queries) // stretch.length
                return _same_length(queries, keys, values, count=count)
        borders, longest = (stretch.borders, stretch.borders), (stretch.longest, stretch.longest)
        return flash(queries, keys, values, borders, longest, causal=False).flatten(1)


def _same_length(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, count: int
) -> torch.Tensor:
    """`count` pictures of one length, [count * L, heads, D] to [count * L, heads * D]. The queries
    may be some of the rows alone.
    """
    query, key, value = (
        t.unflatten(0, (count, -1)).transpose(1, 2) for t in (queries, keys, values)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).reshape(len(queries), -1)


@lru_cache(maxsize=16)
def cudnn_works(device: torch.device, dtype: torch.dtype, heads: int, head_dim: int) -> bool:
    """Whether cuDNN attends faster here: it is there, and the device is a Hopper or later."""
    if torch.cuda.get_device_capability(device) < (9, 0):
        return False
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        probe = torch.zeros(1, heads, 64, head_dim, dtype=dtype, device=device)
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            functional.scaled_dot_product_attention(probe, probe, probe)
    except (RuntimeError, ImportError, AttributeError):
        return False
    return True
