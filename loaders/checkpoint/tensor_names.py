"""Checks that a checkpoint's tensors are the ones its config asks for: name, shape, and kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ...utils.errors import IncompleteError, LoadError
from ...utils.files.ordinary import open_ordinary
from .architecture import TEXT, VISION, Architecture
from .safetensors_header import StoredTensor

PLAIN_DTYPES = ("BF16", "F16", "F32", "F64")
FP8_DTYPE = "F8_E4M3"
# Tables that the modules compute themselves; some savers store them.
_COMPUTED = re.compile(r"(rotary_emb|rotary_pos_emb)\.(original_)?inv_freq$")
_WRAPPERS = ("base_model.model.", "module.")
SAMPLE_BYTES = 8192
# Where the middle weight of a matrix lies; the same bits read as the other kind fall far outside.
USUAL = (1e-5, 0.45)
_EXPERT = re.compile(r"^(.+\.mlp\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj)\.(weight.*)$")


def canonical(name: str) -> str:
    """Hugging Face's name for a tensor that another tool may have saved under a shorter one.

    ComfyUI's text encoders say `model.layers.0…` and `visual.…`; Qwen2-VL's habit was
    `visual.…` and `model.…` too. peft and parallel training put words of their own before it.
    """
    while wrapper := next((w for w in _WRAPPERS if name.startswith(w)), ""):
        name = name.removeprefix(wrapper)
    if name.startswith(("model.language_model.", "model.visual.", "lm_head.")):
        return name
    if name.startswith("model.lm_head."):
        return name.removeprefix("model.")
    if name.startswith("visual."):
        return VISION + name.removeprefix("visual.")
    if name.startswith("language_model."):
        return TEXT + name.removeprefix("language_model.").removeprefix("model.")
    return TEXT + name.removeprefix("model.")


def by_canonical_name(where: Path, stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint by Hugging Face's names.

    Raises:
        LoadError: two of them are one under two names; which is meant nobody can tell.
    """
    named: dict[str, StoredTensor] = {}
    before: dict[str, str] = {}
    for name, tensor in stored.items():
        own = canonical(name)
        if own in named:
            raise LoadError(
                f"{where} holds {own[:120]} twice, as {before[own][:120]} and as {name[:120]}.",
                "Get the checkpoint again, or remove one of the two.",
            )
        named[own], before[own] = tensor, name
    return named


def check_tensors(
    folder: Path,
    architecture: Architecture,
    tensors: Mapping[str, StoredTensor],
    packed: bool,
) -> None:
    """Every tensor of the architecture is stored once, in its shape, and no other.

    Args:
        folder: the checkpoint, for messages.
        architecture: what its config asks for.
        tensors: what is stored, by canonical name.
        packed: whether they are quantized: packed weights are known by module only.

    Raises:
        LoadError: missing, unexpected or misshapen tensors, with their number and first names.
    """
    wanted = architecture.tensors()
    optional = {"lm_head.weight"} if architecture.text.tied else set()
    stored = {name for name in tensors if not _COMPUTED.search(name)} - optional
    if packed:
        loose = {name for name in stored if tensors[name].dtype not in (*PLAIN_DTYPES, FP8_DTYPE)}
        _refuse_missing(folder, {_module(n) for n in wanted} - {_module(n) for n in stored})
        _refuse_extra(folder, {_module(n) for n in stored} - {_module(n) for n in wanted})
    else:
        stored, loose = {_whole_expert(name) for name in stored}, set()
        _refuse_packed(folder, tensors)
        _refuse_missing(folder, wanted.keys() - stored)
        _refuse_extra(folder, stored - wanted.keys())
    for name, shape in wanted.items():
        if name in tensors and name not in loose:
            _check_shape(folder, name, tensors[name].shape, shape)


def _module(name: str) -> str:
    """The module that a tensor belongs to; all of a layer's experts are one."""
    head, found, _ = name.partition(".mlp.experts.")
    if found:
        return head + ".mlp.experts"
    # bitsandbytes keeps its tables beside a weight: weight.absmax, weight.quant_map, ...
    head, found, _ = name.partition(".weight.")
    return head if found else name.rpartition(".")[0]


def _whole_expert(name: str) -> str:
    """Experts stored one by one stand for the layer's whole tensor."""
    match = _EXPERT.match(name)
    if not match:
        return name
    return f"{match[1]}.{'down_proj' if match[3] == 'down_proj' else 'gate_up_proj'}"


def _check_shape(folder: Path, name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    # transformers 5 keeps experts as [experts, out, in], and some tools save them like that.
    turned = (wanted[0], *wanted[:0:-1]) if ".mlp.experts." in name else wanted
    if found not in (wanted, turned):
        raise LoadError(
            f"{folder}: {name} has the shape {list(found)}, but config.json asks for "
            f"{list(wanted)}.",
            "Download config.json and the weights again: they are not of one model.",
        )


def _refuse_packed(folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in PLAIN_DTYPES:
            raise LoadError(
                f"{folder}: {name} is stored as {tensor.dtype}, but config.json has no "
                "quantization_config that says how to read it.",
                "Download config.json again, or another checkpoint.",
            )


def scale_name(name: str) -> str:
    """The name of an FP8 tensor's block scales."""
    return f"{name}_scale_inv"


def _refuse_missing(folder: Path, missing: Iterable[str]) -> None:
    if names := sorted(missing):
        raise LoadError(
            f"{folder} lacks {len(names)} weights that its config.json asks for: {_few(names)}.",
            "Download the checkpoint again; with these missing it would answer noise.",
        )


def _refuse_extra(folder: Path, extra: Iterable[str]) -> None:
    if names := sorted(extra):
        raise LoadError(
            f"{folder} has {len(names)} weights that its config.json does not ask for: "
            f"{_few(names)}.",
            "Download config.json and the weights again: they are not of one model.",
        )


def _few(names: list[str]) -> str:
    return ", ".join(name[:120] for name in names[:3]) + (" …" if len(names) > 3 else "")


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
