"""A whole Qwen3-VL in one file, as ComfyUI's own text encoders are: its config from its shapes.

It has no tokenizer, chat template and picture settings: these come from `weights.processor`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ...utils.errors import LoadError
from .architecture import TEXT, VISION, read_architecture
from .fp8_blocks import WHOLE, check_scales
from .quantization import COMFYUI, FP8_METHOD, Quantization, packed_layers
from .safetensors_header import StoredTensor, read_header
from .tensor_names import FP8_DTYPE, PLAIN_DTYPES, by_canonical_name, check_tensors, scale_name

# Hidden size to layers: what was cut off below the last layer cannot be seen otherwise.
LAYERS = {2048: 28, 2560: 36, 4096: 36, 5120: 64}
FP8_FORMAT = "float8_e4m3fn"  # the one that this pack reads itself
DEEPSTACK = {24: [5, 11, 17], 27: [8, 16, 24]}
MARKS = re.compile(r"(\.comfy_quant|\.input_scale|\.scale_input|(^|\.)scaled_fp8)$")
SCALE = re.compile(r"\.(weight_scale|scale_weight)$")
TOKENS = {"image_token_id": 151655, "video_token_id": 151656,
          "vision_start_token_id": 151652, "vision_end_token_id": 151653}  # fmt: skip


class Shaped(Protocol):
    """Whatever has a shape: a tensor in a file, or one in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its dimensions."""
        ...


def inspect_file(
    path: Path,
) -> tuple[dict[str, Any], dict[str, StoredTensor], Quantization | None]:
    """(config, tensors by Hugging Face's names, how they are packed) of a single file.

    FP8 has one scale for a matrix here, or none: transformers' FP8 layers cannot hold it. Other
    forms only ComfyUI's own code can read.

    Raises:
        LoadError: it is damaged, no Qwen3-VL, or cut down to an encoder.
    """
    stored = read_header(path)
    layers = packed_layers(path, stored)
    if any(layer["format"] != FP8_FORMAT for layer in layers.values()):
        return _by_comfyui(path, stored, layers)
    plain_names = {
        SCALE.sub(".weight_scale_inv", name): tensor
        for name, tensor in stored.items()
        if not MARKS.search(name)
    }
    tensors = by_canonical_name(path, plain_names)
    config = config_of(path.name, tensors)
    architecture = read_architecture(config, str(path))
    fp8 = any(tensor.dtype == FP8_DTYPE for tensor in tensors.values())
    scales = {name for name in tensors if name.endswith("_scale_inv")}
    matched = {scale_name(name) for name, t in tensors.items() if t.dtype == FP8_DTYPE}
    plain = {name: tensor for name, tensor in tensors.items() if name not in scales & matched}
    check_tensors(path, architecture, plain, packed=fp8)
    check_scales(path, tensors, WHOLE, required=False)
    return config, tensors, Quantization(FP8_METHOD) if fp8 else None


def _by_comfyui(
    path: Path, stored: Mapping[str, StoredTensor], layers: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, StoredTensor], Quantization]:
    own = {name: tensor for name, tensor in stored.items() if not MARKS.search(name)}
    tensors = by_canonical_name(path, own)
    config = config_of(path.name, tensors)
    check_tensors(path, read_architecture(config, str(path)), tensors, packed=True)
    for name, tensor in tensors.items():
        module = name.removesuffix(".weight")
        if name.endswith(".weight") and tensor.dtype not in PLAIN_DTYPES and module not in layers:
            raise LoadError(
                f"{path.name} does not say in which way {module} is quantized.",
                "Download the file again.",
            )
    return config, tensors, Quantization(COMFYUI, layers=layers)


def config_of(name: str, tensors: Mapping[str, Shaped]) -> dict[str, Any]:
    """The config.json of a Qwen3-VL, told by the shapes of its tensors.

    Raises:
        LoadError: it is none, or was cut down; `name` is what it is called.
    """
    try:
        vocabulary = tensors[f"{TEXT}embed_tokens.weight"].shape[0]
        # Of a packed matrix only the rows can be counted.
        (hidden,) = tensors[f"{TEXT}layers.0.input_layernorm.weight"].shape
        attention = f"{TEXT}layers.0.self_attn."
        (head_dim,) = tensors[f"{attention}q_norm.weight"].shape
        heads = tensors[f"{attention}q_proj.weight"].shape[0] // head_dim
        kv_heads = tensors[f"{attention}k_proj.weight"].shape[0] // head_dim
        intermediate = tensors[f"{TEXT}layers.0.mlp.gate_proj.weight"].shape[0]
        positions, width = tensors[f"{VISION}pos_embed.weight"].shape
        inside = tensors[f"{VISION}blocks.0.mlp.linear_fc1.weight"].shape[0]
        out = tensors[f"{VISION}merger.linear_fc2.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise LoadError(
            f"{name} is no whole Qwen3-VL ({error} is missing or misshapen).",
            "Choose a file with its language model and its vision tower.",
        ) from None
    layers, depth = _count(tensors, f"{TEXT}layers."), _count(tensors, f"{VISION}blocks.")
    mergers = _count(tensors, f"{VISION}deepstack_merger_list.")
    tied = "lm_head.weight" not in tensors
    if LAYERS.get(hidden, layers) != layers or (tied and hidden > 2560):
        lacks = "its lm_head" if LAYERS.get(hidden, layers) == layers else "its last layers"
        raise LoadError(
            f"{name} lacks {lacks}: it was cut down to encode prompts and cannot write.",
            "Choose a whole checkpoint.",
        )
    rope = {"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    text = {
        "vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "intermediate_size": intermediate, "max_position_embeddings": 262_144,
        "rms_norm_eps": 1e-6, "rope_theta": 5_000_000, "rope_scaling": rope,
        "hidden_act": "silu", "attention_bias": False, "eos_token_id": 151645,
    }  # fmt: skip
    vision = {
        "depth": depth, "hidden_size": width, "intermediate_size": inside, "num_heads": 16,
        "out_hidden_size": out, "num_position_embeddings": positions, "in_channels": 3,
        "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "hidden_act": "gelu_pytorch_tanh",
        "deepstack_visual_indexes": DEEPSTACK.get(depth, list(range(mergers))),
    }  # fmt: skip
    return {
        "model_type": "qwen3_vl", "tie_word_embeddings": tied, **TOKENS,
        "text_config": text, "vision_config": vision,
    }  # fmt: skip


def _count(tensors: Mapping[str, Shaped], prefix: str) -> int:
    numbers = {name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)}
    return len(numbers)
