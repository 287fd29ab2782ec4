"""Every file of the checkpoint except its weights, in Hugging Face layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from checkpoint.tokens import CONTROL, VOCABULARY

HERE = Path(__file__).resolve().parent
DEMO_MODEL = HERE.parent
CHECKPOINT = DEMO_MODEL / "qwen3-vl-demo"
# Native size from 100 visual tokens up to 640; larger pictures are made smaller, and smaller ones
# larger: small things are found more often and boxes fit better, as measured.
IMAGE_PIXELS = {"shortest_edge": 100 * 32 * 32, "longest_edge": 640 * 32 * 32}
# All frames of a clip together.
VIDEO_PIXELS = {"shortest_edge": 4 * 32 * 32, "longest_edge": 4096 * 32 * 32}

VISION = {
    "model_type": "qwen3_vl",
    "depth": 6,
    "hidden_size": 256,
    "num_heads": 4,
    "intermediate_size": 768,
    "out_hidden_size": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "in_channels": 3,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "num_position_embeddings": 576,
    "deepstack_visual_indexes": [1, 2, 4],
    "initializer_range": 0.02,
}
TEXT = {
    "model_type": "qwen3_vl_text",
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 704,
    "hidden_act": "silu",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000,
    "rope_scaling": {
        "mrope_interleaved": True,
        "mrope_section": [12, 10, 10],
        "rope_type": "default",
    },
    "attention_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "use_cache": True,
    "dtype": "bfloat16",
    "tie_word_embeddings": True,
}


def config(ids: dict[str, int]) -> dict:
    """config.json; `ids` maps control tokens to their numbers."""
    ends = {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"]}
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "text_config": TEXT | ends,
        "vision_config": VISION,
        "tie_word_embeddings": True,
        "transformers_version": "4.57.0",
    }


def _generation_config(ids: dict[str, int]) -> dict:
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.0,
        "transformers_version": "4.57.0",
    }


def _image_processor() -> dict:
    half = [0.5, 0.5, 0.5]
    return {
        "size": IMAGE_PIXELS,
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": half,
        "image_std": half,
        "processor_class": "Qwen3VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }


def _video_processor() -> dict:
    half = [0.5, 0.5, 0.5]
    return {
        "size": VIDEO_PIXELS,
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": half,
        "image_std": half,
        "fps": 2,
        "min_frames": 4,
        "max_frames": 768,
        "processor_class": "Qwen3VLProcessor",
        "video_processor_type": "Qwen3VLVideoProcessor",
    }


def _tokenizer_config(ids: dict[str, int], template: str) -> dict:
    added = {
        str(ids[t]): {
            "content": t,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": special,
        }
        for t, special in CONTROL
    }
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [t for t, special in CONTROL[1:] if special],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": TEXT["max_position_embeddings"],
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def write(tokenizer: Tokenizer, folder: Path = CHECKPOINT) -> None:
    """Write config, processor, tokenizer and template files."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = {t: tokenizer.token_to_id(t) for t, _ in CONTROL}
    template = (HERE / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt
    shutil.copyfile(HERE / "chat_template.jinja", folder / "chat_template.jinja")
    for name, value in {
        "config.json": config(ids),
        "generation_config.json": _generation_config(ids),
        "preprocessor_config.json": _image_processor(),
        "video_preprocessor_config.json": _video_processor(),
        "tokenizer_config.json": _tokenizer_config(ids, template),
    }.items():
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
