"""Chooses the implementation of the small steps for a device."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache

import torch

from ..model.torch_ops import TorchOps
from .graphs import StepGraphs

log = logging.getLogger(__name__)


# Triton 3.3 dropped older ones: small kernels still compile there, products of matrices do not.
TRITON_CAPABILITY = (8, 0)


@lru_cache(maxsize=8)
def pick_ops(device: torch.device) -> TorchOps:
    """Triton kernels where they compile and run, plain PyTorch anywhere else."""
    if device.type != "cuda" or torch.version.hip or os.environ.get("TRITON_INTERPRET") == "1":
        return TorchOps()
    if torch.cuda.get_device_capability(device) < TRITON_CAPABILITY:
        return TorchOps()
    try:
        from ..kernels.triton_ops import TritonOps
    except ImportError:
        log.info("Triton is not installed; the fast engine runs without fused kernels.")
        return TorchOps()
    except Exception as error:  # one that was made for another torch, or a stand-in for it
        log.warning("Triton cannot be imported, so kernels are not fused: %s", error)
        return TorchOps()
    ops = TritonOps()

    row = torch.ones(1, 16, dtype=torch.float32, device=device)
    try:
        with torch.cuda.device(device):
            ops.add_norm(None, row, row[0], 1e-6)
            fused = _captures(lambda: ops.add_norm(None, row + 1, row[0], 1e-6))
            # Plain steps in a graph are quicker than fused ones launched one by one.
            if not fused and _captures(lambda: row + 1):
                log.warning("Triton kernels cannot be captured here, so steps are not fused.")
                return TorchOps()
    except Exception as error:  # whatever a compiler or driver raises: the plain way works too
        log.warning("Triton does not run here, so kernels are not fused: %s", error)
        return TorchOps()
    return ops


def _captures(step: Callable[[], object]) -> bool:
    graphs = StepGraphs()
    graphs.replay("probe", step, step)
    return len(graphs) == 1
