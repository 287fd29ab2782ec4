"""Tells when 16-bit numbers are not what a file's header calls them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...utils.errors import IncompleteError
from ...utils.files.ordinary import open_ordinary
from .safetensors_header import StoredTensor

SAMPLE_BYTES = 8192
# Where the middle weight of a matrix lies; the same bits read as the other kind fall far outside.
USUAL = (1e-5, 0.45)


def check_number_kind(tensors: Mapping[str, StoredTensor]) -> None:
    """The first layers' matrices are of the usual size as what they are called.

    Raises:
        IncompleteError: they are as the other kind alone: a tool has renamed them.
    """
    for name, tensor in tensors.items():
        if ".layers.0." in name and len(tensor.shape) == 2 and tensor.dtype in ("F16", "BF16"):
            other = "BF16" if tensor.dtype == "F16" else "F16"
            if not _is_usual(tensor, tensor.dtype) and _is_usual(tensor, other):
                raise IncompleteError(
                    f"{tensor.path}: {name} is called {tensor.dtype}, but its numbers are {other}.",
                    "Download the checkpoint again, or convert it with another tool.",
                )


def _is_usual(tensor: StoredTensor, kind: str) -> bool:
    with open_ordinary(tensor.path) as file:
        file.seek(tensor.start)
        bits = np.frombuffer(file.read(min(SAMPLE_BYTES, tensor.size_bytes)), dtype="<u2")
    numbers = bits.view("<f2") if kind == "F16" else (bits.astype("<u4") << 16).view("<f4")
    middle = float(np.median(np.abs(np.nan_to_num(numbers.astype(np.float64)))))
    # Nothing but zeros says nothing.
    return middle == 0 or USUAL[0] <= middle <= USUAL[1]
