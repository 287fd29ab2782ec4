"""How a checkpoint's weights are packed, as its config.json or its single file says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...utils.errors import LoadError
from ...utils.files.ordinary import open_ordinary
from .four_bits import BITSANDBYTES, FourBits, read_four_bits
from .fp8_blocks import WHOLE, block_size
from .safetensors_header import StoredTensor, read_metadata
from .tensor_names import PLAIN_DTYPES, canonical

FP8_METHOD = "fp8"
# What ComfyUI's own text encoders are packed with; only its own code knows the forms.
COMFYUI = "comfyui"
# A layer of ComfyUI's own files has such a tensor beside it, or stands in the header of older ones.
MARK = ".comfy_quant"
METADATA = "_quantization_metadata"
MAX_MARK_BYTES = 4096

# The one whose layers are codes times scales as the fast engine has them, and how large groups are
# where inputs are rotated: powers of 4, as the matrix is made of pieces of 4 x 4.
INT8_FORMAT = "int8_tensorwise"
ROTATED_GROUPS = (4, 16, 64, 256, 1024)
_LANGUAGE = re.compile(r"(^model\.language_model\.(layers\.|embed_tokens\.)|^lm_head\.)")

COMPUTED_IN = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Quantization:
    """`method` is the config's quant_method, `block` the height and width of what shares one scale
    where the weights are FP8. `dtype` is the one that its layers compute in, by torch's name,
    where the config says so or the method has but one. `layers` is what a file of ComfyUI's says
    of each of its packed layers, by module: `format` and what belongs to it. `four_bits` is
    for 4-bit weights that the fast engine can keep as they are.
    """

    method: str
    block: tuple[int, int] = WHOLE
    dtype: str = ""
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    four_bits: FourBits | None = None

    @property
    def formats(self) -> list[str]:
        """The formats of its layers, each once."""
        return sorted({str(layer.get("format")) for layer in self.layers.values()})

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
    dtype = _compute_dtype(stored) if method == BITSANDBYTES else ""
    return Quantization(method, block, dtype, four_bits=read_four_bits(stored))


def _compute_dtype(stored: Mapping[str, Any]) -> str:
    """What bitsandbytes' layers of a config compute in."""
    if not stored.get("load_in_4bit") and not stored.get("_load_in_4bit"):
        return "float16"  # its 8-bit layers know no other
    said = stored.get("bnb_4bit_compute_dtype")
    name = said.removeprefix("torch.") if isinstance(said, str) else ""
    return name if name in COMPUTED_IN else "float32"


def check_packed(
    where: Path, tensors: Mapping[str, StoredTensor], quantization: Quantization
) -> None:
    """What calls itself bitsandbytes' holds its numbers, and not plain ones.

    Raises:
        LoadError: all weights are plain.
    """
    if quantization.method != BITSANDBYTES:
        return
    if all(tensor.dtype in PLAIN_DTYPES for tensor in tensors.values()):
        raise LoadError(
            f"The config.json of {where} calls its weights {BITSANDBYTES}, but they are plain.",
            "Remove quantization_config from it, or download the checkpoint again.",
        )


def packed_layers(path: Path, stored: Mapping[str, StoredTensor]) -> dict[str, Mapping[str, Any]]:
    """Each packed module by Hugging Face's name: its `format`, and what belongs to that.

    Raises:
        LoadError: a layer's words have no meaning.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name, said in [*_from_metadata(path), *_from_marks(path, stored)]:
        if not isinstance(said, dict) or not isinstance(said.get("format"), str):
            raise LoadError(
                f"{path.name} does not say in which way {name[:120]} is quantized.",
                "Download the file again.",
            )
        found[canonical(name)] = said
    return found


def _from_marks(path: Path, stored: Mapping[str, StoredTensor]) -> Iterator[tuple[str, Any]]:
    marks = [name for name in stored if name.endswith(MARK)]
    with open_ordinary(path) as file:
        for name in marks:
            tensor = stored[name]
            file.seek(tensor.start)
            data = file.read(min(tensor.size_bytes, MAX_MARK_BYTES))
            yield name.removesuffix(MARK), _json(data)


def _from_metadata(path: Path) -> Iterator[tuple[str, Any]]:
    said = _json(read_metadata(path).get(METADATA, "{}"))
    layers = said.get("layers") if isinstance(said, dict) else None
    yield from layers.items() if isinstance(layers, dict) else ()


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def int8_layers(packed: Quantization | None, tensors: Mapping[str, StoredTensor]) -> dict[str, int]:
    """The language model's matrices that a file of ComfyUI's holds as int8 with one scale, or one
    for each row, and nothing else: by module, how many inputs were rotated together, or 0.
    """
    found = {}
    for name, said in packed.layers.items() if packed else ():
        part = _LANGUAGE.search(f"{name}.")
        group = _rotated_group(said) if said["format"] == INT8_FORMAT else None
        weight = tensors.get(f"{name}.weight")
        scale = tensors.get(f"{name}.weight_scale")
        if part is None or group is None or weight is None or scale is None:
            continue
        leaves = {key for key in tensors if key.startswith(f"{name}.")}
        whole = len(weight.shape) == 2 and weight.dtype == "I8"
        by_rows = whole and tuple(scale.shape) == (weight.shape[0], 1)
        fits = whole and (math.prod(scale.shape) == 1 or by_rows) and scale.dtype in PLAIN_DTYPES
        if fits and len(leaves) == 2 and not (group and weight.shape[1] % group):
            found[name] = group
    return found


def _rotated_group(said: Mapping[str, Any]) -> int | None:
    """How many inputs ComfyUI rotates together; None where that is no number it could be."""
    more = said.get("params")
    more = more if isinstance(more, dict) else {}
    if not said.get("convrot", more.get("convrot", False)):
        return 0
    size = said.get("convrot_groupsize", more.get("convrot_groupsize", 256))
    return size if size in ROTATED_GROUPS and not isinstance(size, float) else None
