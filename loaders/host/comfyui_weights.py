"""ComfyUI's own quantized weights, turned into plain ones by ComfyUI's own code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def quantized_formats() -> frozenset[str]:
    """The formats of packed layers that this ComfyUI can read; none where it is too old."""
    try:
        from comfy.ops import mixed_precision_ops  # noqa: F401 - it reads them
        from comfy.quant_ops import QUANT_ALGOS
    except ImportError:
        return frozenset()
    return frozenset(QUANT_ALGOS)


def plain_weight(
    said: Mapping[str, Any],
    stored: Mapping[str, torch.Tensor],
    shape: tuple[int, int],
    dtype: torch.dtype,
) -> torch.Tensor:
    """A packed layer's weight as a plain matrix [outputs, inputs], on the device of `stored`.

    Args:
        said: its format and what belongs to that, as the file says.
        stored: its tensors, by the last part of their names.
        shape: (outputs, inputs) of the layer.
        dtype: of the result.

    Raises:
        Exception: of ComfyUI's or torch's own, where they do not belong together.
    """
    from comfy.ops import mixed_precision_ops

    outputs, inputs = shape
    device = next(iter(stored.values())).device
    layer = nn.Module()
    layer.it = mixed_precision_ops({}, dtype).Linear(
        inputs, outputs, bias=False, device=device, dtype=dtype
    )
    mark = torch.tensor(list(json.dumps(dict(said)).encode()), dtype=torch.uint8)
    tensors = {f"it.{leaf}": tensor for leaf, tensor in stored.items()}
    layer.load_state_dict({**tensors, "it.comfy_quant": mark}, strict=False)
    weight = layer.it.weight.dequantize()
    # What inputs are multiplied with before they meet the weight belongs to its columns.
    smoothing = getattr(layer.it, "pre_quant_scale", None)
    if smoothing is not None:
        weight = weight * smoothing.to(weight.dtype)
    return weight.to(dtype)
