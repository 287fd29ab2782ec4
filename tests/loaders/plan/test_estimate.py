"""The estimate before loading is the memory after loading."""

import dataclasses
import math

import pytest
import torch
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.checkpoint.rope import context_tokens
from qwen3vl_nodes.loaders.plan import memory_estimate as estimating
from qwen3vl_nodes.loaders.plan.decision import Plan
from qwen3vl_nodes.loaders.plan.hardware import Gpu, Machine
from qwen3vl_nodes.loaders.plan.memory_estimate import check_room, estimate, quantized_gb
from qwen3vl_nodes.loaders.plan.weight_ways import FROM_FP8, PACKED_HERE, PLAIN, QUANTIZED
from qwen3vl_nodes.loaders.settings import NATIVE, YARN
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.utils.errors import LoadError

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
# layers, hidden, heads, kv heads, intermediate, tied; vision depth, hidden, intermediate; billions.
OFFICIAL = {
    "2B": (28, 2048, 16, 8, 6144, True, 24, 1024, 4096, 2.13, 112),
    "4B": (36, 2560, 32, 8, 9728, True, 24, 1024, 4096, 4.44, 144),
    "8B": (36, 4096, 32, 8, 12288, False, 27, 1152, 4304, 8.77, 144),
    "32B": (64, 5120, 64, 8, 25600, False, 27, 1152, 4304, 33.4, 256),
}


def official(name):
    layers, hidden, heads, kv, inner, tied, depth, width, inside, _, _ = OFFICIAL[name]
    return {
        "model_type": "qwen3_vl",
        "tie_word_embeddings": tied,
        "text_config": {
            "vocab_size": 151936, "hidden_size": hidden, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": 128,
            "intermediate_size": inner, "max_position_embeddings": 262_144,
        },
        "vision_config": {
            "depth": depth, "hidden_size": width, "intermediate_size": inside,
            "out_hidden_size": hidden, "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [5, 11, 17],
        },
    }  # fmt: skip


def checkpoint_like(kind, name):
    from qwen3vl_nodes.loaders.checkpoint.architecture import read_architecture

    whole = read_architecture(official(name), "config.json")
    return dataclasses.replace(inspect(kind("dense")), architecture=whole)


def plan_on(device, dtype=torch.bfloat16, **changes):
    values = {"weights": PLAIN, "context": 262_144} | changes
    return Plan(device, dtype, "sdpa", values.pop("quantization", "none"), **values)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_sizes(kind, name):
    checkpoint = checkpoint_like(kind, name)
    assert checkpoint.parameters / 1e9 == pytest.approx(OFFICIAL[name][-2], rel=0.003)
    needed = estimate(checkpoint, plan_on(CUDA))
    assert needed.weight_bytes == 2 * checkpoint.parameters
    assert needed.kv_token_bytes == OFFICIAL[name][-1] * 1024


