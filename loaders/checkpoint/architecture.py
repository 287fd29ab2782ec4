"""The tensors that a Qwen3-VL checkpoint must hold, counted from its config alone.

No transformers: a folder is checked in milliseconds, before anything heavy is imported.
Source: the module trees of transformers 4.57 and 5.x, which a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...utils.errors import LoadError
from .config import positive
from .rope import read_rope

MODEL_TYPES = ("qwen3_vl", "qwen3_vl_moe")
# The official towers' heads, by their width: no weight's shape tells them.
VISION_HEADS = {1024: 16, 1152: 16}
_AGAIN = "Download the file again."
TEXT, VISION = "model.language_model.", "model.visual."

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class TextShape:
    """The language model's numbers; `sparse_layers` are those with experts."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    experts: int
    expert_intermediate: int
    sparse_layers: frozenset[int]
    tied: bool
    context: int
    activation: str = "silu"
    rope: str = "default"

    @property
    def kv_token_values(self) -> int:
        """Numbers in the key-value cache for each token."""
        return 2 * self.layers * self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The vision tower's numbers."""

    depth: int
    hidden: int
    intermediate: int
    out_hidden: int
    positions: int
    channels: int
    patch: int
    temporal_patch: int
    merge: int
    deepstack: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """Both halves of a checkpoint's config."""

    model_type: str
    text: TextShape
    vision: VisionShape

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor, in Hugging Face's names.

        Experts are named as one tensor per layer, [experts, in, out]. A tied lm_head is not
        among them.
        """
        return dict([*_text_tensors(self.text), *_vision_tensors(self.vision)])


def read_architecture(config: Mapping[str, Any], where: str) -> Architecture:
    """The numbers of a config.json.

    Raises:
        LoadError: a number is missing or absurd; `where` names the file.
    """
    model_type = config.get("model_type")
    text, vision = config.get("text_config"), config.get("vision_config")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        raise LoadError(f"{where} lacks its text_config or vision_config.", _AGAIN)
    tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    if not isinstance(tied, bool):
        raise LoadError(
            f"{where}: tie_word_embeddings is {str(tied)[:40]!r}, not true or false.",
            _AGAIN,
        )
    moe = model_type == "qwen3_vl_moe"
    return Architecture(str(model_type), _text(text, where, tied, moe), _vision(vision, where))


def _text(config: Mapping[str, Any], where: str, tied: bool, moe: bool) -> TextShape:
    def number(key: str) -> int:
        return positive(config, key, where)

    layers = positive(config, "num_hidden_layers", where, 1024)
    heads, hidden = number("num_attention_heads"), number("hidden_size")
    kv_heads = number("num_key_value_heads")
    head_dim = number("head_dim") if "head_dim" in config else hidden // heads
    _check_heads(where, heads, kv_heads, head_dim)
    sparse = _sparse_layers(config, where, layers) if moe else set()
    # transformers 5 writes the count under its own name.
    experts_key = "num_local_experts" if "num_local_experts" in config else "num_experts"
    experts = positive(config, experts_key, where, 65_536) if sparse else 0
    if sparse:
        positive(config, "num_experts_per_tok", where, experts)
    return TextShape(
        vocabulary=number("vocab_size"),
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=number("intermediate_size") if len(sparse) < layers else 0,
        experts=experts,
        expert_intermediate=number("moe_intermediate_size") if sparse else 0,
        sparse_layers=frozenset(sparse),
        tied=tied,
        context=number("max_position_embeddings"),
        activation=str(config.get("hidden_act", "silu"))[:40],
        rope=read_rope(config, head_dim, where),
    )


def _check_heads(where: str, heads: int, kv_heads: int, head_dim: int) -> None:
    if heads % kv_heads or head_dim % 2:
        raise LoadError(
            f"{where} has {heads} attention heads of {head_dim} numbers and {kv_heads} for keys "
            "and values, which cannot be.",
            _AGAIN,
        )


def _sparse_layers(config: Mapping[str, Any], where: str, layers: int) -> set[int]:
    step = positive({"decoder_sparse_step": 1, **config}, "decoder_sparse_step", where, 1024)
    dense = config.get("mlp_only_layers") or []
    if not isinstance(dense, list):
        raise LoadError(f"{where}: mlp_only_layers is not a list.", _AGAIN)
    return {n for n in range(layers) if n not in dense and (n + 1) % step == 0}


def _vision(config: Mapping[str, Any], where: str) -> VisionShape:
    def number(key: str, default: int | None = None) -> int:
        return positive({key: default, **config} if default else config, key, where)

    deepstack = config.get("deepstack_visual_indexes")
    if not isinstance(deepstack, list) or len(deepstack) > 64:
        raise LoadError(f"{where} lacks deepstack_visual_indexes.", _AGAIN)
    depth, hidden = positive(config, "depth", where, 1024), number("hidden_size")
    inside = [n for n in deepstack if type(n) is int and 0 <= n < depth]
    if len(set(inside)) != len(deepstack):
        raise LoadError(
            f"{where} has the deepstack_visual_indexes {str(deepstack)[:80]}, but its tower has "
            f"the layers 0 to {depth - 1}.",
            _AGAIN,
        )
    heads = number("num_heads", VISION_HEADS.get(hidden, 16))
    # transformers takes any number, and the pictures would be noise.
    if hidden % heads or hidden // heads % 4 or heads != VISION_HEADS.get(hidden, heads):
        right = VISION_HEADS.get(hidden)
        raise LoadError(
            f"{where} has num_heads {heads} for a vision tower {hidden} wide"
            + (f", which has {right}." if right else ", which cannot be."),
            _AGAIN,
        )
    return VisionShape(
        depth=depth,
        hidden=hidden,
        intermediate=number("intermediate_size"),
        out_hidden=number("out_hidden_size"),
        positions=number("num_position_embeddings"),
        channels=number("in_channels", 3),
        patch=number("patch_size", 16),
        temporal_patch=number("temporal_patch_size", 2),
        merge=number("spatial_merge_size", 2),
        deepstack=len(deepstack),
    )


def _text_tensors(text: TextShape) -> Shapes:
    hidden, heads, kv = text.hidden, text.heads * text.head_dim, text.kv_heads * text.head_dim
    yield f"{TEXT}embed_tokens.weight", (text.vocabulary, hidden)
    yield f"{TEXT}norm.weight", (hidden,)
    if not text.tied:
        yield "lm_head.weight", (text.vocabulary, hidden)
    for number in range(text.layers):
        layer = f"{TEXT}layers.{number}."
        yield f"{layer}input_layernorm.weight", (hidden,)
        yield f"{layer}post_attention_layernorm.weight", (hidden,)
        yield f"{layer}self_attn.q_proj.weight", (heads, hidden)
        yield f"{layer}self_attn.k_proj.weight", (kv, hidden)
        yield f"{layer}self_attn.v_proj.weight", (kv, hidden)
        yield f"{layer}self_attn.o_proj.weight", (hidden, heads)
        yield f"{layer}self_attn.q_norm.weight", (text.head_dim,)
        yield f"{layer}self_attn.k_norm.weight", (text.head_dim,)
        if number in text.sparse_layers:
            inner = text.expert_intermediate
            yield f"{layer}mlp.gate.weight", (text.experts, hidden)
            yield f"{layer}mlp.experts.gate_up_proj", (text.experts, hidden, 2 * inner)
            yield f"{layer}mlp.experts.down_proj", (text.experts, inner, hidden)
        else:
            yield f"{layer}mlp.gate_proj.weight", (text.intermediate, hidden)
            yield f"{layer}mlp.up_proj.weight", (text.intermediate, hidden)
            yield f"{layer}mlp.down_proj.weight", (hidden, text.intermediate)


def _vision_tensors(vision: VisionShape) -> Shapes:
    hidden, merged = vision.hidden, vision.hidden * vision.merge**2
    patch = (vision.channels, vision.temporal_patch, vision.patch, vision.patch)
    yield f"{VISION}patch_embed.proj.weight", (hidden, *patch)
    yield f"{VISION}patch_embed.proj.bias", (hidden,)
    yield f"{VISION}pos_embed.weight", (vision.positions, hidden)
    for number in range(vision.depth):
        block = f"{VISION}blocks.{number}."
        yield from _with_bias(f"{block}norm1", (hidden,))
        yield from _with_bias(f"{block}norm2", (hidden,))
        yield from _with_bias(f"{block}attn.qkv", (3 * hidden, hidden))
        yield from _with_bias(f"{block}attn.proj", (hidden, hidden))
        yield from _with_bias(f"{block}mlp.linear_fc1", (vision.intermediate, hidden))
        yield from _with_bias(f"{block}mlp.linear_fc2", (hidden, vision.intermediate))
    mergers = [(f"{VISION}merger.", hidden)]
    mergers += [(f"{VISION}deepstack_merger_list.{n}.", merged) for n in range(vision.deepstack)]
    for merger, normed in mergers:
        yield from _with_bias(f"{merger}norm", (normed,))
        yield from _with_bias(f"{merger}linear_fc1", (merged, merged))
        yield from _with_bias(f"{merger}linear_fc2", (vision.out_hidden, merged))


def _with_bias(name: str, shape: tuple[int, ...]) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]
