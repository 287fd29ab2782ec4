"""Chooses the implementation of the small steps for a device."""

from __future__ import annotations

import logging
import os
from functools import lru_cache

import torch

from .graphs import StepGraphs
from .ops import TorchOps

log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def pick_ops(device: torch.device) -> TorchOps:
    """Triton kernels where they compile and run, plain PyTorch anywhere else."""
    if device.type != "cuda" or torch.version.hip or os.environ.get("TRITON_INTERPRET") == "1":
        return TorchOps()
    try:
        from .triton_ops import TritonOps
    except ImportError:
        log.info("Triton is not installed; the fast engine runs without fused kernels.")
        return TorchOps()
    ops = TritonOps()

    def probe() -> None:
        row = torch.ones(1, 16, dtype=torch.float32, device=device)
        ops.add_norm(None, row, row[0], 1e-6)

    try:
        with torch.cuda.device(device):
            StepGraphs().replay("probe", probe, probe)
    except Exception as error:  # whatever a compiler or driver raises: the plain way works too
        log.warning("Triton does not run here, so kernels are not fused: %s", error)
        return TorchOps()
    return ops
