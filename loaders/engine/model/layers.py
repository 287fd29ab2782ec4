"""What the fast engine takes from a Hugging Face module: its weights, named and joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...plan.capability import why_not_fast
from ...weights.packed.matrices import Matrix
from ...weights.packed.packed_linear import PackedLinear
from ...weights.packed.packed_linear import join as join_packed
from .experts import Experts, experts_of

_FLOATS = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer. `qkv` and `gate_up` are one matrix where joined, else its parts.

    Matrices are [outputs, inputs]. A layer of experts has no `gate_up` and no `down`.
    """

    input_norm: torch.Tensor
    qkv: tuple[Matrix, ...]
    q_norm: torch.Tensor
    k_norm: torch.Tensor
    out: Matrix
    post_norm: torch.Tensor
    gate_up: tuple[Matrix, ...]
    down: Matrix | None
    experts: Experts | None


def supports(module: Any) -> str | None:
    """Why the fast engine cannot drive this module, or None when it can."""
    text = getattr(getattr(module, "model", None), "language_model", None)
    if text is None or not hasattr(module.model, "visual") or not hasattr(module, "lm_head"):
        return "it is not a Qwen3-VL conditional-generation module"
    if hasattr(module, "_hf_hook") or getattr(module, "hf_device_map", None):
        return "its layers are spread or offloaded by accelerate"
    if len({p.device for p in module.parameters()}) != 1:
        return "its weights are on more than one device"
    packed = {id(p) for part in _packed(module) for p in part.parameters()}
    if any(p.dtype not in _FLOATS for p in module.parameters() if id(p) not in packed):
        return "its weights are quantized"
    linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
    if any(type(m) is not nn.Linear for m in linears) or not linears:
        return "its linear layers are not plain ones (quantized or adapted)"
    # peft keeps the plain layer inside of its own, where it would be read without the adapter.
    if any(hasattr(m, "base_layer") for m in module.modules()):
        return "an adapter is attached to its layers"
    linears = [m for layer in text.layers for m in _attention_linears(layer)]
    if any(getattr(m, "bias", None) is not None for m in linears):
        return "its attention has biases"
    rope = getattr(text.rotary_emb, "rope_type", "default")
    return why_not_fast(getattr(text.config, "hidden_act", "silu"), rope)


def _packed(module: Any) -> list[PackedLinear]:
    return [part for part in module.modules() if isinstance(part, PackedLinear)]


def has_experts(module: Any) -> bool:
    """Whether some layer is a mixture of experts."""
    return any(not hasattr(layer.mlp, "gate_proj") for layer in module.model.language_model.layers)


def collect(module: Any) -> list[Layer]:
    """The layers' weights as they are now. On CUDA the parts of qkv and of gate and up are
    joined first, each parameter becoming a view, so memory stays the same.
    """
    on_cuda = module.lm_head.weight.device.type == "cuda"
    return [_layer(layer, on_cuda) for layer in module.model.language_model.layers]


def fingerprint(module: Any) -> tuple[int, ...]:
    """Where every weight lies; differs after any move, so captured graphs know they are stale."""
    return tuple(parameter.data_ptr() for parameter in module.parameters())


def _layer(layer: Any, join: bool) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    dense = hasattr(mlp, "gate_proj")
    qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
    gate_up = [mlp.gate_proj, mlp.up_proj] if dense else []
    return Layer(
        input_norm=layer.input_layernorm.weight.detach(),
        qkv=_matrix(qkv, join),
        q_norm=attention.q_norm.weight.detach(),
        k_norm=attention.k_norm.weight.detach(),
        out=matrix_of(attention.o_proj),
        post_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=_matrix(gate_up, join),
        down=matrix_of(mlp.down_proj) if dense else None,
        experts=None if dense else experts_of(mlp),
    )


def _attention_linears(layer: Any) -> tuple[nn.Linear, ...]:
    attention = layer.self_attn
    return attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj


def matrix_of(part: nn.Module) -> Any:
    """A layer's weight as it is now, plain or packed."""
    return part.matrix if isinstance(part, PackedLinear) else part.weight.detach()  # type: ignore


def _matrix(parts: list[Any], join: bool) -> tuple[Matrix, ...]:
    """The parts' weights, as one matrix where that is wanted and they are of one kind."""
    packed = [part for part in parts if isinstance(part, PackedLinear)]
    if not join or len(parts) < 2 or len(packed) not in (0, len(parts)):
        return tuple(map(matrix_of, parts))
    if packed:
        whole = join_packed(packed)
        return tuple(map(matrix_of, parts)) if whole is None else (whole,)
    if not _adjacent(parts):
        _join(parts)
    first = parts[0].weight
    rows = sum(part.out_features for part in parts)
    return (
        first.detach().as_strided(
            (rows, first.shape[1]), (first.shape[1], 1), first.storage_offset()
        ),
    )


def _adjacent(parts: list[nn.Linear]) -> bool:
    """Whether the weights lie one behind the other in one storage."""
    offset, storage = parts[0].weight.storage_offset(), parts[0].weight.untyped_storage()
    for part in parts:
        weight = part.weight
        same = weight.untyped_storage().data_ptr() == storage.data_ptr()
        if not same or weight.storage_offset() != offset or not weight.is_contiguous():
            return False
        offset += weight.numel()
    return True


def _join(parts: list[nn.Linear]) -> None:
    """Lay the weights into one buffer; each module's parameter becomes a view of it."""
    # Outside of inference mode, or the module could never be moved or changed again.
    with torch.inference_mode(False), torch.no_grad():
        whole = torch.cat([part.weight.detach() for part in parts])
        for part, rows in zip(parts, whole.split([p.out_features for p in parts]), strict=True):
            part.weight = nn.Parameter(rows, requires_grad=False)
