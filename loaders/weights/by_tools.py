"""Layers that other tools packed as 4 bits, kept so for the fast engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ...utils.errors import LoadError
from ..checkpoint.four_bits import AWQ, BITSANDBYTES, COMPRESSED, GPTQ, FourBits
from ..checkpoint.inspection import Checkpoint
from .packed.matrices import NibbleMatrix
from .packed.packed_layouts import (
    LayoutError,
    from_awq,
    from_compressed,
    from_gptq,
    from_nf4,
    plain_nf4,
)
from .packed.packed_linear import PackedLinear
from .packed.packing import inner_linears, replace_part
from .stored import parts_of, read_stored, size_of

Parts = Mapping[str, torch.Tensor]


def fill_four_bits(
    module: nn.Module,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device_of: Callable[[str], torch.device],
    keep: bool,
    on_layer: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Give a module that is still empty its packed layers; what is not packed stays empty.

    The decoder's layers stay packed where `keep` says so, any other becomes plain in `dtype`.

    Args:
        module: the whole one.
        checkpoint: whose `quantization.four_bits` say how.
        dtype: of what becomes plain.
        device_of: where a parameter goes.
        keep: whether the decoder's layers stay packed.
        on_layer: told the bytes read for each.

    Raises:
        LoadError: a layer's tensors do not belong together.
        torch.OutOfMemoryError: unchanged.
    """
    form = checkpoint.quantization.four_bits if checkpoint.quantization else None
    if form is None:
        return
    inner = {name for name, _ in inner_linears(module)} if keep else set()
    end = f".{form.mark}"
    for name in [n.removesuffix(end) for n in checkpoint.tensors if n.endswith(end)]:
        part = module.get_submodule(name)
        parts = parts_of(checkpoint, name)
        device = device_of(f"{name}.weight")
        read = {leaf: read_stored(tensor).to(device) for leaf, tensor in parts.items()}
        with _named(checkpoint, name, form):
            shape = tuple(part.weight.shape)
            if name in inner:
                replace_part(module, name, PackedLinear(_checked(_kept(form, read, shape), shape)))
            else:
                weight = _checked(_plain(form, read, shape, dtype), shape)
                part.weight = nn.Parameter(weight, requires_grad=False)
        on_layer(size_of(parts))


@contextmanager
def _named(checkpoint: Checkpoint, name: str, form: FourBits) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (LayoutError, KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
        raise LoadError(
            f"{checkpoint.folder.name}: the 4-bit weight of {name} cannot be read as {form.tool} "
            f"stores it ({' '.join(str(error).split())[:200]}).",
            "Choose engine reference, which asks that tool, or another checkpoint.",
        ) from error


def _checked(found: Any, shape: tuple[int, int]) -> Any:
    if tuple(found.shape) != shape:
        raise LayoutError(f"it came to {list(found.shape)}, wanted {list(shape)}")
    return found


def _plain(
    form: FourBits, parts: Parts, shape: tuple[int, int], dtype: torch.dtype
) -> torch.Tensor:
    if form.tool == BITSANDBYTES:
        return plain_nf4(parts["weight"], _absmax(parts, form.mark), shape).to(dtype)
    return _kept(form, parts, shape).dequantized(dtype)


def _kept(form: FourBits, parts: Parts, shape: tuple[int, int]) -> NibbleMatrix:
    if form.tool == AWQ:
        return from_awq(parts["qweight"], parts["qzeros"], parts["scales"], form.group)
    if form.tool == GPTQ:
        return from_gptq(
            parts["qweight"], parts["qzeros"], parts["scales"], parts.get("g_idx"), form.group,
            form.zeros_from_one,
        )  # fmt: skip
    if form.tool == COMPRESSED:
        zeros = parts.get("weight_zero_point")
        return from_compressed(parts["weight_packed"], parts["weight_scale"], zeros, shape[1])
    return from_nf4(parts["weight"], _absmax(parts, form.mark), shape)


def _absmax(parts: Parts, mark: str) -> torch.Tensor:
    """Each block's largest weight; bitsandbytes packs these too, where `nested_absmax` is."""
    absmax = parts["weight.absmax"]
    if "weight.nested_absmax" not in parts:
        return absmax
    state = json.loads(bytes(parts[mark].cpu().tolist()))
    wide = parts["weight.nested_absmax"].float().repeat_interleave(int(state["nested_blocksize"]))
    code = parts["weight.nested_quant_map"].float()
    return code[absmax.int()] * wide[: absmax.numel()] + float(state["nested_offset"])
