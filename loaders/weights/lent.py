"""Puts weights that the host holds into a module of our own, as they lie or as a copy."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ...utils.errors import LoadError
from ...utils.files.fingerprint import digest_of
from ..checkpoint.inspection import Checkpoint
from .meta_module import empty_module, model_config

# So many numbers of each weight tell whether it is another one.
SAMPLED = 64


def module_of(
    checkpoint: Checkpoint, dtype: torch.dtype, context: str, weights: Mapping[str, nn.Parameter]
) -> Any:
    """A module over these parameters, by Hugging Face's names; nothing is copied.

    Raises:
        LoadError: one is missing, or of another shape than the others ask for.
    """
    with torch.inference_mode(False), torch.no_grad():
        module = empty_module(checkpoint, model_config(checkpoint, context, "sdpa"), dtype)
        device = next(iter(weights.values())).device
        for name, empty in list(module.named_parameters()):
            weight = weights.get(name)
            if weight is None or weight.shape != empty.shape:
                found = "missing" if weight is None else f"of shape {list(weight.shape)}"
                raise LoadError(
                    f"{checkpoint.folder.name}: {name} is {found}, which should be "
                    f"{list(empty.shape)}.",
                    "Load the CLIP again from a whole file.",
                )
            owner, leaf = _owner(module, name)
            owner._parameters[leaf] = weight
        for name, buffer in list(module.named_buffers()):
            owner, leaf = _owner(module, name)
            owner._buffers[leaf] = buffer.to(device)
        if checkpoint.architecture.text.tied:
            module.lm_head.weight = module.get_input_embeddings().weight
    return module.eval()


def copies(
    weights: Mapping[str, nn.Parameter],
    plain: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device,
    dtype: torch.dtype,
    on_weight: Callable[[int], None],
) -> dict[str, nn.Parameter]:
    """Plain copies of weights in one dtype on one device; `on_weight` is told how many are made."""
    made = {}
    with torch.inference_mode(False), torch.no_grad():
        for number, (name, weight) in enumerate(weights.items()):
            on_weight(number)
            tensor = plain(weight.detach().to(device)).to(dtype)
            made[name] = nn.Parameter(tensor.clone(), requires_grad=False)
    return made


def sample_of(weights: Mapping[str, torch.Tensor]) -> str:
    """A digest of some numbers of each weight, by which a retrained model is told from its kin."""
    values: list[str | bytes] = []
    for name, weight in sorted(weights.items()):
        # Of a packed one what it is packed into: to unpack all of them would take seconds.
        flat = getattr(weight, "_qdata", weight).detach().flatten()
        some = flat[:: max(1, flat.numel() // SAMPLED)][:SAMPLED].float().cpu().tolist()
        values += [name, struct.pack(f"<{len(some)}f", *some)]
    return digest_of(*values).hex()


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf
