"""Models of the published shapes with random weights, and pictures, for measuring speed."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qwen3vl_nodes.loaders.weights.packed.matrices import (
    NF4,
    ByteMatrix,
    NibbleMatrix,
    joined,
    pack_codes,
)
from qwen3vl_nodes.loaders.weights.packed.packed_experts import (
    PackedExperts,
    experts_in,
    pack_experts,
    plain_stacks,
)
from qwen3vl_nodes.loaders.weights.packed.packed_linear import PackedLinear
from qwen3vl_nodes.loaders.weights.packed.packing import (
    distance,
    inner_linears,
    pack_int4,
    pack_int8,
    pack_vocabulary,
    replace_part,
)
from qwen3vl_nodes.loaders.weights.packed.rotation import rotated
from tiny_checkpoint import PLAIN, SPECIAL, TEMPLATE, build_config, build_model, build_processor

VOCABULARY = 151_936
# layers, hidden, heads, kv heads, intermediate, tied; vision depth, hidden, intermediate, levels
SHAPES = {
    "2B": (28, 2048, 16, 8, 6144, True, 24, 1024, 4096, [5, 11, 17]),
    "4B": (36, 2560, 32, 8, 9728, True, 24, 1024, 4096, [5, 11, 17]),
    "8B": (36, 4096, 32, 8, 12288, False, 27, 1152, 4304, [8, 16, 24]),
    "30B-A3B": (48, 2048, 32, 4, 6144, False, 27, 1152, 4304, [8, 16, 24]),
}
EXPERTS = {
    "30B-A3B": {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
                "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True},
}  # fmt: skip
DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo_model" / "qwen3-vl-demo"
MEMORY_RATE = 3.0e12  # bytes a second, a large copy measured on the H100


def make_tokenizer() -> Any:
    """Byte tokens, fillers up to the real number of ids, and the special tokens at their ids."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import Qwen2TokenizerFast

    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    words += [f"w{i}" for i in range(151_643 - len(words))]
    core = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    core.add_tokens([AddedToken(text, special=False) for text in PLAIN])
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",  # noqa: S106 - a token of text, not a secret
        pad_token="<|endoftext|>",  # noqa: S106
    )
    tokenizer.chat_template = TEMPLATE.replace("THINK", "")
    return tokenizer


def make(size: str, device: torch.device) -> tuple[Any, Any]:
    """(module, processor) of a published size in bf16; `demo` is the trained fp32 checkpoint of
    `examples`, or a tiny random one where that is not built yet.
    """
    if size == "demo" and (DEMO / "model.safetensors").is_file():
        return _demo(device)
    if size == "demo":
        processor = build_processor()
        model: Any = build_model(processor.tokenizer)
        return model.to(device), processor
    processor = _processor()
    return _random(_config(size, processor.tokenizer), device), processor


def make_folder(size: str, folder: Path) -> None:
    """A published size's config and processor, for servers that make random weights themselves."""
    processor = _processor()
    config = _config(size, processor.tokenizer)
    moe = "Moe" if size in EXPERTS else ""
    config.architectures = [f"Qwen3VL{moe}ForConditionalGeneration"]
    config.save_pretrained(folder)
    processor.save_pretrained(folder)


def _processor() -> Any:
    processor = build_processor()
    processor.tokenizer = make_tokenizer()
    for part in (processor.image_processor, processor.video_processor):
        part.size = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
    processor.image_token_id = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    processor.video_token_id = processor.tokenizer.convert_tokens_to_ids("<|video_pad|>")
    return processor


def _demo(device: torch.device) -> tuple[Any, Any]:
    from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

    model: Any = Qwen3VLForConditionalGeneration.from_pretrained(DEMO, dtype=torch.float32)
    return model.eval().to(device), AutoProcessor.from_pretrained(DEMO)


def _config(size: str, tokenizer: Any) -> Any:
    layers, hidden, heads, kv_heads, wide, tied, depth, eye, eye_wide, levels = SHAPES[size]
    rope = {"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    config = build_config(
        tokenizer,
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=wide,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
        head_dim=128, max_position_embeddings=262_144, rope_theta=5e6,
        rope_scaling=rope, tie_word_embeddings=tied,
    )  # fmt: skip
    text = config.to_dict()
    vision = text["vision_config"] | {
        "depth": depth, "hidden_size": eye, "intermediate_size": eye_wide, "num_heads": 16,
        "num_position_embeddings": 2304, "out_hidden_size": hidden,
        "deepstack_visual_indexes": levels,
    }  # fmt: skip
    if size not in EXPERTS:
        return type(config)(**(text | {"vision_config": vision}))
    from transformers import Qwen3VLMoeConfig

    inner = [{k: v for k, v in part.items() if k not in ("model_type", "dtype")}
             for part in (text["text_config"] | EXPERTS[size], vision)]  # fmt: skip
    ids = {key: value for key, value in text.items() if key.endswith("_token_id")}
    return Qwen3VLMoeConfig(
        text_config=inner[0], vision_config=inner[1], tie_word_embeddings=tied, **ids
    )


def _random(config: Any, device: torch.device) -> Any:
    import transformers

    moe = "Moe" if hasattr(config.text_config, "num_experts") else ""
    kind = getattr(transformers, f"Qwen3VL{moe}ForConditionalGeneration")
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = kind(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02)
    model.set_attn_implementation("sdpa")
    return model


