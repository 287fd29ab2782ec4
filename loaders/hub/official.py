"""The official checkpoints by name, and the demo checkpoint that comes with the pack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEMO_NAME = "Qwen3-VL-Demo"
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "demo_model" / "qwen3-vl-demo"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An official checkpoint; `weights_gb` is about the download's size."""

    name: str
    weights_gb: float

    @property
    def repository(self) -> str:
        """Its name on Hugging Face and ModelScope."""
        return f"Qwen/{self.name}"


# Size, and what its weights take in bf16 and in FP8, in GB.
SIZES = (
    ("2B", 4.3, 2.9),
    ("4B", 8.9, 5.3),
    ("8B", 17.5, 10.6),
    ("32B", 66.7, 35.6),
    ("30B-A3B", 62.1, 32.3),
    ("235B-A22B", 471.0, 237.0),
)
MODELS: tuple[ModelSpec, ...] = tuple(
    ModelSpec(f"Qwen3-VL-{size}-{edition}{ending}", weights_gb)
    for ending, column in (("", 1), ("-FP8", 2))
    for size, weights_gb in ((row[0], float(row[column])) for row in SIZES)
    for edition in ("Instruct", "Thinking")
)


def spec_of(name: str) -> ModelSpec | None:
    """The official checkpoint of this name."""
    return next((spec for spec in MODELS if spec.name == name), None)
