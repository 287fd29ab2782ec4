"""Weights that stay packed: the same tokens as `generate` on the weights that they stand for."""

import copy
from functools import lru_cache

import pytest
import torch
from fast_kit import DEVICE, ask, check, clip, engine, picture, tiny
from qwen3vl_nodes.loaders.engine.model.layers import collect, supports
from qwen3vl_nodes.loaders.weights.packed.matrices import (
    NF4,
    ByteMatrix,
    NibbleMatrix,
    joined,
    pack_codes,
)
from qwen3vl_nodes.loaders.weights.packed.packed_experts import PackedExperts
from qwen3vl_nodes.loaders.weights.packed.packed_linear import PackedEmbedding, PackedLinear, join
from qwen3vl_nodes.loaders.weights.packed.packing import (
    distance,
    inner_linears,
    pack_int4,
    pack_int8,
    pack_vocabulary,
    replace_part,
)
from qwen3vl_nodes.loaders.weights.packed.rotation import hadamard, rotated
from tiny_checkpoint import build_model
from torch import nn

REQUESTS = [
    ask("hello"),
    ask("a", picture(64, 96), "b", picture(128, 64), "?"),
    ask(clip(), "what happens?"),
    *(ask(picture(64 + 32 * (i % 3), 64, seed=i), "?" * (1 + i), tokens=9) for i in range(5)),
]


