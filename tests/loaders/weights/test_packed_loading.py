"""FP8 checkpoints that stay FP8, and plain ones packed on their way in, through the loader."""

import copy
import logging

import fast_kit
import pytest
import torch
from checkpoint_kinds import edit_weights, logits, write_adapter, write_moe
from engine_requests import ask
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.checkpoint.lora_files import inspect_adapter
from qwen3vl_nodes.loaders.engine.model.layers import supports
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.plan.decision import Plan
from qwen3vl_nodes.loaders.plan.weight_ways import FROM_FP8, KEPT_FP8, PACKED_HERE, PLAIN
from qwen3vl_nodes.loaders.settings import NATIVE, PARK, LoadSettings
from qwen3vl_nodes.loaders.weights import chunks
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.lora_layers import merge
from qwen3vl_nodes.loaders.weights.packed import packing
from qwen3vl_nodes.loaders.weights.packed.packed_experts import (
    PackedExperts,
    experts_in,
    pack_experts,
)
from qwen3vl_nodes.loaders.weights.packed.packed_linear import PackedEmbedding, PackedLinear
from qwen3vl_nodes.loaders.weights.packed_fill import VOCABULARY
from qwen3vl_nodes.utils.errors import LoadError
from tiny_checkpoint import write_checkpoint

