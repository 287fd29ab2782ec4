"""4-bit layouts of other tools, against weights made plain by their own definition."""

import pytest
import torch
from qwen3vl_nodes.loaders.weights.packed.matrices import NF4
from qwen3vl_nodes.loaders.weights.packed.packed_layouts import (
    AWQ_ORDER,
    LayoutError,
    from_awq,
    from_compressed,
    from_gptq,
    from_nf4,
)

ROWS, COLUMNS, GROUP = 16, 256, 128


def word(values):
    """Eight 4-bit numbers as one int32, the first in the lowest bits."""
    number = sum(int(value) << (4 * place) for place, value in enumerate(values))
    return number - (1 << 32) if number >= 1 << 31 else number


def words(numbers, order=range(8)):
    """The last dimension in words of eight, whose places hold the numbers of `order`."""
    flat = numbers.reshape(-1, 8)
    made = [word([line[i] for i in order]) for line in flat]
    return torch.tensor(made, dtype=torch.int32).view(*numbers.shape[:-1], -1)


@pytest.fixture
def drawn():
    """(codes [N, K], zeros [N, K / group], scales [N, K / group], the plain weight)."""
    torch.manual_seed(0)
    codes = torch.randint(0, 16, (ROWS, COLUMNS))
    zeros = torch.randint(1, 15, (ROWS, COLUMNS // GROUP))
    scales = torch.rand(ROWS, COLUMNS // GROUP) + 0.1
    wide = zeros.repeat_interleave(GROUP, 1), scales.repeat_interleave(GROUP, 1)
    return codes, zeros, scales, (codes - wide[0]) * wide[1]


def test_awq(drawn):
    codes, zeros, scales, plain = drawn
    # Numbers 0, 2, 4, 6, 1, 3, 5, 7 of eight neighbours lie in a word from its lowest bits on.
    matrix = from_awq(words(codes.T, AWQ_ORDER), words(zeros.T, AWQ_ORDER), scales.T, GROUP)
    assert torch.equal(matrix.dequantized(torch.float32), plain)


@pytest.mark.parametrize("from_one", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_gptq(drawn, from_one, ordered):
    codes, zeros, scales, plain = drawn
    qweight = words(codes).T.contiguous()
    qzeros = words((zeros - 1 if from_one else zeros).T)
    g_idx = torch.arange(COLUMNS) // GROUP if ordered else None
    matrix = from_gptq(qweight, qzeros, scales.T, g_idx, GROUP, from_one)
    assert torch.equal(matrix.dequantized(torch.float32), plain)


def test_gptq_in_another_order_is_refused(drawn):
    codes, zeros, scales, _ = drawn
    with pytest.raises(LayoutError, match="desc_act"):
        from_gptq(words(codes).T, words(zeros.T), scales.T, torch.randperm(COLUMNS) // GROUP, GROUP)


@pytest.mark.parametrize("with_zeros", [True, False])
def test_compressed_tensors(drawn, with_zeros):
    codes, zeros, scales, plain = drawn
    if not with_zeros:
        plain = (codes - 8) * scales.repeat_interleave(GROUP, 1)
    stored = words(zeros.T).T.contiguous() if with_zeros else None
    matrix = from_compressed(words(codes), scales, stored, COLUMNS)
    assert torch.equal(matrix.dequantized(torch.float32), plain)
    assert (matrix.zeros is None) == (not with_zeros)


def test_nf4():
    torch.manual_seed(0)
    codes = torch.randint(0, 16, (ROWS, COLUMNS), dtype=torch.uint8)
    absmax = torch.rand(ROWS * COLUMNS // 64)
    flat = codes.reshape(-1, 2)
    matrix = from_nf4((flat[:, 0] << 4) | flat[:, 1], absmax, (ROWS, COLUMNS))
    plain = torch.tensor(NF4)[codes.int()] * absmax.repeat_interleave(64).view(ROWS, COLUMNS)
    assert torch.equal(matrix.dequantized(torch.float32), plain)


def test_nf4_is_as_bitsandbytes_has_it():
    functional = pytest.importorskip("bitsandbytes.functional")
    torch.manual_seed(0)
    weight = torch.randn(ROWS, COLUMNS)
    data, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    matrix = from_nf4(data, state.absmax, (ROWS, COLUMNS))
    theirs = functional.dequantize_4bit(data, state)
    torch.testing.assert_close(matrix.dequantized(torch.float32), theirs, rtol=1e-5, atol=1e-6)


def test_blocks_across_rows_are_refused():
    with pytest.raises(LayoutError, match="across rows"):
        from_nf4(torch.zeros(96 * 2 // 2, dtype=torch.uint8), torch.ones(3), (2, 96))
    with pytest.raises(LayoutError, match="rows of 64"):
        from_nf4(torch.zeros(64, dtype=torch.uint8), torch.ones(2), (2, 64))
