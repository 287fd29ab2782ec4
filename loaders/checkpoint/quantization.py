"""How a checkpoint's weights are packed, as its config.json says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...utils.errors import LoadError
from .fp8_blocks import WHOLE, block_size

FP8_METHOD = "fp8"


@dataclass(frozen=True, slots=True)
class Quantization:
    """`method` is the config's quant_method, `block` the height and width of what shares one scale
    where the weights are FP8.
    """

    method: str
    block: tuple[int, int] = WHOLE

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
    return Quantization(method, block)
