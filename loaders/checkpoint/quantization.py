"""How a checkpoint's weights are packed, as its config.json says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...utils.errors import LoadError
from .fp8_blocks import WHOLE, block_size
from .safetensors_header import StoredTensor
from .tensor_names import PLAIN_DTYPES

FP8_METHOD, BITSANDBYTES = "fp8", "bitsandbytes"
COMPUTED_IN = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Quantization:
    """`method` is the config's quant_method, `block` the height and width of what shares one scale
    where the weights are FP8. `dtype` is the one that its layers compute in, by torch's name,
    where the config says so or the method has but one.
    """

    method: str
    block: tuple[int, int] = WHOLE
    dtype: str = ""

    @property
    def is_fp8(self) -> bool:
        """FP8 with scales, which this pack reads itself."""
        return self.method == FP8_METHOD

    @property
    def has_blocks(self) -> bool:
        """A scale is for a block, as transformers' FP8 layers want it, and not for a matrix."""
        return self.block != WHOLE


def read_quantization(config: Mapping[str, Any], where: str) -> Quantization | None:
    """What a config.json says; None for plain weights.

    Raises:
        LoadError: it says something that has no meaning; `where` names the file.
    """
    stored = config.get("quantization_config")
    if stored is None:
        return None
    method = stored.get("quant_method") if isinstance(stored, dict) else None
    if not isinstance(method, str):
        raise LoadError(
            f"{where} has a quantization_config without quant_method.", "Download the file again."
        )
    block = block_size(stored, where) if method == FP8_METHOD else WHOLE
    return Quantization(method, block, _compute_dtype(stored) if method == BITSANDBYTES else "")


def _compute_dtype(stored: Mapping[str, Any]) -> str:
    """What bitsandbytes' layers of a config compute in."""
    if not stored.get("load_in_4bit") and not stored.get("_load_in_4bit"):
        return "float16"  # its 8-bit layers know no other
    said = stored.get("bnb_4bit_compute_dtype")
    name = said.removeprefix("torch.") if isinstance(said, str) else ""
    return name if name in COMPUTED_IN else "float32"


def check_packed(
    where: Path, tensors: Mapping[str, StoredTensor], quantization: Quantization
) -> None:
    """What calls itself bitsandbytes' holds its numbers, and not plain ones.

    Raises:
        LoadError: all weights are plain.
    """
    if quantization.method != BITSANDBYTES:
        return
    if all(tensor.dtype in PLAIN_DTYPES for tensor in tensors.values()):
        raise LoadError(
            f"The config.json of {where} calls its weights {BITSANDBYTES}, but they are plain.",
            "Remove quantization_config from it, or download the checkpoint again.",
        )
