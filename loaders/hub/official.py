"""The official checkpoints by name, and the demo checkpoint that comes with the pack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEMO_NAME = "Qwen3-VL-Demo"
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "demo_model" / "qwen3-vl-demo"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An official checkpoint; `weights_gb` is about the download's size, and the others how many of
    its weights, in thousand millions, a quantization can make small: those of the layers, of the
    vocabulary (table of tokens and output layer) and of the experts; 0 where they are small.
    """

    name: str
    weights_gb: float
    layers: float = 0.0
    vocabulary: float = 0.0
    experts: float = 0.0

    @property
    def repository(self) -> str:
        """Its name on Hugging Face and ModelScope."""
        return f"Qwen/{self.name}"


# Size, what its weights take in bf16 and in FP8, in GB, and the numbers of a `ModelSpec`.
SIZES = (
    ("2B", 4.3, 2.9, 1.409, 0.311, 0.0),
    ("4B", 8.9, 5.3, 3.633, 0.389, 0.0),
    ("8B", 17.5, 10.6, 6.946, 1.245, 0.0),
    ("32B", 66.7, 35.6, 31.205, 1.556, 0.0),
    ("30B-A3B", 62.1, 32.3, 0.906, 0.622, 28.991),
    ("235B-A22B", 471.0, 237.0, 6.703, 1.245, 227.097),
)
MODELS: tuple[ModelSpec, ...] = tuple(
    ModelSpec(f"Qwen3-VL-{size}-{edition}{ending}", *((eight,) if fp8 else (bf16, *numbers)))
    for ending, fp8 in (("", False), ("-FP8", True))
    for size, bf16, eight, *numbers in SIZES
    for edition in ("Instruct", "Thinking")
)


def spec_of(name: str) -> ModelSpec | None:
    """The official checkpoint of this name."""
    return next((spec for spec in MODELS if spec.name == name), None)