def fp8(height, width):
    def made(weight):
        h, w = min(height, weight.shape[0]), min(width, weight.shape[1])
        rows, columns = -(-weight.shape[0] // h), -(-weight.shape[1] // w)
        scales = torch.rand(rows, columns, device=weight.device) * 0.001 + 0.0005
        full = scales.repeat_interleave(h, 0).repeat_interleave(w, 1)
        full = full[: weight.shape[0], : weight.shape[1]]
        return ByteMatrix((weight / full).clamp(-448, 448).to(torch.float8_e4m3fn), scales, (h, w))

    return made


def nibble(group, zeros=False, code=None):
    def made(weight):
        rows, columns = weight.shape
        codes = torch.randint(0, 16, (rows, columns), dtype=torch.uint8, device=weight.device)
        packed, span = pack_codes(codes, group)
        scales = 0.02 + 0.01 * torch.rand(columns // group, rows, device=weight.device)
        if code is not None:
            scales = scales * 8
        own = torch.randint(5, 11, (columns // group, rows), device=weight.device)
        return NibbleMatrix(packed, scales, own.byte() if zeros else None, code, group, span)

    return made


def turned(size):
    """Rows of int8 whose groups of `size` inputs are rotated; scales as ComfyUI makes them."""

    def made(weight):
        groups = rotated(weight.float(), size)
        scales = groups.abs().amax(1, keepdim=True) / 127
        return ByteMatrix(
            (groups / scales).round().to(torch.int8), scales, (1, weight.shape[1]), size
        )

    return made


KINDS = {
    "fp8 blocks": fp8(128, 128),
    "fp8 uneven blocks": fp8(48, 96),
    "fp8 one scale": fp8(1 << 20, 1 << 20),
    "fp8 rows": fp8(1, 1 << 20),
    "int8": pack_int8,
    "int8 rotated": turned(64),
    "int4": pack_int4,
    "int4 zeros": nibble(64, zeros=True),
    "nf4": nibble(64, code=torch.tensor(NF4, device=DEVICE)),
}


# Those of which the CPU answers all requests too.
GATED = ("fp8 blocks", "int4", "int8 rotated")


@lru_cache(maxsize=1)
def wide():
    """A model whose rows are whole groups."""
    rope = {"rope_type": "default", "mrope_section": [8, 4, 4], "mrope_interleaved": True}
    model = build_model(
        tiny().processor.tokenizer,
        hidden_size=128, intermediate_size=256, head_dim=32, rope_scaling=rope,
    )  # fmt: skip
    return model.to(DEVICE)


def both(kind):
    """The wide model packed, and with the plain weights for which those stand."""
    torch.manual_seed(3)
    packed, plain = copy.deepcopy(wide()), copy.deepcopy(wide())
    for name, part in list(inner_linears(packed)):
        matrix = KINDS[kind](part.weight.detach())
        replace_part(packed, name, PackedLinear(matrix))
        plain.get_submodule(name).weight.data = matrix.dequantized(torch.float32)
    assert sum(isinstance(part, PackedLinear) for part in packed.modules()) == 3 * 7
    return packed, plain


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_equals_generate_on_the_weights_that_are_meant(kind):
    packed, plain = both(kind)
    assert supports(packed) is None
    requests = REQUESTS if DEVICE.type == "cuda" or kind in GATED else REQUESTS[:2]
    check(engine(packed, most_rows=3), requests, plain)


@pytest.mark.parametrize("tied", [True, False])
def test_greedy_with_a_packed_vocabulary_equals_generate(tied):
    packed, plain = both("int4")
    if not tied:
        for module in (packed, plain):
            module.lm_head.weight = nn.Parameter(wide().lm_head.weight.detach().flip(0).clone())
    pack_vocabulary(packed, tied)
    table = packed.model.language_model.embed_tokens.matrix.dequantized(torch.float32)
    assert not torch.equal(table, plain.lm_head.weight)
    plain.model.language_model.embed_tokens.weight.data = table
    plain.lm_head.weight.data = packed.lm_head.matrix.dequantized(torch.float32)
    assert supports(packed) is None
    check(engine(packed, most_rows=3), REQUESTS, plain)


def test_the_module_itself_computes_the_same():
    packed, plain = both("int4 zeros")
    ids = torch.arange(5, 25, device=DEVICE)[None]
    with torch.inference_mode():
        torch.testing.assert_close(
            packed(input_ids=ids).logits, plain(input_ids=ids).logits, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_joined_parts_stay_the_modules_own(kind):
    torch.manual_seed(0)
    weights = [torch.randn(rows, 256, device=DEVICE) * 0.1 for rows in (96, 32, 32)]
    parts = [PackedLinear(KINDS[kind](weight)) for weight in weights]
    plain = [part.matrix.dequantized(torch.float32) for part in parts]
    whole = join(parts)
    assert whole is not None
    assert torch.equal(whole.dequantized(torch.float32), torch.cat(plain))
    again = join(parts)
    assert again is not None and again.scales.data_ptr() == whole.scales.data_ptr()
    assert torch.equal(again.dequantized(torch.float32), torch.cat(plain))
    for part, before in zip(parts, plain, strict=True):
        assert torch.equal(part.matrix.dequantized(torch.float32), before)
        for parameter in part.parameters():
            parameter.data = parameter.data.clone()  # as a move of the module does
    moved = join(parts)
    assert moved is not None and moved.scales.data_ptr() != whole.scales.data_ptr()
    assert torch.equal(moved.dequantized(torch.float32), torch.cat(plain))


def test_weights_of_two_kinds_are_not_joined():
    weight = torch.randn(32, 128)
    assert joined([pack_int4(weight), pack_int8(weight)]) is None
    parts = [PackedLinear(pack_int4(weight)), nn.Linear(128, 32, bias=False)]
    from qwen3vl_nodes.loaders.engine.model import layers

    assert len(layers._matrix(parts, join=True)) == 2
    # Inputs are rotated once for all that is joined.
    assert joined([turned(64)(weight), turned(16)(weight)]) is None
    both = [PackedLinear(turned(size)(weight)) for size in (16, 16)]
    assert join(both) is not None and join(both) is not None
    both[1]._rotated = 64
    assert join(both) is None


@pytest.mark.parametrize("size", [4, 64, 256])
def test_rotated_weights_are_near_the_weights(size):
    matrix = hadamard(size, torch.float32, torch.device("cpu"))
    assert torch.equal(matrix @ matrix, torch.eye(size)) and torch.equal(matrix, matrix.T)
    assert torch.equal(matrix.sum(0).abs(), torch.ones(size))  # a regular one
    weight = torch.randn(24, 512)
    packed = turned(size)(weight)
    assert distance(packed, weight) < 0.01
    assert torch.equal(
        packed.rows(torch.tensor([3, 5])).dequantized(torch.float32),
        packed.dequantized(torch.float32)[[3, 5]],
    )
    table = PackedEmbedding(packed, torch.float32)
    ids = torch.tensor([[7, 0]])
    assert torch.equal(table(ids), packed.dequantized(torch.float32)[ids])
    linear, inputs = PackedLinear(packed), torch.randn(3, 512)
    wanted = inputs @ packed.dequantized(torch.float32).T
    torch.testing.assert_close(linear(inputs), wanted, rtol=1e-4, atol=1e-4)
    assert f"rotated by {size}" in repr(linear)


@pytest.mark.parametrize(("columns", "group"), [(128, 128), (512, 64), (1280, 128), (256, 32)])
def test_codes_come_back(columns, group):
    codes = torch.randint(0, 16, (5, columns), dtype=torch.uint8)
    packed, span = pack_codes(codes, group)
    ones = torch.ones(columns // group, 5)
    matrix = NibbleMatrix(packed, ones, None, None, group, span)
    assert torch.equal(matrix.codes(), codes)
    assert torch.equal(matrix.dequantized(torch.float32), codes.float() - 8)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="groups of 128"):
        pack_codes(torch.zeros(2, 192, dtype=torch.uint8), 128)
    with pytest.raises(ValueError, match="scales"):
        ByteMatrix(torch.zeros(4, 8, dtype=torch.int8), torch.ones(2, 2), (4, 8))
    with pytest.raises(ValueError, match="scales"):
        NibbleMatrix(torch.zeros(4, 16, dtype=torch.int32), torch.ones(1, 3), None, None, 128, 16)


def test_rotations_that_cannot_be_are_refused():
    codes, scales = torch.zeros(4, 96, dtype=torch.int8), torch.ones(4, 1)
    with pytest.raises(ValueError, match="groups of 64"):
        ByteMatrix(codes, scales, (1, 96), 64)
    with pytest.raises(ValueError, match="groups of 32"):
        hadamard(32, torch.float32, torch.device("cpu"))
    stack = ByteMatrix(codes, scales, (1, 96), 16)
    with pytest.raises(ValueError, match="never rotated"):
        PackedExperts(stack, stack, 2)


def test_packing_keeps_most_of_a_weight():
    torch.manual_seed(0)
    weight = torch.randn(64, 512) * 0.02
    weight[3, 100] = 0.6  # one that sticks out costs its own group only
    assert distance(pack_int8(weight), weight) < 0.01
    assert distance(pack_int4(weight), weight) < 0.12
    zeros = torch.zeros(8, 128)
    assert torch.equal(pack_int4(zeros).dequantized(torch.float32), zeros)


def test_layers_are_read_packed():
    packed, _ = both("fp8 blocks")
    layer = collect(packed)[0]
    assert all(isinstance(matrix, ByteMatrix) for matrix in (*layer.qkv, layer.out, layer.down))


@pytest.mark.parametrize(
    ("rows", "columns", "block", "dtype", "multiplied"),
    [
        (256, 512, (128, 128), torch.float8_e4m3fn, True),
        (256, 256, (128, 128), torch.float8_e4m3fn, False),  # cuBLAS reads scales in fours
        (192, 512, (128, 128), torch.float8_e4m3fn, False),
        (256, 512, (1, 512), torch.float8_e4m3fn, False),  # not made for FP8 inputs
        (256, 512, (128, 128), torch.int8, False),
    ],
)
def test_what_is_multiplied_as_fp8(monkeypatch, rows, columns, block, dtype, multiplied):
    pytest.importorskip("triton")
    from qwen3vl_nodes.loaders.engine.kernels import packed_products

    monkeypatch.setattr(packed_products, "fp8_product_works", lambda _device, _dtype: True)
    scales = torch.ones(-(-rows // block[0]), -(-columns // block[1]))
    matrix = ByteMatrix(torch.zeros(rows, columns).to(dtype), scales, block)
    assert packed_products._as_fp8(torch.zeros(100, columns), matrix) is multiplied
    if multiplied:  # a kernel that knows of no rotation would read it as another matrix
        turned_one = ByteMatrix(matrix.weight, scales, block, 64)
        assert not packed_products._as_fp8(torch.zeros(100, columns), turned_one)