def pack(module: Any, kind: str) -> float:
    """Pack the decoder's linear layers in place, one by one, and experts but for NF4; the mean
    error over them.
    """
    errors = []
    for name, part in list(inner_linears(module)):
        weight = part.weight.detach()
        matrix = KINDS[kind](weight)
        errors.append(distance(matrix, weight))
        replace_part(module, name, PackedLinear(matrix))
    width = module.config.text_config.hidden_size
    for name, part in list(experts_in(module)) if kind not in ("nf4", "convrot") else ():
        packed = _fp8_experts(part, width) if kind == "fp8" else pack_experts(part, kind, width)
        if packed is not None:
            replace_part(module, name, packed[0])
            errors += packed[1]
    if kind in ("int4", "int8"):  # as the loader does it
        pack_vocabulary(module, module.config.text_config.tie_word_embeddings)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return float(np.mean(errors))


def _to_fp8(weight: torch.Tensor) -> ByteMatrix:
    """Blocks of 128 x 128, as the official checkpoints have them; sides are whole blocks."""
    rows, columns = weight.shape
    blocks = weight.float().view(rows // 128, 128, columns // 128, 128)
    scales = blocks.abs().amax((1, 3)) / 448
    small = (blocks / scales[:, None, :, None]).to(torch.float8_e4m3fn)
    return ByteMatrix(small.view(rows, columns), scales, (128, 128))


def _fp8_experts(experts: Any, width: int) -> tuple[PackedExperts, list[float]]:
    """As the loader reads them from official checkpoints; a few experts at once, which takes
    little memory.
    """
    matrices, errors = [], []
    stacks = plain_stacks(experts, width)
    for stack in stacks:
        parts = [few.flatten(0, 1) for few in stack.split(8)]
        made = [_to_fp8(part) for part in parts]
        errors += [distance(matrix, part) for matrix, part in zip(made, parts, strict=True)]
        matrices.append(joined(made))
    return PackedExperts(*matrices, len(stacks[0])), errors


def _to_nf4(weight: torch.Tensor) -> NibbleMatrix:
    """The nearest of NF4's numbers, in blocks of 64."""
    rows, columns = weight.shape
    code = torch.tensor(NF4, device=weight.device)
    middles = (code[1:] + code[:-1]) / 2
    groups = weight.float().view(rows, columns // 64, 64)
    largest = groups.abs().amax(-1)
    codes = torch.bucketize(groups / largest[..., None], middles).to(torch.uint8)
    packed, span = pack_codes(codes.view(rows, columns), 64)
    return NibbleMatrix(packed, largest.T.contiguous(), None, code, 64, span)


def _to_rotated(weight: torch.Tensor) -> ByteMatrix:
    """As ComfyUI's `int8_convrot`: a scale for each row, groups of 256 inputs rotated."""
    groups = rotated(weight.float(), 256)
    scales = groups.abs().amax(1, keepdim=True) / 127
    codes = (groups / scales).round().to(torch.int8)
    return ByteMatrix(codes, scales, (1, weight.shape[1]), 256)


KINDS = {
    "fp8": _to_fp8, "int4": pack_int4, "int8": pack_int8, "nf4": _to_nf4, "convrot": _to_rotated,
}  # fmt: skip


def limit_seconds(module: Any, batch: int, tokens: float) -> float:
    """The least time of a decode step: weights once and `tokens` cached tokens a row. Of experts
    as many as random choices would meet.
    """
    text = module.config.text_config
    head = module.lm_head.weight
    weights = sum(p.nbytes for p in module.model.language_model.layers.parameters())
    experts = sum(p.nbytes for _, part in experts_in(module) for p in part.parameters())
    if experts:
        missed = (1 - text.num_experts_per_tok / text.num_experts) ** batch
        weights -= experts * missed
    cached = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
    cached *= tokens * batch * module.model.language_model.norm.weight.element_size()
    return (weights + head.nbytes + cached) / MEMORY_RATE


def write_pictures(folder: Path, count: int, which: str, small: bool) -> list[Path]:
    """Seeded noisy JPEGs: set A all of one size, set B of mixed ones."""
    rng = np.random.default_rng(7)
    jobs = []
    for number in range(count):
        sides = rng.integers(512, 1537, 2) if which == "B" else np.array([1024, 1024])
        size_wh = (sides // 8 if small else sides).tolist()
        jobs.append((folder / f"{which}{number:03d}.jpg", *size_wh, number))
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(_write, jobs))


def _write(job: tuple[Path, int, int, int]) -> Path:
    from PIL import Image

    path, width, height, seed = job
    rng = np.random.default_rng([7, seed])
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    base = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    noise = rng.integers(-14, 15, base.shape, dtype=np.int8)
    pixels = np.clip(base.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return path


def decoded(paths: list[Path]) -> Iterator[np.ndarray]:
    """Pixels of the files in order, decoded a few ahead in threads."""
    with ThreadPoolExecutor(8) as threads:
        ahead = [threads.submit(_decode, path) for path in paths[:24]]
        for number in range(len(paths)):
            if number + 24 < len(paths):
                ahead.append(threads.submit(_decode, paths[number + 24]))
            yield ahead[number].result()
            ahead[number] = None  # type: ignore[call-overload]


def _decode(path: Path) -> np.ndarray:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
