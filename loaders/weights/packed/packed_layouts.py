"""4-bit weights as other tools store them, read into the engine's own layout.

Sources: AutoAWQ's and AutoGPTQ's `qweight`/`qzeros`/`scales`, compressed-tensors' `pack-quantized`
and bitsandbytes' NF4, as their packages write them.
"""

from __future__ import annotations

import torch

from .matrices import NF4, NibbleMatrix, pack_codes

# AutoAWQ puts the eight numbers of a word in this order.
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


class LayoutError(ValueError):
    """The stored tensors are of a form that cannot be kept packed; says which."""


def nibbles(words: torch.Tensor) -> torch.Tensor:
    """int32 [.., n] as uint8 [.., n, 8], the lowest bits first."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=words.device)
    return ((words[..., None] >> shifts) & 15).to(torch.uint8)


def from_awq(
    qweight: torch.Tensor, qzeros: torch.Tensor, scales: torch.Tensor, group: int
) -> NibbleMatrix:
    """`qweight` int32 [K, N / 8], `qzeros` int32 [K / group, N / 8], `scales` [K / group, N]."""
    order = torch.tensor(AWQ_ORDER, device=qweight.device).argsort()
    codes = nibbles(qweight)[..., order].flatten(1)
    zeros = nibbles(qzeros)[..., order].flatten(1)
    return _made(codes.T, scales, zeros, group)


def from_gptq(
    qweight: torch.Tensor,
    qzeros: torch.Tensor,
    scales: torch.Tensor,
    g_idx: torch.Tensor | None,
    group: int,
    zeros_from_one: bool = True,
) -> NibbleMatrix:
    """`qweight` int32 [K / 8, N], `qzeros` int32 [K / group, N / 8], `scales` [K / group, N].

    Args:
        qweight: the codes.
        qzeros: the code for zero; one less of it in the older format.
        scales: of each group.
        g_idx: each input's group, [K].
        group: inputs in a group.
        zeros_from_one: the older format, `checkpoint_format` "gptq".
    """
    codes = nibbles(qweight).permute(0, 2, 1).flatten(0, 1)
    if g_idx is not None:
        plain = torch.arange(len(codes), device=g_idx.device) // group
        if not torch.equal(g_idx.long(), plain):
            raise LayoutError("its inputs are in another order (desc_act)")
    zeros = nibbles(qzeros).flatten(1)
    if zeros_from_one:
        zeros = (zeros + 1) & 15
    return _made(codes.T, scales, zeros, group)


def from_compressed(
    packed: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor | None, columns: int
) -> NibbleMatrix:
    """`packed` int32 [N, K / 8], `scales` [N, K / group], `zeros` int32 [N / 8, K / group].

    Codes are stored counted from 8 on, whether there are zeros or not.
    """
    codes = nibbles(packed).flatten(1)[:, :columns]
    group = columns // scales.shape[1]
    own = None
    if zeros is not None:
        own = nibbles(zeros.T.contiguous()).flatten(1)[:, : len(scales)]
    return _made(codes, scales.T, own, group)


def from_nf4(data: torch.Tensor, absmax: torch.Tensor, shape: tuple[int, int]) -> NibbleMatrix:
    """`data` uint8 [N * K / 2], the first of two weights in the upper bits; `absmax` of every 64
    weights, fp32, in their order.
    """
    rows, columns = shape
    group = rows * columns // absmax.numel()
    codes = _nf4_codes(data).view(rows, columns)
    if columns % group:
        raise LayoutError(f"its blocks of {group} go across rows of {columns}")
    scales = absmax.float().view(rows, columns // group).T
    packed, span = _packed(codes, group)
    code = torch.tensor(NF4, device=data.device)
    return NibbleMatrix(packed, scales.contiguous(), None, code, group, span)


def plain_nf4(data: torch.Tensor, absmax: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The weight itself, fp32, where its blocks go across rows too."""
    codes = _nf4_codes(data)
    scales = absmax.float().repeat_interleave(codes.numel() // absmax.numel())
    return (torch.tensor(NF4, device=data.device)[codes.int()] * scales).view(shape)


def _nf4_codes(data: torch.Tensor) -> torch.Tensor:
    flat = data.reshape(-1)
    return torch.stack((flat >> 4, flat & 15), dim=1).view(-1)


def _made(
    codes: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor | None, group: int
) -> NibbleMatrix:
    packed, span = _packed(codes.contiguous(), group)
    if zeros is not None and bool((zeros == 8).all()):
        zeros = None
    own = None if zeros is None else zeros.contiguous()
    return NibbleMatrix(packed, scales.contiguous(), own, None, group, span)


def _packed(codes: torch.Tensor, group: int) -> tuple[torch.Tensor, int]:
    try:
        return pack_codes(codes, group)
    except ValueError as error:
        raise LayoutError(f"it has {error}") from error
