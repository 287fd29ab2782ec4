"""Tiny checkpoints of every kind that the loader meets: MoE, untied, sharded, FP8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_checkpoint import build_config, build_processor, write_checkpoint

TINY_MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}


WHOLE = (1 << 20, 1 << 20)
LORA_LAYERS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
LORA_PREFIX = "base_model.model.model.language_model.layers"


def write_kind(folder: Path, kind: str) -> Path:
    """A checkpoint of one kind: dense, untied, sharded, moe, fp8 or moe-fp8."""
    if kind in ("moe", "moe-fp8"):
        write_moe(folder)
    elif kind == "fp8":
        # Not whole blocks of 128: the last scale of a row covers fewer weights.
        rope = {"rope_type": "default", "mrope_section": [8, 4, 4]}
        write_checkpoint(
            folder, rope_scaling=rope, hidden_size=192, intermediate_size=320, head_dim=32
        )
    else:
        write_checkpoint(folder, tie_word_embeddings=kind != "untied")
    if kind == "sharded":
        shard(folder)
    if kind.endswith("fp8"):
        quantize_fp8(folder)
    return folder


def write_moe(folder: Path, **sizes: Any) -> Path:
    """A MoE checkpoint in the official layout, experts as [experts, in, out]; `sizes` as in
    config.json's `text_config`.
    """
    from safetensors.torch import save_file
    from transformers import Qwen3VLMoeConfig

    processor = build_processor()
    dense = build_config(processor.tokenizer, tie_word_embeddings=False, **sizes).to_dict()
    text = {**dense["text_config"], **TINY_MOE, **sizes}
    config = Qwen3VLMoeConfig(**{
        **{k: v for k, v in dense.items() if k.endswith("token_id")},
        "text_config": {k: v for k, v in text.items() if k != "model_type"},
        "vision_config": {k: v for k, v in dense["vision_config"].items() if k != "model_type"},
        "tie_word_embeddings": False,
    })  # fmt: skip
    config.architectures = ["Qwen3VLMoeForConditionalGeneration"]
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    from qwen3vl_nodes.loaders.checkpoint.architecture import read_architecture

    stored = json.loads((folder / "config.json").read_text())
    shapes = read_architecture(stored, "config.json").tensors()
    weights = {
        name: 0.15 * torch.randn(shape, generator=generator) if shape[1:] else torch.ones(shape)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def shard(folder: Path, files: int = 3) -> Path:
    """Spread model.safetensors over several files with an index."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    weight_map = {}
    for number in range(files):
        file = f"model-{number + 1:05}-of-{files:05}.safetensors"
        mine = names[number::files]
        save_file({n: weights[n] for n in mine}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(mine, file)
    (folder / "model.safetensors").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def quantize_fp8(folder: Path, block: tuple[int, int] | None = (128, 128)) -> Path:
    """Turn the language model's matrices into FP8 with block scales, as the official ones are;
    with one scale for a matrix where `block` (height, width) is None.
    """
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    stored = {}
    for name, weight in weights.items():
        inner = ".layers." in name and weight.ndim > 1 and not name.endswith("mlp.gate.weight")
        if not inner:
            stored[name] = weight.bfloat16()
            continue
        stored[name], stored[f"{name}_scale_inv"] = to_blocks(weight, block or WHOLE)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_block_size": block and list(block),
        "modules_to_not_convert": ["lm_head", "model.visual"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def to_blocks(weight: torch.Tensor, block: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(FP8 weight, scales) of the last two dimensions, a loop a reader can check by eye."""
    height, width = block
    rows, columns = -(-weight.shape[-2] // height), -(-weight.shape[-1] // width)
    scales = torch.empty(*weight.shape[:-2], rows, columns)
    quantized = torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
    for row in range(rows):
        for column in range(columns):
            down = slice(row * height, (row + 1) * height)
            across = slice(column * width, (column + 1) * width)
            part = weight[..., down, across]
            scale = part.abs().amax((-2, -1)).clamp(min=1e-6) / 448
            scales[..., row, column] = scale
            quantized[..., down, across] = (part / scale[..., None, None]).to(torch.float8_e4m3fn)
    return quantized, scales


def lay_experts(folder: Path, layout: str) -> Path:
    """Store the experts, plain or FP8, in another layout than the official [experts, in, out]:
    `out first`, or `one by one`.
    """

    def change(weights: dict[str, torch.Tensor]) -> None:
        for name in [n for n in weights if ".mlp.experts." in n]:
            stack = weights.pop(name).mT
            if layout == "out first":
                weights[name] = stack.contiguous()
                continue
            experts, part = name.rsplit(".", 1)
            part = part.removesuffix("_scale_inv")
            leaf = "weight_scale_inv" if name.endswith("_scale_inv") else "weight"
            for number, matrix in enumerate(stack):
                halves = [matrix]
                if part == "gate_up_proj":
                    # A scale for all of it is that of either half.
                    halves = matrix.chunk(2) if len(matrix) > 1 else [matrix, matrix]
                owns = ("gate_proj", "up_proj") if part == "gate_up_proj" else ("down_proj",)
                for own, half in zip(owns, halves, strict=True):
                    weights[f"{experts}.{number}.{own}.{leaf}"] = half.contiguous().clone()

    edit_weights(folder / "model.safetensors", change)
    return folder


def edit_json(path: Path, **changes) -> None:
    """Set top-level keys of a JSON file; None removes one."""
    value = json.loads(path.read_text())
    for key, new in changes.items():
        value.pop(key, None) if new is None else value.update({key: new})
    path.write_text(json.dumps(value))


def edit_weights(path: Path, change) -> None:
    """Rewrite a safetensors file after `change(weights)`."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def write_adapter(folder, module, rank=4, alpha=8, seed=0):
    """An adapter as peft saves it, for three linear layers of each decoder layer."""
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for number, layer in enumerate(module.model.language_model.layers):
        for name in LORA_LAYERS:
            linear = layer.get_submodule(name)  # quantized ones hide the shape of their weight
            rows, columns = linear.out_features, linear.in_features
            key = f"{LORA_PREFIX}.{number}.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * 0.1
            tensors[f"{key}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.1
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none",
        "fan_in_fan_out": False,
        "task_type": "CAUSAL_LM", "base_model_name_or_path": "Qwen/Qwen3-VL-2B-Instruct",
        "target_modules": [name.rpartition(".")[2] for name in LORA_LAYERS], "inference_mode": True,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def logits(module):
    """Of a few plain tokens."""
    with torch.inference_mode():
        return module(input_ids=torch.arange(5, 40)[None]).logits
