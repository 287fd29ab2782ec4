"""Merges LoRA adapters into a module's weights, or lets peft compute them beside these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ...utils.errors import LoadError
from ...utils.files.ordinary import open_ordinary
from ..checkpoint.lora_files import LoraFiles
from ..checkpoint.safetensors_header import StoredTensor
from ..settings import Adapter
from .chunks import STORED_DTYPES
from .packed.packed_linear import PackedLinear
from .packed.packing import replace_part


def merge(module: Any, lora: LoraFiles, strength: float) -> None:
    """Add the adapter's product to the weights, computed in fp32 and rounded once."""
    with torch.no_grad():
        for layer in lora.layers:
            weight = _plain_weight(module, layer.module)
            up, down = (_read(t).to(weight.device, torch.float32) for t in (layer.up, layer.down))
            weight.copy_(weight.float() + strength * lora.scale * (up @ down))
            if not torch.isfinite(weight).all():
                raise LoadError(
                    f"The LoRA {lora.folder} makes {layer.module} infinite or not a number.",
                    "Choose a smaller strength, dtype bf16 or fp32, or another adapter.",
                )


def _plain_weight(module: Any, name: str) -> torch.Tensor:
    """A layer's weight, made plain for good where it was packed: what is added to it does not
    fit between the steps of packed numbers.
    """
    part = module.get_submodule(name)
    if isinstance(part, PackedLinear):
        plain = part.matrix.dequantized(module.model.language_model.norm.weight.dtype)
        linear = nn.Linear(part.in_features, part.out_features, bias=False, device="meta")
        linear.weight = nn.Parameter(plain, requires_grad=False)
        replace_part(module, name, linear)
        part = linear
    return part.weight


def attach(module: Any, lora: LoraFiles, strength: float, name: str) -> None:
    """Let peft compute the adapter beside the weights, which stay as they are.

    Through peft alone: transformers' own way refuses each peft but its newest. Its config is made
    here, of what was read and checked: from a file's other fields peft imports modules by name,
    and drops parts of the adapter at random as in training.

    Raises:
        LoadError: this peft refuses the adapter.
    """
    try:
        import peft

        rank = lora.layers[0].down.shape[0]
        config = peft.LoraConfig(
            r=rank,
            lora_alpha=lora.scale * rank,  # type: ignore[arg-type] - it is divided by the rank
            lora_dropout=0.0,
            target_modules={layer.module for layer in lora.layers},
            inference_mode=True,
            init_lora_weights=False,
        )
        peft.inject_adapter_in_model(config, module, name)
        matrices = {
            f"{layer.module}.lora_{side}.weight": _read(tensor)
            for layer in lora.layers
            for side, tensor in (("A", layer.down), ("B", layer.up))
        }
        left = peft.set_peft_model_state_dict(module, matrices, name).unexpected_keys
    except (ImportError, ValueError, TypeError, RuntimeError) as error:
        raise _refused(lora, str(error)) from error
    if left:
        raise _refused(lora, f"it has no place for {left[0]}")
    for part in module.modules():
        scaling = getattr(part, "scaling", None)
        if isinstance(scaling, dict) and name in scaling:
            scaling[name] *= strength
    module.eval().requires_grad_(False)  # what was put in is as new, and in training


def _refused(lora: LoraFiles, why: str) -> LoadError:
    return LoadError(
        f"peft cannot attach the LoRA {lora.folder} ({why}).", "Update peft, or choose merged."
    )


def apply(module: Any, loras: Sequence[tuple[Adapter, LoraFiles]]) -> None:
    """Merge or attach each adapter in turn.

    Raises:
        LoadError: naming the adapter.
    """
    attached = []
    for number, (adapter, files) in enumerate(loras):
        if adapter.merged:
            merge(module, files, adapter.strength)
        else:
            attached.append(f"lora{number}")
            attach(module, files, adapter.strength, attached[-1])
    if attached:
        _activate(module, attached)


def _activate(module: Any, names: list[str]) -> None:
    """Let all of the adapters take part; peft starts with the first alone."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for part in module.modules():
        if isinstance(part, BaseTunerLayer):
            part.set_adapter(names)
    module.requires_grad_(False)


def _read(stored: StoredTensor) -> torch.Tensor:
    data = bytearray(stored.size_bytes)
    with open_ordinary(stored.path) as file:
        file.seek(stored.start)
        file.readinto(data)  # type: ignore[attr-defined]
    return torch.frombuffer(data, dtype=STORED_DTYPES[stored.dtype]).view(stored.shape)
