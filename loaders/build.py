"""Builds the Hugging Face module and its processor from a checkpoint folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..utils.errors import LoadError
from .capability import Plan
from .checkpoint import Checkpoint

# Quantizing these costs quality where it hurts most and saves little.
KEEP_PRECISE = ["visual", "lm_head"]


@dataclass(frozen=True, slots=True)
class Built:
    """A module on its device, in eval mode, and the checkpoint's processor."""

    module: Any
    processor: Any
    size_bytes: int


def build(checkpoint: Checkpoint, plan: Plan) -> Built:
    """Load the weights.

    Raises:
        LoadError: the installed packages cannot build this class, or weights are missing.
        torch.OutOfMemoryError: unchanged, for the caller to make room.
    """
    model_class, processor_class = _classes(checkpoint.model_type)
    processor = processor_class.from_pretrained(checkpoint.folder, **_SAFE)
    module, report = model_class.from_pretrained(
        checkpoint.folder,
        dtype=plan.dtype,
        attn_implementation=plan.attention,
        device_map={"": plan.device},
        use_safetensors=True,
        output_loading_info=True,
        **_SAFE,
        **_quantization(plan),
    )
    if report["missing_keys"]:
        names = sorted(report["missing_keys"])
        raise LoadError(
            f"{checkpoint.folder} lacks {len(names)} weights ({', '.join(names[:3])} …).",
            "Download the checkpoint again; with these missing it would answer noise.",
        )
    module.eval().requires_grad_(False)
    return Built(module, processor, _size_bytes(module))


_SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def _classes(model_type: str) -> tuple[Any, Any]:
    try:
        import transformers
        from transformers import AutoProcessor

        classes = {
            "qwen3_vl": transformers.Qwen3VLForConditionalGeneration,
            "qwen3_vl_moe": transformers.Qwen3VLMoeForConditionalGeneration,
        }
        return classes[model_type], AutoProcessor
    except (ImportError, AttributeError, RuntimeError) as error:
        raise LoadError(
            f"The installed transformers cannot provide Qwen3-VL ({error}).",
            "Install transformers 4.57 or newer, with a torchvision and torchaudio that match "
            "your torch.",
        ) from error


def _quantization(plan: Plan) -> dict[str, Any]:
    if plan.quantization == "none":
        return {}
    from transformers import BitsAndBytesConfig

    if plan.quantization == "8-bit":
        config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEEP_PRECISE)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=plan.dtype,
            llm_int8_skip_modules=KEEP_PRECISE,
        )
    return {"quantization_config": config}


def _size_bytes(module: torch.nn.Module) -> int:
    """Bytes of all weights and buffers; tied ones count once."""
    tensors = {t.data_ptr(): t.nbytes for t in [*module.parameters(), *module.buffers()]}
    return sum(tensors.values())
