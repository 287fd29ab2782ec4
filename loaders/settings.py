"""What a user chooses when loading a model; the key of the model cache."""

from __future__ import annotations

from dataclasses import dataclass

from ..utils.errors import InputError

DTYPES = ("auto", "bf16", "fp16", "fp32")
ATTENTION = ("auto", "sdpa", "flash_attention_2", "eager")
QUANTIZATION = ("none", "8-bit", "4-bit")
ENGINES = ("auto", "fast", "reference")
# A fixed list: asking torch for its devices while ComfyUI builds the menu would initialize CUDA.
DEVICES = ("auto", *(f"cuda:{n}" for n in range(8)), "mps", "cpu")


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """One loader node's choices. `model` is a name of the catalog's list."""

    model: str
    dtype: str = "auto"
    attention: str = "auto"
    quantization: str = "none"
    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        allowed = {
            "dtype": DTYPES,
            "attention": ATTENTION,
            "quantization": QUANTIZATION,
            "device": DEVICES,
            "engine": ENGINES,
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(choices)}."
                )
