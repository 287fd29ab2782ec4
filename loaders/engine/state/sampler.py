"""Chooses the next token on the device: penalties, top-k, top-p and a seeded draw, no sync.

Both engines draw here, so the same seed gives the same text on either, at any batch size and
on any device: the randomness is a hash of (seed, step, token id), not a generator's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ....utils.chat.generation_options import OPTION_RANGES
from ....utils.chat.sampling import Sampling

# How much of the vocabulary a batch draws from: each row's best token, its best hundred, or all.
Drawing = Literal["best", "candidates", "all"]
# top_k can never ask for more, so one fixed-size selection serves every request of a batch.
MAX_CANDIDATES = int(OPTION_RANGES["top_k"][1])
# In place of a first token whose logits are not all numbers (NaN). Later ones need no check:
# what is drawn among NaN is the same token for ever, which the repetition check stops.
NO_TOKEN = -1
_MASK32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class SamplingRows:
    """The settings of a batch as tensors, one row a request (shape [B])."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    top_k: torch.Tensor
    repetition_penalty: torch.Tensor
    presence_penalty: torch.Tensor
    seed: torch.Tensor

    @classmethod
    def of(
        cls, settings: Sequence[Sampling], seeds: Sequence[int], device: torch.device | str
    ) -> SamplingRows:
        """Rows for these settings and seeds, on `device`."""

        def column(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.tensor([getattr(s, name) for s in settings], dtype=dtype, device=device)

        return cls(
            column("temperature"),
            column("top_p"),
            column("top_k", torch.int64),
            column("repetition_penalty"),
            column("presence_penalty"),
            torch.tensor([fold_seed(s) for s in seeds], dtype=torch.int64, device=device),
        )


def fold_seed(seed: int) -> int:
    """ComfyUI seeds have 64 bits; the hash works on 32, and both halves count."""
    return (seed ^ (seed >> 32)) & _MASK32


def drawing_for(settings: Iterable[Sampling]) -> Drawing:
    """The least that serves a batch; the whole vocabulary is sorted only where top_k is off."""
    wanted = list(settings)
    if all(setting.temperature == 0 for setting in wanted):
        return "best"
    drawn = (setting for setting in wanted if setting.temperature > 0)
    return "all" if any(setting.top_k == 0 for setting in drawn) else "candidates"


def choose_tokens(
    logits: torch.Tensor,
    seen: torch.Tensor,
    rows: SamplingRows,
    steps: torch.Tensor,
    drawing: Drawing = "candidates",
) -> torch.Tensor:
    """The next token of each row.

    Args:
        logits: [B, vocabulary], any float type.
        seen: bool [B, vocabulary], the tokens generated so far in each reply.
        rows: the settings; temperature 0 takes the best token.
        steps: int64 [B], how many tokens each reply already has.
        drawing: what `drawing_for` says of these rows, or more.

    Returns:
        int64 [B]. Fixed shapes and no host sync, so it can be captured in a CUDA graph.
    """
    scores = penalized(logits.float(), seen, rows)
    if drawing == "best":
        return scores.argmax(dim=-1)
    count = scores.shape[-1] if drawing == "all" else min(MAX_CANDIDATES, scores.shape[-1])
    top, ids = scores.topk(count, dim=-1)  # sorted, best first
    rank = torch.arange(count, device=top.device)
    scaled = top / rows.temperature.clamp_min(1e-5)[:, None]
    # top_k 0 is off.
    keep = (rank < rows.top_k[:, None]) | (rows.top_k[:, None] == 0)
    probs = scaled.masked_fill(~keep, float("-inf")).softmax(dim=-1)
    # A token stays while those before it have not yet gathered top_p; the best always stays.
    before = probs.cumsum(dim=-1) - probs
    keep = keep & ((before < rows.top_p[:, None]) | (rank == 0))
    drawn = scaled + gumbel(rows.seed, steps, ids)
    pick = drawn.masked_fill(~keep, float("-inf")).argmax(dim=-1)
    pick = torch.where(rows.temperature > 0, pick, torch.zeros_like(pick))
    return ids.gather(-1, pick[:, None])[:, 0]


def penalized(logits: torch.Tensor, seen: torch.Tensor, rows: SamplingRows) -> torch.Tensor:
    """Logits [B, V] with presence and repetition penalty on the tokens seen in this reply."""
    repetition = rows.repetition_penalty[:, None]
    shrunk = torch.where(logits > 0, logits / repetition, logits * repetition)
    return torch.where(seen, shrunk - rows.presence_penalty[:, None], logits)


def gumbel(seed: torch.Tensor, steps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Gumbel noise [B, K] that depends only on (seed [B], step [B], token id [B, K]).

    Adding it to log-probabilities and taking the best draws from the distribution, without a
    generator and without a sync.
    """
    mixed = _mix32(seed[:, None] ^ _mix32(steps[:, None] + 0x9E37_79B9))
    mixed = _mix32(mixed ^ _mix32(ids + 0x85EB_CA6B))
    # 23 bits and a half are exact in float32, so the value is inside (0, 1), never 0 or 1.
    uniform = ((mixed >> 9).float() + 0.5) * (1.0 / (1 << 23))
    return -torch.log(-torch.log(uniform))


def _mix32(value: torch.Tensor) -> torch.Tensor:
    """A 32-bit integer mixer (murmur3 finalizer) on int64 tensors."""
    value = value & _MASK32
    value = ((value ^ (value >> 16)) * 0x85EB_CA6B) & _MASK32
    value = ((value ^ (value >> 13)) * 0xC2B2_AE35) & _MASK32
    return value ^ (value >> 16)
