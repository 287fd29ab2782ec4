"""Reads weights that are packed on their way in, or that others packed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch

from ...utils.errors import LoadError
from ..checkpoint.inspection import Checkpoint
from ..plan.decision import Plan
from ..plan.weight_ways import KEPT_4BIT, KEPT_INT8
from .by_comfyui import OUTPUT, TABLE, fill_int8, fill_packed, packed_names
from .by_tools import fill_four_bits
from .meta_module import empty_targets, fill
from .packed.packed_experts import experts_in, pack_experts
from .packed.packing import (
    PackingError,
    inner_linears,
    pack_linear,
    pack_vocabulary,
    replace_part,
)
from .reader import OnBytes, read_chunks

log = logging.getLogger(__name__)

# Names and what is there until they are read.
Parameters = Sequence[tuple[str, torch.nn.Parameter]]
# The table of tokens and the output layer.
VOCABULARY = (TABLE, OUTPUT)


def fill_packing(module: Any, checkpoint: Checkpoint, plan: Plan, on_bytes: OnBytes) -> None:
    """Read an empty module, packing the vocabulary and then one decoder layer after another, so
    that never more than one is there as a whole.

    Raises:
        LoadError: as `meta_module.fill`; or nothing could be packed.
    """
    inner = [name for name, _ in inner_linears(module)]
    total = sum(tensor.size_bytes for tensor in checkpoint.tensors.values())
    by_comfyui = packed_names(checkpoint)
    done, errors = 0, {}

    def here(_name: str) -> torch.device:
        return plan.device

    def look(_bytes: int) -> None:
        on_bytes(min(total, done), total)  # which ends the load where it shall end

    def read(names: list[str], more: Parameters = ()) -> int:
        others = [name for name in names if name in by_comfyui]
        fill_packed(module, others, checkpoint, plan.dtype, here, look)
        own = [n for n in names if n not in by_comfyui]
        wanted = [(f"{name}.weight", module.get_submodule(name).weight) for name in own]
        told = partial(_told, on_bytes, done, total)
        size = _read(module, [*wanted, *more], checkpoint, plan, told)
        return size + sum(_stored_bytes(checkpoint, name) for name in others)

    tied = checkpoint.architecture.text.tied
    vocabulary = [TABLE] if tied else [*VOCABULARY]
    done += read(vocabulary)
    output_error = pack_vocabulary(module, tied)
    experts = dict(experts_in(module))
    for prefix, layer in _by_layer(inner):
        own = {name: part for name, part in experts.items() if name.startswith(prefix)}
        size = read(
            layer, [(f"{n}.{k}", p) for n, x in own.items() for k, p in x.named_parameters()]
        )
        width = checkpoint.architecture.text.hidden
        errors |= _pack_layer(module, layer, own, plan.quantization, width)
        done += size
    others = sorted(by_comfyui - {*inner, *vocabulary})
    fill_packed(module, others, checkpoint, plan.dtype, here, look)
    fill(module, checkpoint, plan.dtype, here, partial(_told, on_bytes, done, total))
    if not errors:
        raise LoadError(
            f"No layer of {checkpoint.folder.name} can be packed as {plan.quantization}: their "
            "rows are no whole groups of 128.",
            "Choose quantization none or int8.",
        )
    left = len(inner) + 2 * len(experts) - len(errors)
    more = f"; {left} layers stay plain, as their rows are no whole groups" if left else ""
    log.info(
        "Packed as %s: %s%s. The output layer, with 8 bits, is %.1f %% off.",
        plan.quantization, PackingError.of(errors), more, 100 * output_error,
    )  # fmt: skip


def _pack_layer(
    module: Any, linears: list[str], experts: dict[str, Any], kind: str, width: int
) -> dict[str, float]:
    """Pack what was read of one decoder layer, whose inputs have `width` numbers; how far each
    matrix is from it, by name, without those that stay plain.
    """
    errors: dict[str, float] = {}
    for name in linears:
        packed = pack_linear(module.get_submodule(name), kind)
        if packed is not None:
            replace_part(module, name, packed[0])
            errors[name] = packed[1]
    for name, part in experts.items():
        both = pack_experts(part, kind, width)
        if both is not None:
            replace_part(module, name, both[0])
            errors |= zip((f"{name}.gate_up_proj", f"{name}.down_proj"), both[1], strict=True)
    return errors


class _Counted:
    """Bytes that were read one layer after another, told as parts of the whole."""

    def __init__(self, checkpoint: Checkpoint, on_bytes: OnBytes):
        self._on_bytes, self._done = on_bytes, 0
        self._total = sum(tensor.size_bytes for tensor in checkpoint.tensors.values())

    def add(self, size_bytes: int) -> None:
        """So many more; whatever `on_bytes` raises ends the load."""
        self._done += size_bytes
        self._on_bytes(self._done, self._total)

    def rest(self) -> OnBytes:
        """For whoever reads the others."""
        return partial(_told, self._on_bytes, self._done, self._total)


def fill_from_comfyui(
    module: Any,
    checkpoint: Checkpoint,
    plan: Plan,
    device_of: Callable[[str], torch.device],
    on_bytes: OnBytes,
) -> None:
    """Read an empty module whose file is ComfyUI's own: int8 as it is stored where the plan says
    so, every other packed layer made plain.

    Raises:
        LoadError: as `meta_module.fill` and `by_comfyui.fill_packed`.
    """
    counted = _Counted(checkpoint, on_bytes)
    names = packed_names(checkpoint)
    if plan.weights == KEPT_INT8:
        names -= fill_int8(module, checkpoint, plan.dtype, device_of, counted.add)
    fill_packed(module, sorted(names), checkpoint, plan.dtype, device_of, counted.add)
    fill(module, checkpoint, plan.dtype, device_of, counted.rest())


def fill_four_bit(
    module: Any,
    checkpoint: Checkpoint,
    plan: Plan,
    device_of: Callable[[str], torch.device],
    on_bytes: OnBytes,
) -> None:
    """Read an empty module whose layers another tool packed as 4 bits.

    Raises:
        LoadError: as `meta_module.fill` and `by_tools.fill_four_bits`.
    """
    counted = _Counted(checkpoint, on_bytes)
    keep = plan.weights == KEPT_4BIT
    fill_four_bits(module, checkpoint, plan.dtype, device_of, keep, counted.add)
    fill(module, checkpoint, plan.dtype, device_of, counted.rest())


def _read(
    module: Any, wanted: Parameters, checkpoint: Checkpoint, plan: Plan, on_bytes: OnBytes
) -> int:
    """Read these parameters; how many bytes that were."""
    chunks = empty_targets(module, wanted, checkpoint, plan.dtype, lambda _name: plan.device)
    read_chunks(sorted(chunks, key=lambda c: (str(c.source.path), c.start)), on_bytes)
    return sum(chunk.size_bytes for chunk in chunks)


def _told(on_bytes: OnBytes, before: int, total: int, part: int, _: int) -> None:
    on_bytes(min(total, before + part), total)


def _by_layer(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The names of each layer, and how they all begin."""

    def prefix(name: str) -> str:
        before, layers, after = name.partition(".layers.")
        return f"{before}{layers}{after.split('.')[0]}."

    for beginning, layer in groupby(names, key=prefix):
        yield beginning, list(layer)


def _stored_bytes(checkpoint: Checkpoint, name: str) -> int:
    stored = checkpoint.tensors.get(f"{name}.weight")
    return stored.size_bytes if stored is not None else 0
