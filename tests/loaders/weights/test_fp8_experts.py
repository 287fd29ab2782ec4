"""FP8 experts stay FP8 in every layout that files have, and answer as the weights they mean."""

import dataclasses

import fast_kit
import pytest
import torch
from checkpoint_kinds import edit_weights, lay_experts, logits, quantize_fp8, write_moe
from engine_requests import ask
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.engine.model.experts import experts_of
from qwen3vl_nodes.loaders.engine.model.layers import supports
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.plan.decision import Plan, plan
from qwen3vl_nodes.loaders.plan.hardware import Gpu, Machine
from qwen3vl_nodes.loaders.plan.memory_estimate import estimate
from qwen3vl_nodes.loaders.plan.weight_ways import FROM_FP8, KEPT_FP8
from qwen3vl_nodes.loaders.settings import NATIVE, LoadSettings
from qwen3vl_nodes.loaders.weights import chunks
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.packed.packed_experts import (
    PackedExperts,
    experts_in,
    plain_stacks,
)

CPU = torch.device("cpu")
AMPERE = Machine(
    gpus=(Gpu("NVIDIA GeForce RTX 3090", (8, 6), 24 << 30),),
    packages={"torch": "2.11.0", "transformers": "5.23.0", "triton": "3.6.0"},
)
WIDE = {"hidden_size": 256, "moe_intermediate_size": 384, "head_dim": 32}
LAYOUTS = ("in first", "out first", "one by one")
BLOCKS = {"blocks": (128, 128), "one scale": None}


def written(folder, layout="in first", block=(128, 128), **sizes):
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4]}
    quantize_fp8(write_moe(folder, rope_scaling=rope, **(WIDE | sizes)), block)
    return folder if layout == "in first" else lay_experts(folder, layout)


def built(folder, weights, dtype=torch.float32, told=lambda _done, _total: None):
    checkpoint = inspect(folder)
    return build(checkpoint, Plan(CPU, dtype, "sdpa", "none", weights), NATIVE, told).module


def chosen(checkpoint):
    """How they are read on a GPU without FP8 units, and what is said of it."""
    device = torch.device("cuda:0")
    made = plan(LoadSettings("x"), checkpoint, AMPERE, device, lambda _device: 24 << 30)
    return made.weights, " ".join(made.notes)


def both(folder):
    """The experts kept FP8, and turned into plain ones."""
    return built(folder, KEPT_FP8), built(folder, FROM_FP8)


def meant(experts):
    """What FP8 experts stand for, [E, out, in]."""
    matrices = (experts.gate_up_proj.matrix, experts.down_proj.matrix)
    return [m.dequantized(torch.float32).view(experts.count, -1, m.shape[1]) for m in matrices]


@pytest.fixture(scope="module", params=[(one, way) for one in LAYOUTS for way in BLOCKS], ids=str)
def pair(request, tmp_path_factory):
    """Each layout with each kind of scales: kept and plain."""
    layout, way = request.param
    return both(written(tmp_path_factory.mktemp("fp8") / "moe", layout, BLOCKS[way]))


def test_every_layout_is_kept_as_it_is_meant(pair):
    kept, plain = pair
    found, exact = dict(experts_in(kept)), dict(experts_in(plain))
    assert len(found) == 3 and found.keys() == exact.keys()
    for name, experts in found.items():
        assert isinstance(experts, PackedExperts)
        assert experts.gate_up_proj.weight.dtype == torch.float8_e4m3fn
        for mine, theirs in zip(meant(experts), plain_stacks(exact[name], 256), strict=True):
            assert torch.equal(mine, theirs), name
    # Nothing plain lies beside them.
    inner = [p for n, p in kept.named_parameters() if ".experts." in n and n.endswith(".weight")]
    assert len(inner) == 6 and all(p.element_size() == 1 for p in inner)


def test_greedy_equals_generate_on_the_weights_that_are_meant(pair):
    kept, plain = pair
    assert supports(kept) is None
    plain.config.text_config._experts_implementation = "eager"
    requests = [
        ask("hello", max_new_tokens=20),
        fast_kit.ask(fast_kit.picture(64, 96), "what?"),
        ask("a" * 30),
    ]
    made = fast_kit.engine(kept.to(fast_kit.DEVICE), most_rows=2)
    fast_kit.check(made, requests, plain.to(fast_kit.DEVICE))


def test_where_the_fast_engine_is_not_they_answer_too(pair):
    kept, plain = (module.to(CPU) for module in pair)
    for module in (kept, plain):
        module.config.text_config._experts_implementation = "eager"
    torch.testing.assert_close(logits(kept), logits(plain), rtol=1e-4, atol=1e-4)
    request = ask("hello", max_new_tokens=8)
    texts = []
    for module in (kept, plain):
        engine = ReferenceEngine(module, fast_kit.tiny().processor)
        ((_, reply),) = engine.generate([request])
        texts.append(reply.text)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_read_in_small_pieces_and_told(layout, tmp_path, monkeypatch):
    folder = written(tmp_path / "moe", layout)
    whole = built(folder, KEPT_FP8)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100_000)
    told = []
    pieces = built(folder, KEPT_FP8, told=lambda *sizes: told.append(sizes))
    for (name, one), other in zip(whole.named_parameters(), pieces.parameters(), strict=True):
        assert torch.equal(one.view(torch.uint8), other.view(torch.uint8)), name
    assert told[-1] == (told[-1][1],) * 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", [{}, {"hidden_size": 64, "moe_intermediate_size": 24}], ids=str)
def test_estimated_is_loaded(layout, sizes, tmp_path):
    """Nothing is as large as bf16 would be, and blocks may be larger than a matrix."""
    more = {"head_dim": 32} | sizes
    folder = written(tmp_path / "moe", layout, **more)
    checkpoint = inspect(folder)
    plan = Plan(CPU, torch.bfloat16, "sdpa", "none", KEPT_FP8)
    made = build(checkpoint, plan, NATIVE)
    tables = sum(buffer.nbytes for buffer in made.module.buffers())
    assert estimate(checkpoint, plan).weight_bytes == made.size_bytes - tables
    kept, plain = both(folder)
    assert all(isinstance(part, PackedExperts) for _, part in experts_in(kept))
    torch.testing.assert_close(logits(kept), logits(plain), rtol=1e-4, atol=1e-4)


def test_a_square_matrix_is_turned_where_its_layer_is(tmp_path):
    """Of gate and up [256, 2 * 128] alone nobody can tell; down says it."""
    turned = built(written(tmp_path / "in", "in first", moe_intermediate_size=128), KEPT_FP8)
    other = built(written(tmp_path / "out", "out first", moe_intermediate_size=128), KEPT_FP8)
    for (name, one), (_, two) in zip(experts_in(turned), experts_in(other), strict=True):
        for mine, theirs in zip(meant(one), meant(two), strict=True):
            assert torch.equal(mine, theirs), name


def test_blocks_are_turned_with_their_weights(tmp_path):
    kept, plain = both(written(tmp_path / "moe", block=(64, 128)))
    for (_, experts), (name, exact) in zip(experts_in(kept), experts_in(plain), strict=True):
        assert experts.gate_up_proj.matrix.block == experts.down_proj.matrix.block == (128, 64)
        for mine, theirs in zip(meant(experts), plain_stacks(exact, 256), strict=True):
            assert torch.equal(mine, theirs), name


def test_scales_of_two_bytes_are_read(tmp_path):
    """As official checkpoints store them."""
    folder = written(tmp_path / "moe")

    def shorten(weights):
        for name in [n for n in weights if n.endswith("_scale_inv")]:
            weights[name] = weights[name].bfloat16()

    edit_weights(folder / "model.safetensors", shorten)
    kept, plain = both(folder)
    for (name, experts), (_, exact) in zip(experts_in(kept), experts_in(plain), strict=True):
        assert experts.down_proj.scales.dtype == torch.float32
        for mine, theirs in zip(meant(experts), plain_stacks(exact, 256), strict=True):
            assert torch.equal(mine, theirs), name


def test_a_block_may_be_of_gate_and_up(tmp_path):
    """Where they are stored as one matrix."""
    folder = written(tmp_path / "stack", moe_intermediate_size=192)
    assert chosen(inspect(folder))[0] == KEPT_FP8  # 384 rows of gate and up are three blocks
    kept, plain = both(folder)
    torch.testing.assert_close(logits(kept), logits(plain), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fault", ["uneven", "plain"])
def test_what_is_not_kept_is_said_and_becomes_plain(fault, tmp_path):
    folder = written(tmp_path / "moe", "one by one")

    def change(weights):
        for number in range(4):
            name = f"model.language_model.layers.1.mlp.experts.{number}.up_proj.weight"
            if fault == "plain" and number == 2:
                weights[name] = weights[name].bfloat16()
                del weights[f"{name}_scale_inv"]

    edit_weights(folder / "model.safetensors", change)
    checkpoint = inspect(folder)
    if fault == "uneven":
        packed = dataclasses.replace(checkpoint.quantization, block=(256, 256))
        checkpoint = dataclasses.replace(checkpoint, quantization=packed)
    weights, notes = chosen(checkpoint)
    assert weights == FROM_FP8 and "its experts are not FP8 in whole blocks" in notes
    if fault == "plain":
        kept = dict(experts_in(built(folder, KEPT_FP8)))
        exact = dict(experts_in(built(folder, FROM_FP8)))
        packed = [isinstance(part, PackedExperts) for part in kept.values()]
        assert packed == [True, False, True]
        name = "model.language_model.layers.1.mlp.experts"
        assert torch.equal(kept[name].down_proj, exact[name].down_proj)


def test_the_engine_reads_them_as_they_are(tmp_path):
    kept = built(written(tmp_path / "moe"), KEPT_FP8)
    experts = experts_of(kept.model.language_model.layers[0].mlp)
    for matrix in (experts.gate_up, experts.down):
        assert matrix.weight.dtype == torch.float8_e4m3fn and matrix.block == (128, 128)
