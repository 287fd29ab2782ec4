"""A training state as the checkpoint's weights: python -m checkpoint.export_weights [state.pt]."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from checkpoint.checkpoint_files import CHECKPOINT, DEMO_MODEL

WEIGHTS = "model.safetensors"


def export(state_file: Path, folder: Path = CHECKPOINT) -> Path:
    """The network of a training state, in bf16, under the stock names."""
    network = torch.load(state_file, map_location="cpu")["network"]
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in network.items()}
    target = folder / WEIGHTS
    save_file(weights, target, metadata={"format": "pt"})
    return target


def exported(folder: Path = CHECKPOINT) -> dict[str, torch.Tensor]:
    """The checkpoint's weights in float32, to train on from there."""
    return {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}


if __name__ == "__main__":
    print(
        export(
            Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO_MODEL / "runs" / "last" / "state.pt"
        )
    )