@pytest.mark.parametrize("name", ["dense", "untied", "moe", "fp8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_estimated_is_loaded(kind, name, dtype):
    checkpoint = inspect(kind(name))
    plan = plan_on(CPU, dtype, weights=FROM_FP8 if name == "fp8" else PLAIN)
    built = build(checkpoint, plan, NATIVE)
    tables = sum(buffer.nbytes for buffer in built.module.buffers())
    assert estimate(checkpoint, plan).weight_bytes == built.size_bytes - tables


def test_quantized_is_smaller(kind):
    checkpoint = checkpoint_like(kind, "8B")
    sizes = [
        estimate(checkpoint, plan_on(CUDA, weights=QUANTIZED, quantization=q)).weight_bytes / 1e9
        for q in ("8-bit", "4-bit")
    ]
    assert sizes[0] == pytest.approx(10.7, abs=0.3)
    assert sizes[1] == pytest.approx(7.6, abs=0.3)


@pytest.mark.parametrize("name", OFFICIAL)
def test_what_the_loader_says_before_a_run_is_what_a_run_says(kind, name):
    checkpoint = checkpoint_like(kind, name)
    said = quantized_gb()[f"Qwen3-VL-{name}-Instruct"]
    for way, gb in said.items():
        weights = PACKED_HERE if way.startswith("int") else QUANTIZED
        plan = plan_on(CUDA, weights=weights, quantization=way)
        assert gb == pytest.approx(estimate(checkpoint, plan).weight_bytes / 1e9, abs=0.15)
    assert list(said) == ["8-bit", "4-bit", "int8", "int4"]


def test_nothing_is_said_where_quantization_is_of_little_use():
    names = quantized_gb()
    assert len(names) == 12 and not any("FP8" in name for name in names)


@pytest.mark.parametrize(("name", "most"), [("30B-A3B", 18), ("235B-A22B", 126)])
def test_experts_are_packed_here_and_by_nobody_else(name, most):
    said = quantized_gb()[f"Qwen3-VL-{name}-Instruct"]
    assert list(said) == ["int8", "int4"] and said["int4"] < most


def test_packed_experts_are_counted(kind):
    checkpoint = inspect(kind("moe"))
    whole = estimate(checkpoint, plan_on(CUDA)).weight_bytes
    experts = 2 * sum(
        math.prod(shape)
        for name, shape in checkpoint.architecture.tensors().items()
        if ".experts." in name
    )
    packed = plan_on(CUDA, weights=PACKED_HERE, quantization="int4")
    others = plan_on(CUDA, weights=QUANTIZED, quantization="4-bit")
    assert estimate(checkpoint, packed).weight_bytes < whole - 0.7 * experts
    assert experts < estimate(checkpoint, others).weight_bytes < whole


def test_text_has_the_numbers(kind):
    text = str(estimate(checkpoint_like(kind, "8B"), plan_on(CUDA)))
    assert "17.53 GB of weights" in text and "144 KiB a token" in text and "262,144" in text


def test_what_cannot_fit_is_refused_with_what_can(kind):
    checkpoint = checkpoint_like(kind, "32B")
    small = Machine(gpus=(Gpu("small", (8, 9), 24 << 30),), ram_bytes=128 << 30,
                    packages={"bitsandbytes": "1"})  # fmt: skip
    plan = plan_on(CUDA)
    with pytest.raises(LoadError) as caught:
        check_room(estimate(checkpoint, plan), plan, small)
    assert "66.7 GB" in caught.value.problem and "25.8 GB" in caught.value.problem
    for way in ("8-bit or 4-bit", "GPU and RAM", "smaller model"):
        assert way in caught.value.remedy
    turned = plan_on(CUDA, weights=FROM_FP8, could_stay_fp8=True)
    with pytest.raises(LoadError) as caught:
        check_room(estimate(checkpoint, turned), turned, small)
    assert "dtype fp8" in caught.value.remedy and "8-bit" not in caught.value.remedy
    offloaded = plan_on(CUDA, placement=estimating.OFFLOAD)
    check_room(estimate(checkpoint, offloaded), offloaded, small)
    four = Machine(gpus=small.gpus * 4, ram_bytes=1 << 30)
    spread = plan_on(CUDA, placement=estimating.SPREAD)
    check_room(estimate(checkpoint, spread), spread, four)
    check_room(estimate(checkpoint, plan), plan, Machine())  # unknown is not too little


def test_context_choices():
    assert context_tokens(262_144, NATIVE) == 262_144
    assert context_tokens(262_144, YARN) == 1_000_000


def test_what_an_old_gpu_lacks_is_not_proposed(kind):
    small = Machine(gpus=(Gpu("NVIDIA GeForce RTX 2060", (7, 5), 6 * 1024**3),))
    checkpoint = checkpoint_like(kind, "2B")
    plan = plan_on(CUDA, torch.float32)
    with pytest.raises(LoadError, match="Choose dtype fp16"):
        check_room(estimate(checkpoint, plan), plan, small)