CPU = torch.device("cpu")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Rows of whole groups."""
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4]}
    return write_checkpoint(
        tmp_path_factory.mktemp("wide") / "wide",
        rope_scaling=rope, hidden_size=128, intermediate_size=256, head_dim=32,
    )  # fmt: skip


@pytest.fixture(scope="module")
def moe_wide(tmp_path_factory):
    """Experts whose rows are whole groups."""
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4]}
    return write_moe(
        tmp_path_factory.mktemp("wide") / "moe",
        rope_scaling=rope, hidden_size=128, moe_intermediate_size=128, head_dim=32,
    )  # fmt: skip


def built(folder, weights, quantization="none", told=lambda _done, _total: None):
    plan = Plan(CPU, torch.float32, "sdpa", quantization, weights)
    return build(inspect(folder), plan, NATIVE, told).module


def packed_parts(module):
    """Those of the layers."""
    named = module.named_modules()
    return {n: p for n, p in named if isinstance(p, PackedLinear) and ".layers." in n}


@pytest.mark.parametrize("small", [False, True])
def test_fp8_stays_as_it_is_stored(kind, small, monkeypatch):
    from safetensors.torch import load_file

    if small:
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 50 * 192)
    stored = load_file(kind("fp8") / "model.safetensors")
    kept, plain = built(kind("fp8"), KEPT_FP8), built(kind("fp8"), FROM_FP8)
    parts = packed_parts(kept)
    assert len(parts) == 3 * 7
    for name, part in parts.items():
        mine, theirs = part.weight.view(torch.uint8), stored[f"{name}.weight"].view(torch.uint8)
        assert torch.equal(mine, theirs), name
        assert torch.equal(part.matrix.dequantized(torch.float32), plain.get_submodule(name).weight)
    assert torch.equal(logits(kept), logits(plain))
    for parameter in kept.parameters():
        assert not parameter.requires_grad


def test_packed_while_loading(wide, caplog):
    told = []
    with caplog.at_level(logging.INFO):
        packed = built(wide, PACKED_HERE, "int4", lambda *sizes: told.append(sizes))
    plain = built(wide, PLAIN)
    parts = packed_parts(packed)
    assert len(parts) == 3 * 7 and all(part.weight.dtype == torch.int32 for part in parts.values())
    for name, value in plain.named_parameters():
        if name.removesuffix(".weight") not in {*parts, *VOCABULARY}:
            assert torch.equal(packed.get_parameter(name), value), name
    for name, part in parts.items():
        exact = plain.get_submodule(name).weight
        assert (part.matrix.dequantized(torch.float32) - exact).norm() < 0.12 * exact.norm()
    assert (
        "% off on average" in caplog.text and "down_proj" in caplog.text or "_proj" in caplog.text
    )
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] <= told[-1][1] and len({total for _, total in told}) == 1


@pytest.mark.parametrize("tied", [True, False])
def test_the_vocabulary_has_eight_bits_and_one_memory_where_it_is_one(kind, wide, tied):
    folder = wide if tied else kind("untied")
    module, plain = built(folder, PACKED_HERE, "int8"), built(folder, PLAIN)
    table, head = (module.get_submodule(name) for name in VOCABULARY)
    assert isinstance(table, PackedEmbedding) and table.weight.dtype == torch.int8
    assert (head.weight is table.weight, head.scales is table.scales) == (tied, tied)
    for part, name in ((table, VOCABULARY[0]), (head, VOCABULARY[0] if tied else VOCABULARY[1])):
        exact = plain.get_submodule(name).weight
        meant = part.matrix.dequantized(torch.float32)
        assert 0 < (meant - exact).norm() < 0.01 * exact.norm()
    ids = torch.tensor([[3, 5, 3], [0, 1, 7]])
    assert torch.equal(table(ids), table.matrix.dequantized(torch.float32)[ids])
    copied = copy.deepcopy(module).to(torch.device(DEVICE))
    assert (copied.lm_head.weight is copied.get_input_embeddings().weight) == tied


def test_packing_in_pieces_is_packing_at_once(monkeypatch):
    weight = torch.randn(70, 256, generator=torch.Generator().manual_seed(1))
    for kind in ("int4", "int8"):
        whole, error = packing.pack(weight, kind)
        assert error == pytest.approx(packing.distance(whole, weight))
        with monkeypatch.context() as patch:
            patch.setattr(packing, "PIECE_WEIGHTS", 16 * 256)
            pieces, same = packing.pack(weight, kind)
        assert same == pytest.approx(error)
        assert torch.equal(pieces.dequantized(torch.float32), whole.dequantized(torch.float32))


def test_int8_takes_rows_of_any_length_and_int4_does_not(kind, caplog):
    eight = packed_parts(built(kind("untied"), PACKED_HERE, "int8"))
    assert len(eight) == 3 * 7
    with caplog.at_level(logging.INFO):
        four = packed_parts(built(kind("untied"), PACKED_HERE, "int4"))
    assert all(name.endswith("down_proj") for name in four)
    assert f"{3 * 7 - len(four)} layers stay plain" in caplog.text


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_experts_are_packed_layer_by_layer(kind, moe_wide, quantization):
    folder = kind("moe") if quantization == "int8" else moe_wide
    told = []
    module = built(folder, PACKED_HERE, quantization, lambda *sizes: told.append(sizes))
    plain = built(folder, PLAIN)
    packed, exact = dict(experts_in(module)), dict(experts_in(plain))
    assert packed and all(isinstance(part, PackedExperts) for part in packed.values())
    width = plain.config.text_config.hidden_size
    for name, part in packed.items():
        turned = exact[name].gate_up_proj.shape[2] != width
        for own in ("gate_up_proj", "down_proj"):
            matrix, wanted = part.get_submodule(own).matrix, exact[name].get_parameter(own)
            meant = matrix.dequantized(torch.float32).view(part.count, -1, matrix.shape[1])
            if turned:  # transformers 4; of a square matrix the shape does not tell
                wanted = wanted.mT
            assert (meant - wanted).norm() < 0.12 * wanted.norm()
            wanted.data.copy_(meant)
    assert told[-1][0] <= told[-1][1] and told[-1][0] > 0.9 * told[-1][1]
    for name, part in packed_parts(module).items():
        if ".experts." not in name:
            plain.get_submodule(name).weight.data = part.matrix.dequantized(torch.float32)
    table = module.get_input_embeddings().matrix.dequantized(torch.float32)
    plain.get_input_embeddings().weight.data.copy_(table)
    plain.lm_head.weight.data.copy_(module.lm_head.matrix.dequantized(torch.float32))
    torch.testing.assert_close(logits(module), logits(plain), rtol=1e-4, atol=1e-4)
    assert supports(module) is None
    module.config.text_config._experts_implementation = "eager"
    plain.config.text_config._experts_implementation = "eager"
    requests = [ask("hello", max_new_tokens=20), ask("a" * 30)]
    fast_kit.check(fast_kit.engine(module.to(fast_kit.DEVICE)), requests, plain.to(fast_kit.DEVICE))


def test_experts_that_are_no_whole_groups_stay_plain(kind):
    part = next(iter(dict(experts_in(built(kind("moe"), PLAIN))).values()))
    assert pack_experts(part, "int4", 64) is None


def test_nothing_to_pack_is_said(kind, tmp_path):
    folder = write_checkpoint(tmp_path / "narrow", intermediate_size=96)
    with pytest.raises(LoadError, match="whole groups"):
        built(folder, PACKED_HERE, "int4")


def test_a_missing_weight_is_named(copy_of):
    folder = copy_of("fp8")
    name = "model.language_model.layers.1.mlp.down_proj.weight_scale_inv"
    edit_weights(folder / "model.safetensors", lambda weights: weights.pop(name))
    with pytest.raises(LoadError, match="down_proj"):
        built(folder, KEPT_FP8)


@pytest.mark.parametrize("weights", [KEPT_FP8, PACKED_HERE])
def test_a_merged_lora_makes_its_own_layers_plain(kind, wide, tmp_path, weights):
    folder = kind("fp8") if weights == KEPT_FP8 else wide
    quantization = "none" if weights == KEPT_FP8 else "int4"
    module = built(folder, weights, quantization)
    before = {n: p.matrix.dequantized(torch.float32) for n, p in packed_parts(module).items()}
    adapter = write_adapter(tmp_path / "style", module)
    files = inspect_adapter(adapter, inspect(folder).architecture)
    merge(module, files, 0.5)
    after = packed_parts(module)
    changed = {layer.module for layer in files.layers}
    assert changed and before.keys() - after.keys() == changed
    from safetensors.torch import load_file

    stored = load_file(adapter / "adapter_model.safetensors")
    for name in changed:
        key = f"base_model.model.{name}"
        product = stored[f"{key}.lora_B.weight"] @ stored[f"{key}.lora_A.weight"]
        expected = before[name] + 0.5 * 8 / 4 * product
        assert torch.allclose(module.get_submodule(name).weight, expected, atol=1e-6)


@pytest.fixture
def handle(wide, monkeypatch):
    monkeypatch.setattr(local_model, "host", lambda: torch_only)
    monkeypatch.setattr(catalog, "folder_of", lambda _name: wide)
    yield lambda **more: LocalModel(LoadSettings("x", device="cpu", dtype="fp32", **more))
    MODEL_CACHE.clear()


def test_the_fast_engine_answers_and_the_weights_can_be_parked(handle):
    mine = handle(quantization="int4", engine="fast", keep=PARK)
    text = mine.describe()
    assert "int4" in text and "keeps its precision" in text and "cannot be parked" not in text
    request = ask("Hello", max_new_tokens=6)
    with mine.open() as engine:
        ((_, reply),) = engine.generate([request])
        assert type(engine).__name__ == "FastEngine"
        assert packed_parts(engine._module)
    with handle(quantization="int4", engine="reference").open() as engine:
        ((_, other),) = engine.generate([request])
    assert reply.text == other.text
