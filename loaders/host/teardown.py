"""Frees a module's memory for certain, whoever still holds the module."""

from __future__ import annotations

import torch
from torch import nn

# Where bitsandbytes keeps second copies: MatmulLtState of Linear8bitLt, QuantState of Linear4bit.
_STATES = ("state", "quant_state")


def empty(module: nn.Module) -> None:
    """Drop every parameter, buffer and quantization state; the module is useless afterwards.

    Moving to the meta device would do for plain weights, but quantized ones refuse to move,
    and accelerate's hooks hold further copies.
    """
    for part in list(module.modules()):
        hook = part.__dict__.pop("_hf_hook", None)
        if hook is not None:
            # Its weights_map is what layers offloaded to RAM are fetched from.
            hook.__dict__.clear()
            part.__dict__.pop("_old_forward", None)
            part.__dict__.pop("forward", None)
        for name in _STATES:
            part.__dict__.pop(name, None)
        for parameter in part._parameters.values():
            if parameter is not None and hasattr(parameter, "quant_state"):
                parameter.quant_state = None  # type: ignore[attr-defined]
        part._parameters.clear()
        part._buffers.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
