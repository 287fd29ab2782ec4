"""Builds a module without weights, and puts the checkpoint's weights into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ...utils.errors import LoadError
from ..checkpoint.config import read_json
from ..checkpoint.fp8_blocks import WHOLE
from ..checkpoint.inspection import CLASS_NAMES, Checkpoint
from ..checkpoint.rope import with_context
from .chunks import Chunk, chunks_of, raw_chunks
from .packed.packed_linear import PackedLinear
from .reader import OnBytes, read_chunks

TOKEN_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")


def model_class(model_type: str) -> Any:
    """transformers' class for a model type.

    Raises:
        LoadError: the installed transformers is too old or broken.
    """
    try:
        import transformers

        return getattr(transformers, CLASS_NAMES[model_type])
    except (ImportError, AttributeError, RuntimeError) as error:
        raise LoadError(
            f"The installed transformers cannot provide Qwen3-VL ({error}).",
            "Install transformers 4.57 or newer, with a torchvision and torchaudio that match "
            "your torch.",
        ) from error


@contextmanager
def _naming_the_config(checkpoint: Checkpoint) -> Iterator[None]:
    """Whatever transformers' own checks raise is about config.json, and says so."""
    try:
        yield
    except (LoadError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # its validation has error classes of its own
        import transformers

        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise LoadError(
            f"transformers {transformers.__version__} cannot build a model from "
            f"{checkpoint.folder / 'config.json'} ({text}).",
            "Download config.json again, or update transformers.",
        ) from error


def model_config(checkpoint: Checkpoint, context: str, attention: str) -> Any:
    """transformers' config object for a checkpoint, its attention and context chosen."""
    import transformers

    major = int(transformers.__version__.split(".")[0])
    values = with_context(checkpoint.config, context, major)
    values.pop("quantization_config", None)
    with _naming_the_config(checkpoint):
        config = model_class(checkpoint.model_type).config_class(**values)
    config._attn_implementation = attention
    return config


def empty_module(checkpoint: Checkpoint, config: Any, dtype: torch.dtype) -> Any:
    """The module with its parameters on the meta device and its tables computed."""
    from accelerate import init_empty_weights
    from transformers import GenerationConfig

    config.dtype = dtype
    with _naming_the_config(checkpoint), init_empty_weights(include_buffers=False):
        module = model_class(checkpoint.model_type)(config)
    _tie(module, checkpoint)
    path = checkpoint.folder / "generation_config.json"
    if path.is_file():
        # The tokens alone: how an answer is drawn is not the file's to say.
        said = read_json(path)
        tokens = {key: said[key] for key in TOKEN_KEYS if said.get(key) is not None}
        module.generation_config = GenerationConfig(**tokens)
    return module


def fill(
    module: nn.Module,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device_of: Callable[[str], torch.device],
    on_bytes: OnBytes = lambda _done, _total: None,
) -> None:
    """Read every parameter that a module lacks onto its device.

    Raises:
        LoadError: a parameter for which the checkpoint has nothing.
    """
    _tie(module, checkpoint)
    empty = [(name, part) for name, part in module.named_parameters() if part.is_meta]
    chunks = empty_targets(module, empty, checkpoint, dtype, device_of)
    for name, buffer in list(module.named_buffers()):
        owner, leaf = _owner(module, name)
        owner._buffers[leaf] = buffer.to(device_of(name))
    _tie(module, checkpoint)
    # In the order of the files, so that a spinning disk does not have to seek.
    read_chunks(sorted(chunks, key=lambda p: (str(p.source.path), p.start)), on_bytes)


def _tie(module: Any, checkpoint: Checkpoint) -> None:
    """Let the output layer be the table of tokens, where the model has one for both."""
    if checkpoint.architecture.text.tied:
        module.lm_head.weight = module.get_input_embeddings().weight


def empty_targets(
    module: nn.Module,
    parameters: Iterable[tuple[str, nn.Parameter]],
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device_of: Callable[[str], torch.device],
) -> list[Chunk]:
    """Give these parameters empty memory; what has to be read into it.

    Raises:
        LoadError: a parameter for which the checkpoint has nothing.
    """
    block = checkpoint.quantization.block if checkpoint.quantization else WHOLE
    chunks: list[Chunk] = []
    missing: list[str] = []
    for name, parameter in parameters:
        packed = isinstance(_owner(module, name)[0], PackedLinear)
        kind = parameter.dtype if packed else dtype
        target = torch.empty(parameter.shape, dtype=kind, device=device_of(name))
        own = list(
            raw_chunks(name, target, checkpoint)
            if packed
            else chunks_of(name, target, checkpoint.tensors, block)
        )
        if sum(chunk.target.numel() for chunk in own) != target.numel():
            missing.append(name)
        chunks += own
        _set(module, name, target)
    if missing:
        raise LoadError(
            f"{checkpoint.folder} lacks {len(missing)} weights ({', '.join(missing[:3])} …).",
            "Download the checkpoint again; with these missing it would answer noise.",
        )
    return chunks


def _set(module: nn.Module, name: str, target: torch.Tensor) -> None:
    owner, leaf = _owner(module, name)
    owner._parameters[leaf] = nn.Parameter(target, requires_grad=False)


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf
