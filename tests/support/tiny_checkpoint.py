"""Builds a tiny Qwen3-VL checkpoint with seeded random weights, for tests of shapes and flow.

Its answers are noise; tests that need meaning use the demo checkpoint in `examples/`.
"""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PLAIN = ("<think>", "</think>", "<tool_call>", "</tool_call>")

TEMPLATE = """\
{%- set count = namespace(image=0) %}{% for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}\
{% if part.type == 'image' %}{% set count.image = count.image + 1 %}\
{% if add_vision_id %}Picture {{ count.image }}: {% endif %}\
<|vision_start|><|image_pad|><|vision_end|>\
{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>\
{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
THINK{% endif %}"""


def build_tokenizer(thinking: bool = False):
    """A byte-level Qwen2 tokenizer: 256 byte tokens and the real special strings."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import Qwen2TokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    core.add_tokens([AddedToken(text, special=False) for text in PLAIN])
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",  # noqa: S106 - a token of text, not a secret
        pad_token="<|endoftext|>",  # noqa: S106
        model_max_length=4096,
    )
    tokenizer.chat_template = TEMPLATE.replace("THINK", "<think>\n" if thinking else "")
    return tokenizer


def build_processor(thinking: bool = False):
    """A stock `Qwen3VLProcessor` with small pixel limits."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    tokenizer = build_tokenizer(thinking)
    sizes = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    image = Qwen2VLImageProcessor(
        size={"shortest_edge": 64 * 64, "longest_edge": 1280 * 1024}, **sizes, **half
    )
    video = Qwen3VLVideoProcessor(
        size={"shortest_edge": 64 * 64, "longest_edge": 1280 * 1024}, **sizes, **half
    )
    return Qwen3VLProcessor(image, tokenizer, video, chat_template=tokenizer.chat_template)


def build_config(tokenizer, **text):
    """A dense Qwen3-VL config of two small layers; `text` overrides text settings."""
    from transformers import Qwen3VLConfig

    def token(name: str) -> int:
        return tokenizer.convert_tokens_to_ids(f"<|{name}|>")

    text_config = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "max_position_embeddings": 4096, "rope_theta": 10_000.0,
        "rope_scaling": {
            "rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True,
        },
        "tie_word_embeddings": True, "eos_token_id": token("im_end"), "bos_token_id": None,
        "pad_token_id": token("endoftext"),
    } | text  # fmt: skip
    vision_config = {
        "depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "in_channels": 3,
        "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "out_hidden_size": text_config["hidden_size"], "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }  # fmt: skip
    return Qwen3VLConfig(
        text_config=text_config,
        vision_config=vision_config,
        image_token_id=token("image_pad"),
        video_token_id=token("video_pad"),
        vision_start_token_id=token("vision_start"),
        vision_end_token_id=token("vision_end"),
        tie_word_embeddings=text_config["tie_word_embeddings"],
    )


def build_model(tokenizer, seed: int = 0, **text):
    """A random fp32 model whose logits are spread enough to make greedy choices stable."""
    import torch
    from transformers import GenerationConfig, Qwen3VLForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(build_config(tokenizer, **text)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.15)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def write_checkpoint(folder: Path, thinking: bool = False, seed: int = 0, **text) -> Path:
    """Write a complete checkpoint into `folder` and return it."""
    processor = build_processor(thinking)
    model = build_model(processor.tokenizer, seed, **text)
    model.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "qwen3_vl"
    return folder
