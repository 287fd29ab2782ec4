"""4-bit checkpoints of other tools stay as they are stored, for the fast engine."""

import json
import shutil
from collections.abc import Sequence

import pytest
import torch
from checkpoint_kinds import edit_weights, logits
from qwen3vl_nodes.loaders.checkpoint.four_bits import (
    AWQ,
    BITSANDBYTES,
    COMPRESSED,
    GPTQ,
    FourBits,
    read_four_bits,
)
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.plan.decision import Plan, plan
from qwen3vl_nodes.loaders.plan.hardware import Gpu, Machine
from qwen3vl_nodes.loaders.plan.memory_estimate import estimate
from qwen3vl_nodes.loaders.plan.weight_ways import FROM_4BIT, KEPT_4BIT, PACKED, PLAIN
from qwen3vl_nodes.loaders.settings import NATIVE, LoadSettings
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.packed.packed_linear import PackedLinear
from qwen3vl_nodes.utils.errors import LoadError
from tiny_checkpoint import write_checkpoint

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
GROUP = 64
SAID = {
    AWQ: {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm",
          "zero_point": True},
    GPTQ: {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False,
           "sym": False, "checkpoint_format": "gptq"},
    COMPRESSED: {"quant_method": "compressed-tensors", "format": "pack-quantized",
                 "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
                     "num_bits": 4, "type": "int", "group_size": GROUP, "strategy": "group",
                     "symmetric": False}}}},
    BITSANDBYTES: {"quant_method": "bitsandbytes", "load_in_4bit": True,
          "bnb_4bit_quant_type": "nf4",
          "bnb_4bit_compute_dtype": "float32"},
}  # fmt: skip
FORMS = {
    AWQ: FourBits(AWQ, GROUP),
    GPTQ: FourBits(GPTQ, GROUP, zeros_from_one=True),
    COMPRESSED: FourBits(COMPRESSED, GROUP),
    BITSANDBYTES: FourBits(BITSANDBYTES),
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A plain checkpoint with rows of whole groups."""
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4]}
    return write_checkpoint(
        tmp_path_factory.mktemp("wide") / "wide",
        rope_scaling=rope, hidden_size=128, intermediate_size=256, head_dim=32,
    )  # fmt: skip


def words(numbers, order: Sequence[int] = range(8)):
    """Codes [.., n * 8] as int32 [.., n], place k of a word holding number order[k]."""
    parts = numbers.long().view(*numbers.shape[:-1], -1, 8)[..., list(order)]
    whole = (parts << (4 * torch.arange(8))).sum(-1)
    return (whole - ((whole >> 31) << 32)).int()


def packed_by(tool, weight):
    """A layer's stored tensors by the last part of their names, and the weight they stand for."""
    rows, columns = weight.shape
    if tool == BITSANDBYTES:
        return by_bitsandbytes(weight)
    generator = torch.Generator().manual_seed(columns)
    codes = torch.randint(0, 16, (rows, columns), generator=generator)
    zeros = torch.randint(1, 15, (rows, columns // GROUP), generator=generator)
    scales = (torch.rand(rows, columns // GROUP, generator=generator) * 0.01 + 0.001).half()
    each = zeros.repeat_interleave(GROUP, 1), scales.float().repeat_interleave(GROUP, 1)
    meant = (codes - each[0]) * each[1]
    if tool == AWQ:
        order = (0, 2, 4, 6, 1, 3, 5, 7)
        stored = {"qweight": words(codes.T, order), "qzeros": words(zeros.T, order),
                  "scales": scales.T}  # fmt: skip
    elif tool == GPTQ:
        stored = {"qweight": words(codes).T, "qzeros": words((zeros - 1).T), "scales": scales.T,
                  "g_idx": (torch.arange(columns) // GROUP).int()}  # fmt: skip
    else:
        stored = {"weight_packed": words(codes), "weight_scale": scales,
                  "weight_zero_point": words(zeros.T).T,
                  "weight_shape": torch.tensor(weight.shape)}  # fmt: skip
    return stored, meant


def by_bitsandbytes(weight):
    """As bitsandbytes itself packs and saves, its scales packed too."""
    functional = pytest.importorskip("bitsandbytes.functional")
    from bitsandbytes.nn import Params4bit

    own = Params4bit(weight.clone(), requires_grad=False, compress_statistics=True,
                     quant_type="nf4", blocksize=64).to("cpu")  # fmt: skip
    state = own.quant_state
    meant = functional.dequantize_4bit(own.data, state).float()
    if weight.shape[1] % 64:
        meant = weight  # where blocks go across rows, its own code for CPUs mixes up their scales
    tables = {f"weight.{name}": value for name, value in state.as_dict(packed=True).items()}
    return {"weight": own.data} | tables, meant


@pytest.fixture(params=[AWQ, GPTQ, COMPRESSED, BITSANDBYTES])
def packed(request, wide, tmp_path):
    """(folder, tool, what each packed layer stands for)."""
    tool, meant = request.param, {}
    folder = shutil.copytree(wide, tmp_path / "packed")

    def pack(weights):
        for name in list(weights):
            inner = ".language_model.layers." in name and name.endswith("_proj.weight")
            # bitsandbytes' blocks go across rows where these are short.
            if inner or (tool == BITSANDBYTES and name == "model.visual.blocks.0.attn.qkv.weight"):
                module = name.removesuffix(".weight")
                stored, meant[module] = packed_by(tool, weights.pop(name).float())
                weights |= {f"{module}.{leaf}": t.contiguous() for leaf, t in stored.items()}

    edit_weights(folder / "model.safetensors", pack)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = SAID[tool]
    (folder / "config.json").write_text(json.dumps(config))
    return folder, tool, meant


def built(folder, weights=KEPT_4BIT, told=lambda _done, _total: None):
    return build(inspect(folder), Plan(CPU, torch.float32, "sdpa", "none", weights), NATIVE, told)


def test_they_stay_as_they_are_stored(packed, wide):
    folder, _, meant = packed
    told = []
    made = built(folder, told=lambda *sizes: told.append(sizes))
    plain = built(wide, PLAIN).module
    for name, weight in meant.items():
        part = made.module.get_submodule(name)
        inner = ".language_model." in name
        assert isinstance(part, PackedLinear) == inner
        exact = part.matrix.dequantized(torch.float32) if inner else part.weight
        off = (exact - weight).norm() / weight.norm()
        assert off < (1e-5 if inner else 0.1), name
        plain.get_submodule(name).weight = torch.nn.Parameter(exact)
    assert torch.allclose(logits(made.module), logits(plain), rtol=1e-3, atol=1e-4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] <= told[-1][1]


def test_a_card_with_kernels_keeps_them_and_others_ask_the_tool(packed):
    folder, tool, _ = packed
    checkpoint = inspect(folder)
    assert checkpoint.quantization.four_bits == FORMS[tool]
    tools = {"bitsandbytes": "0.49", "gptqmodel": "5", "compressed_tensors": "0.12"}
    machine = Machine((Gpu("ampere", (8, 6), 1 << 34),), 1 << 36,
                      packages={"transformers": "5.1.0", "triton": "3", **tools})  # fmt: skip

    def planned(**choices):
        settings = LoadSettings("x", **choices)
        return plan(settings, checkpoint, machine, GPU, lambda _device: 1 << 36)

    kept = planned()
    assert kept.weights == KEPT_4BIT and kept.movable and "stay 4-bit" in kept.notes[0]
    stored = sum(tensor.size_bytes for tensor in checkpoint.tensors.values())
    assert estimate(checkpoint, kept).weight_bytes == stored
    assert planned(engine="reference").weights == PACKED
    assert planned(device="cpu").weights == (FROM_4BIT if tool == BITSANDBYTES else PACKED)


def test_without_the_tool_they_become_plain(packed):
    folder, tool, meant = packed
    machine = Machine(ram_bytes=1 << 36, packages={"transformers": "5.1.0"})
    chosen = plan(
        LoadSettings("x", device="cpu"), inspect(folder), machine, CPU, lambda _device: 1 << 36
    )
    assert chosen.weights == FROM_4BIT
    assert "become plain ones" in chosen.notes[0] and "not installed" in chosen.notes[0]
    module = built(folder, FROM_4BIT).module
    for name, weight in meant.items():
        exact = module.get_submodule(name).weight
        assert (exact - weight).norm() < 0.1 * weight.norm(), name
    assert not any(isinstance(part, PackedLinear) for part in module.modules())


def test_where_bitsandbytes_mixes_up_scales_it_is_not_asked(packed):
    """Its code for CPUs takes a row's beginning for a block's; rows of whole blocks are right."""
    folder, tool, _ = packed
    machine = Machine(ram_bytes=1 << 36, packages={"transformers": "5.1.0", "bitsandbytes": "0.50"})
    settings = LoadSettings("x", device="cpu")

    def weights():
        return plan(settings, inspect(folder), machine, CPU, lambda _device: 1 << 36)

    if tool != BITSANDBYTES:
        assert "not installed" in weights().notes[0]
        return
    assert weights().weights == FROM_4BIT and "mixes up scales" in weights().notes[0]
    short = "model.visual.blocks.0.attn.qkv"

    def plain(weights):
        for name in [n for n in weights if n.startswith(f"{short}.weight")]:
            weights.pop(name)
        weights[f"{short}.weight"] = torch.zeros(96, 32)

    edit_weights(folder / "model.safetensors", plain)
    assert weights().weights == PACKED


def test_a_damaged_layer_is_named_and_the_tool_offered(packed):
    folder, tool, meant = packed
    name = next(name for name in meant if ".layers.1." in name)
    leaf = {
        AWQ: "scales",
        GPTQ: "qzeros",
        COMPRESSED: "weight_scale",
        BITSANDBYTES: "weight.absmax",
    }[tool]
    edit_weights(folder / "model.safetensors", lambda weights: weights.pop(f"{name}.{leaf}"))
    with pytest.raises(LoadError, match="engine reference") as caught:
        built(folder)
    assert name in str(caught.value)


def changed(tool, **values):
    said = SAID[tool] | values
    return {key: value for key, value in said.items() if value is not None}


def grouped(**weights):
    own = SAID[COMPRESSED]["config_groups"]["group_0"]
    return changed(COMPRESSED, config_groups={"g": own | {"weights": own["weights"] | weights}})


UNKNOWN = [
    {}, {"quant_method": "fp8"}, {"quant_method": ["awq"]},
    changed(AWQ, bits=8), changed(AWQ, version="gemv"), changed(AWQ, zero_point=False),
    changed(AWQ, group_size=-1), changed(AWQ, group_size="128"),
    changed(GPTQ, desc_act=True), changed(GPTQ, bits=3), changed(GPTQ, group_size=None),
    changed(GPTQ, checkpoint_format="marlin"), changed(GPTQ, group_size=1000),
    grouped(num_bits=8), grouped(type="float"), grouped(actorder="group"), grouped(group_size=None),
    changed(COMPRESSED, format="int-quantized"), changed(COMPRESSED, config_groups=[1]),
    changed(COMPRESSED, config_groups={"a": 1}), changed(COMPRESSED, config_groups={}),
    changed(BITSANDBYTES, bnb_4bit_quant_type="fp4"), changed(BITSANDBYTES, load_in_4bit=False),
    changed(BITSANDBYTES, bnb_4bit_quant_storage="bfloat16"),
]  # fmt: skip


@pytest.mark.parametrize("said", UNKNOWN, ids=repr)
def test_what_only_its_tool_can_read(said):
    assert read_four_bits(said) is None


def test_the_newer_gptq_counts_zeros_from_nought():
    assert read_four_bits(changed(GPTQ, checkpoint_format="gptq_v2")) == FourBits(GPTQ, GROUP)
    assert read_four_bits(changed(GPTQ, checkpoint_format=None)) == FORMS[GPTQ]
