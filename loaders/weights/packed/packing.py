"""Makes packed weights out of plain ones, and says how far they are from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .matrices import ByteMatrix, NibbleMatrix, Packed, joined, pack_codes
from .packed_linear import PackedEmbedding, PackedLinear

GROUP = 128
# So many weights are packed at once, which takes a dozen bytes for each.
PIECE_WEIGHTS = 1 << 24
# Where a group's largest weight is cut off, as fractions of it: less range, finer steps.
CUTS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)


@dataclass(frozen=True, slots=True)
class PackingError:
    """How far packed weights are from the plain ones, as parts of their size (Frobenius norm):
    the mean over all layers, the worst one and its name.
    """

    mean: float
    worst: float
    worst_name: str

    @classmethod
    def of(cls, errors: dict[str, float]) -> PackingError:
        """From each layer's."""
        name = max(errors, key=lambda key: errors[key])
        return cls(sum(errors.values()) / len(errors), errors[name], name)

    def __str__(self) -> str:
        return (
            f"the packed weights are {100 * self.mean:.1f} % off on average, at most "
            f"{100 * self.worst:.1f} % ({self.worst_name})"
        )


def packable(weight: torch.Tensor) -> bool:
    """Whether a weight [N, K] can be packed as int4."""
    return weight.ndim == 2 and weight.shape[1] % GROUP == 0


def pack_int4(weight: torch.Tensor) -> NibbleMatrix:
    """4-bit codes for groups of 128, each with the scale that loses least of several."""
    rows, columns = weight.shape
    groups = weight.float().view(rows, -1, GROUP)
    largest = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12)
    best = torch.full_like(largest, torch.inf)
    scales, codes = torch.empty_like(largest), torch.empty_like(groups, dtype=torch.uint8)
    for cut in CUTS:
        # Rounded as it will be kept, before anything is measured with it.
        scale = (largest * (cut / 7.5)).half().float().clamp_min(2.0**-24)
        made = (groups / scale).round_().clamp_(-8, 7)
        loss = ((made * scale - groups) ** 2).sum(-1, keepdim=True)
        better = loss < best
        best = torch.where(better, loss, best)
        scales = torch.where(better, scale, scales)
        codes = torch.where(better, (made + 8).to(torch.uint8), codes)
    packed, span = pack_codes(codes.view(rows, columns), GROUP)
    return NibbleMatrix(packed, scales[..., 0].T.half().contiguous(), None, None, GROUP, span)


def pack_int8(weight: torch.Tensor) -> ByteMatrix:
    """8-bit numbers with a scale for every 128 of a row."""
    rows, columns = weight.shape
    blocks = -(-columns // GROUP)
    padded = nn.functional.pad(weight.float(), (0, blocks * GROUP - columns))
    groups = padded.view(rows, blocks, GROUP)
    scales = groups.abs().amax(-1).clamp_min(1e-12) / 127
    codes = (groups / scales[..., None]).round_().clamp_(-127, 127).to(torch.int8)
    codes = codes.view(rows, -1)[:, :columns].contiguous()
    return ByteMatrix(codes, scales, (1, GROUP))


def distance(packed: Packed, weight: torch.Tensor) -> float:
    """The norm of what is lost over that of the weight."""
    return _part(*_lost(packed, weight))


def _lost(packed: Packed, weight: torch.Tensor) -> tuple[float, float]:
    """The squared norms of what is lost and of the weight."""
    exact = weight.float()
    lost = packed.dequantized(torch.float32).sub_(exact)
    return float(lost.norm() ** 2), float(exact.norm() ** 2)


def _part(lost: float, whole: float) -> float:
    return math.sqrt(lost / max(whole, 1e-24))


def inner_linears(module: Any) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers of the decoder's layers, by their names; no router and no expert."""
    for name, part in module.named_modules():
        inside = ".language_model.layers." in f".{name}" and not name.endswith(".mlp.gate")
        if inside and type(part) is nn.Linear:
            yield name, part


def replace_part(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put `part` in the place of the module's submodule `name`."""
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, part)


def pack(weight: torch.Tensor, kind: str) -> tuple[Packed, float]:
    """A weight [N, K] as `int4` or `int8`, and how far that is from it; see `packable`.

    Piece by piece, so that it takes little memory beside the weight.
    """
    made: list[Packed] = []
    lost = whole = 0.0
    for rows in weight.split(max(1, PIECE_WEIGHTS // weight.shape[1])):
        made.append(pack_int4(rows) if kind == "int4" else pack_int8(rows))
        part = _lost(made[-1], rows)
        lost, whole = lost + part[0], whole + part[1]
    matrix = made[0] if len(made) == 1 else joined(made)
    return matrix, _part(lost, whole)  # type: ignore[return-value] - pieces of one kind


def pack_linear(part: nn.Linear, kind: str) -> tuple[PackedLinear, float] | None:
    """A plain linear layer packed as `int4` or `int8`, and its error; None where it cannot be."""
    weight = part.weight.detach()
    if kind == "int4" and not packable(weight):
        return None
    matrix, error = pack(weight, kind)
    return PackedLinear(matrix), error


def pack_vocabulary(module: Any, tied: bool) -> float:
    """Pack the table of tokens and the output layer with 8 bits: 4 would show in every word, and
    16 would be a third of what a small model takes. Where both are one (`tied`), they stay one.

    Returns:
        the error of the output layer, as a part of its size.
    """
    text, head = module.model.language_model, module.lm_head
    dtype = text.embed_tokens.weight.dtype
    matrix, error = pack(text.embed_tokens.weight.detach(), "int8")
    text.embed_tokens = table = PackedEmbedding(matrix, dtype)
    if tied:
        tie_output(module, table)
    else:
        matrix, error = pack(head.weight.detach(), "int8")
        module.lm_head = PackedLinear(matrix)
    return error


def tie_output(module: Any, table: PackedEmbedding) -> None:
    """Let the output layer be the packed table of tokens."""
    module.lm_head = output = PackedLinear(table.matrix)
    output.weight, output.scales = table.weight, table.scales
