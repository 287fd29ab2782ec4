"""Looks at a checkpoint folder before anything of it is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...utils.errors import IncompleteError, LoadError
from .architecture import MODEL_TYPES, Architecture, read_architecture
from .companions import check_companions, dangling_links, half_downloads, refuse_half_download
from .config import check_files, files_version, read_configs
from .fp8_blocks import check_scales
from .quantization import Quantization, check_packed, read_quantization
from .safetensors_header import MAX_TENSORS, StoredTensor, check_index, read_header, weight_files
from .single_file import inspect_file
from .tensor_names import by_canonical_name, check_number_kind, check_tensors

_AGAIN = "Download the checkpoint again."
CLASS_NAMES = {
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder, or a single file, that may be built.

    `config` is its config.json, for transformers' own class alone; `tensors` is what its files
    hold, by Hugging Face's names; `quantization` how they are packed, None for plain weights;
    `version` the folder's stamp from before anything of it was read.
    """

    folder: Path
    model_type: str
    weight_bytes: int
    architecture: Architecture
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    quantization: Quantization | None = None
    version: str = ""

    @property
    def is_fp8(self) -> bool:
        """Its weights are FP8 with scales, which this pack can read itself."""
        return self.quantization is not None and self.quantization.is_fp8

    @property
    def is_file(self) -> bool:
        """It is one file without a config and a tokenizer; `folder` is that file."""
        return self.folder.suffix == ".safetensors"

    @property
    def parameters(self) -> int:
        """Numbers in the model, however they are stored."""
        return sum(map(math.prod, self.architecture.tensors().values()))


def inspect(folder: Path) -> Checkpoint:
    """Check a checkpoint folder without loading weights.

    Raises:
        LoadError: naming the file and what to do about it.
    """
    version = files_version(folder)
    try:
        return replace(_inspect(folder), version=version)
    except LoadError as error:
        unfinished, dangling = half_downloads(folder), dangling_links(folder)
        if dangling and isinstance(error, IncompleteError):
            problem = f"{error.problem} {dangling[0]} is a link to a file that is not there."
            raise IncompleteError(problem, "Download the checkpoint again.") from None
        if not unfinished:
            raise
        problem = f"{error.problem} A download did not finish here: {', '.join(unfinished[:3])}."
        remedy = "Resume the download: choose a source in the loader, or repeat your command."
        raise IncompleteError(problem, remedy) from None


def _inspect(folder: Path) -> Checkpoint:
    if folder.is_file():
        config, tensors, quantization = inspect_file(folder)
        whole = read_architecture(config, str(folder))
        size = folder.stat().st_size
        return Checkpoint(folder, whole.model_type, size, whole, config, tensors, quantization)
    if not folder.is_dir():
        raise LoadError(f"There is no folder {folder}.", "Choose another model in the loader.")
    check_files(folder)
    configs = read_configs(folder)
    config = _model_config(folder, configs)
    architecture = read_architecture(config, str(folder / "config.json"))
    check_companions(folder, configs, architecture)
    quantization = read_quantization(config, str(folder / "config.json"))
    files = weight_files(folder)
    refuse_half_download(folder, files)
    tensors = _read_tensors(files)
    check_index(folder, tensors)
    named = by_canonical_name(folder, tensors)
    check_tensors(folder, architecture, named, packed=quantization is not None)
    if quantization is None:
        check_number_kind(named)
    else:
        check_packed(folder, named, quantization)
    if quantization is not None and quantization.is_fp8:
        check_scales(folder, named, quantization.block, required=True)
    size = sum(path.stat().st_size for path in files)
    return Checkpoint(
        folder, architecture.model_type, size, architecture, config, named, quantization
    )


def _model_config(folder: Path, configs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if "config.json" not in configs:
        if "adapter_config.json" in configs:
            raise LoadError(
                f"{folder} is a LoRA adapter, not a whole checkpoint.",
                "Choose its base model here, and the adapter in the Qwen3-VL LoRA node.",
            )
        if any(folder.glob("*.gguf")):
            raise LoadError(
                f"{folder} holds GGUF files, which this pack does not read.",
                "Download the checkpoint in safetensors form, or serve the GGUF file with "
                "llama.cpp and choose it in Qwen3-VL Server.",
            )
        raise IncompleteError(f"{folder} has no config.json.", "Download the checkpoint again.")
    config = configs["config.json"]
    if config.get("model_type") not in MODEL_TYPES:
        raise LoadError(
            f"{folder} holds a {config.get('model_type')!r} model, not Qwen3-VL.",
            "Choose a checkpoint whose config.json says qwen3_vl or qwen3_vl_moe.",
        )
    classes = config.get("architectures") or []
    right = CLASS_NAMES[config["model_type"]]
    if classes and (not isinstance(classes, list) or right not in classes):
        named = classes[0] if isinstance(classes, list) else classes
        raise LoadError(
            f"{folder} is made for {str(named)[:80]}, which does not write text.",
            f"Choose a checkpoint made for {right}.",
        )
    return config


def _read_tensors(files: list[Path]) -> dict[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    for path in files:
        for name, tensor in read_header(path).items():
            if name in tensors:
                raise IncompleteError(
                    f"{name} is in {tensors[name].path} and again in {path}.",
                    "Download the checkpoint again: its files are not of one version.",
                )
            tensors[name] = tensor
        if len(tensors) > MAX_TENSORS:
            raise IncompleteError(f"{path.parent} has more tensors than any model.", _AGAIN)
    return tensors
