"""Every candidate of every kernel whose blocks are chosen, against plain PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from qwen3vl_nodes.loaders.engine.kernels import byte_dot, matvec, nibble_dot
from qwen3vl_nodes.loaders.engine.kernels.moe import grouped
from qwen3vl_nodes.loaders.engine.kernels.tuning.candidates import with_default
from qwen3vl_nodes.loaders.weights.packed.matrices import NF4, ByteMatrix, NibbleMatrix, pack_codes
from torch.nn import functional


class Everything:
    """In place of `blocks_for`: tries all candidates, and compares each with the default."""

    def __init__(self, loose: float):
        self.loose, self.count, self.kernels = loose, 0, set()

    def blocks_for(self, kernel: Any, facts: Any, inputs: Any, default: Any, others: Any,
                   attempt: Any) -> Any:  # fmt: skip
        """The default, after all."""
        every = with_default(default, others())
        assert len(every) > 1, (kernel, facts)
        wanted = attempt(default)
        for blocks in every[1:]:
            made = attempt(blocks)
            wrong = _error(made, wanted)
            assert wrong <= self.loose, (kernel, facts, blocks, wrong)
        self.count += len(every)
        self.kernels.add(kernel.__name__)
        return default


def check_all(device: torch.device, dtype: torch.dtype) -> None:
    """Raises AssertionError, or says how many there are."""
    torch.manual_seed(0)
    every = Everything(1e-5 if dtype == torch.float32 else 1e-2)
    for module in (matvec, byte_dot, nibble_dot, grouped):
        module.blocks_for = every.blocks_for  # type: ignore[attr-defined] - a process of its own
    make = partial(_random, device, dtype)
    large = device.type == "cuda"
    _check_matvec(make, every, large)
    _check_dots(make, every, large)
    _check_experts(make, every, large)
    print(f"{every.count} candidates of {len(every.kernels)} kernels agree")


def _random(device: torch.device, dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=device).to(dtype)


def _same(made: torch.Tensor, wanted: torch.Tensor, every: Everything) -> None:
    wrong = _error(made, wanted)
    assert wrong <= every.loose, wrong


def _error(made: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((made.float() - wanted.float()).norm() / wanted.float().norm())


def _check_matvec(make: Any, every: Everything, large: bool) -> None:
    shapes = ((2048, 2048), (4096, 2560)) if large else ((6, 1100), (4, 1024))
    for rows in (1, 2, 4):
        for outputs, width in shapes:
            inputs, norm, weight = make(rows, width), make(width), make(outputs, width) / width**0.5
            normed = functional.rms_norm(inputs, (width,), norm, 1e-6)
            made = matvec.matvec(inputs, weight, norm=norm, eps=1e-6)
            _same(made, normed @ weight.T, every)
            hidden = make(rows, outputs)
            wanted = hidden + inputs @ weight.T
            matvec.matvec(inputs, weight, add_to=hidden)
            _same(hidden, wanted, every)
            gate, up = (normed @ weight.T).chunk(2, 1) if outputs % 2 == 0 else (None, None)
            if gate is not None:
                made = matvec.gated_matvec(inputs, weight, norm, 1e-6)
                _same(made, functional.silu(gate) * up, every)


def _byte_matrix(make: Any, outputs: int, width: int, block: tuple[int, int]) -> ByteMatrix:
    rows, columns = -(-outputs // block[0]), -(-width // block[1])
    scales = make(rows, columns).float().abs() * 0.01 + 0.01
    kind = torch.float8_e4m3fn if block[1] < width else torch.int8
    if kind == torch.int8:
        stored = torch.randint(-127, 128, (outputs, width), device=scales.device).to(kind)
    else:
        stored = make(outputs, width).to(kind)
    return ByteMatrix(stored, scales, block)


def _nibble_matrix(make: Any, outputs: int, width: int, coded: bool) -> NibbleMatrix:
    group = 64 if coded else 128
    device = make(1).device
    codes = torch.randint(0, 16, (outputs, width), dtype=torch.uint8, device=device)
    packed, span = pack_codes(codes, group)
    scales = make(width // group, outputs).float().abs() * 0.01 + 0.01
    zeros = torch.randint(5, 11, scales.shape, device=device).byte()
    code = torch.tensor(NF4, device=device) if coded else None
    return NibbleMatrix(packed, scales, None if coded else zeros, code, group, span)


def _check_dots(make: Any, every: Everything, large: bool) -> None:
    outputs, width = (2048, 2048) if large else (36, 256)
    for rows in (1, 20, 50) if large else (2, 18):
        inputs = make(rows, width)
        for block in ((128, 128), (1, 1 << 20)):
            matrix = _byte_matrix(make, outputs, width, block)
            plain = inputs.float() @ matrix.dequantized(torch.float32).T
            made = byte_dot.byte_dot(inputs, matrix.weight, matrix.scales, block)
            _same(made, plain, every)
            gate, up = plain.chunk(2, 1)
            if large or block[0] == 1:  # a block of rows would reach over the middle
                made = byte_dot.byte_dot(inputs, matrix.weight, matrix.scales, block, gated=True)
                _same(made, functional.silu(gate) * up, every)
        for coded in (False, True):
            matrix = _nibble_matrix(make, outputs, width, coded)
            plain = inputs.float() @ matrix.dequantized(torch.float32).T
            parts = (matrix.packed, matrix.scales, matrix.zeros, matrix.code)
            parts += (matrix.group, matrix.span)
            _same(nibble_dot.nibble_dot(inputs, *parts), plain, every)
            gate, up = plain.chunk(2, 1)
            if rows <= 32:
                made = nibble_dot.nibble_dot(inputs, *parts, gated=True)
                _same(made, functional.silu(gate) * up, every)


def _check_experts(make: Any, every: Everything, large: bool) -> None:
    from qwen3vl_nodes.loaders.engine.kernels.moe.mixing import blocks_of

    count, outputs, width = (16, 1536, 2048) if large else (3, 20, 256)
    for tokens, top in ((1, 2), (100, 4)) if large else ((3, 2),):
        inputs = make(tokens, width)
        device = inputs.device
        chosen = torch.stack([torch.randperm(count)[:top] for _ in range(tokens)]).int().to(device)
        groups = blocks_of(chosen, count)
        stack = make(count, outputs, width) / width**0.5
        matrices = (
            _byte_matrix(make, count * outputs, width, (1, 1 << 20)),
            _nibble_matrix(make, count * outputs, width, coded=False),
        )
        products = (
            (stack, grouped.plain_products(inputs, stack, groups, top)),
            (matrices[0], grouped.byte_products(inputs, matrices[0], count, groups, top)),
            (matrices[1], grouped.nibble_products(inputs, matrices[1], count, groups, top)),
        )
        pair = groups.order.long()
        expert = chosen.view(-1)[pair].long()
        for matrix, made in products:
            plain = matrix if isinstance(matrix, torch.Tensor) else matrix.dequantized(inputs.dtype)
            own = plain.view(count, outputs, width)[expert].float()
            wanted = torch.einsum("pk,pnk->pn", inputs[pair // top].float(), own)
            _same(made, wanted, every)
