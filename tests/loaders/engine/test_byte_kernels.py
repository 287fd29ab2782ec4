"""8-bit weights in Triton: each byte is the number it means, and every card gets its kernel."""

from pathlib import Path

import pytest
import torch
from fast_kit import DEVICE
from interpreted import run_interpreted
from qwen3vl_nodes.loaders.weights.packed.matrices import ByteMatrix

ROOT = Path(__file__).resolve().parents[3]
# Of cards with and without FP8 units, by compute capability: A100, 3090, 4090, H100, 5090.
CARDS = (80, 86, 89, 90, 120)
TYPES = {
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float32: "fp32",
    torch.int32: "i32",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.float8_e4m3fn: "fp8e4nv",
}


def fp8_stack(rows, columns, block, device):
    """Every finite byte many times over, with a scale for each block."""
    finite = torch.arange(256, dtype=torch.uint8)
    finite = finite[(finite & 0x7F) != 0x7F]
    weight = finite.repeat(-(-rows * columns // len(finite)))[: rows * columns].view(rows, columns)
    size = (-(-rows // block[0]), -(-columns // block[1]))
    scales = (1 + torch.rand(size)) / 448
    return ByteMatrix(weight.view(torch.float8_e4m3fn).to(device), scales.to(device), block)


def kernels():
    from qwen3vl_nodes.loaders.engine.kernels import byte_dot, dequantize
    from qwen3vl_nodes.loaders.engine.kernels.moe import grouped

    return byte_dot, dequantize, grouped


@torch.inference_mode()
def check_bytes(device, dtype):
    """The three kernels against plain PyTorch."""
    from qwen3vl_nodes.loaders.engine.kernels.moe.mixing import blocks_of

    byte_dot, dequantize, grouped = kernels()
    torch.manual_seed(0)
    loose = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    for block in ((128, 128), (64, 256)):
        matrix = fp8_stack(256, 256, block, device)
        plain = matrix.dequantized(dtype)
        assert torch.equal(dequantize.dequantize(matrix, dtype), plain)
        inputs = torch.randn(7, 256).to(device, dtype)
        wanted = inputs.float() @ matrix.dequantized(torch.float32).T
        found = byte_dot.byte_dot(inputs, matrix.weight, matrix.scales, block).float()
        assert (found - wanted).norm() < loose * wanted.norm()
        # Few pairs, one a block; and many, in blocks of 64.
        for count, pairs in ((4, 8), (2, 96)):
            chosen = torch.arange(pairs, dtype=torch.int32, device=device).view(-1, 1) % count
            blocks = blocks_of(chosen, count)
            rows = torch.randn(pairs, 256).to(device, dtype)
            stack = matrix.dequantized(torch.float32).view(count, -1, 256)
            order = blocks.order.long()
            wanted = torch.einsum("pk,pnk->pn", rows.float()[order], stack[chosen.view(-1)[order]])
            found = grouped.byte_products(rows, matrix, count, blocks, 1).float()
            assert (found - wanted).norm() < loose * wanted.norm()


@torch.inference_mode()
def check_rotated(device, dtype):
    """Products of int8 rows whose inputs are rotated, of few rows and of many."""
    from qwen3vl_nodes.loaders.engine.kernels.dequantize import dequantize
    from qwen3vl_nodes.loaders.engine.kernels.packed_products import gated_product, product

    torch.manual_seed(0)
    loose = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}[dtype]
    codes = torch.randint(-127, 128, (256, 256), dtype=torch.int8, device=device)
    for rows, height in ((256, 1), (1, 256)):
        scales = (1 + torch.rand(rows, 1, device=device)) / 1000
        matrix = ByteMatrix(codes, scales, (height, 256), 64)
        plain = matrix.dequantized(torch.float32)
        assert torch.equal(dequantize(matrix, dtype), plain.to(dtype))
        for count in (7, 70):
            inputs = torch.randn(count, 256, device=device).to(dtype)
            wanted = inputs.float() @ plain.T
            found = product(inputs, matrix).float()
            assert (found - wanted).norm() < loose * wanted.norm()
            gate, up = wanted.chunk(2, dim=1)
            mixed = torch.nn.functional.silu(gate) * up
            both = gated_product(inputs, matrix)
            assert (both is None) == (count > 64 or dtype == torch.float32)
            if both is not None:
                assert (both.float() - mixed).norm() < 2 * loose * mixed.norm()


@pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bytes_on_the_gpu(dtype):
    pytest.importorskip("triton")
    check_bytes(DEVICE, dtype)
    check_rotated(DEVICE, dtype)


@pytest.mark.skipif(DEVICE.type == "cuda", reason="they run for real")
def test_bytes_interpreted_on_the_cpu():
    pytest.importorskip("triton")
    run_interpreted(
        "import test_byte_kernels, torch\n"
        "for dtype in (torch.float32, torch.float16):\n"
        "    test_byte_kernels.check_bytes(torch.device('cpu'), dtype)\n"
        "    test_byte_kernels.check_rotated(torch.device('cpu'), dtype)\n"
    )


@pytest.fixture
def launches(monkeypatch):
    """What would be launched for bf16 on a GPU: (kernel, arguments, settings)."""
    pytest.importorskip("triton")
    made = []
    for module in kernels():
        monkeypatch.setattr(module, "launch", lambda k, _, *a, **s: made.append((k, a, s)))
        if hasattr(module, "in_assembler"):
            monkeypatch.setattr(module, "in_assembler", lambda w, _: w.element_size() == 1)
    return made


@pytest.mark.parametrize("card", CARDS)
def test_every_card_gets_its_kernels(card, launches, monkeypatch, tmp_path):
    """Compiled without a card: one below 8.9 takes no kernel that hears of e4m3."""
    from qwen3vl_nodes.loaders.engine.kernels.moe.mixing import blocks_of

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    byte_dot, dequantize, grouped = kernels()
    matrix = fp8_stack(512, 512, (128, 128), "cpu")
    inputs = torch.zeros(8, 512, dtype=torch.bfloat16)
    byte_dot.byte_dot(inputs, matrix.weight, matrix.scales, (128, 128))
    dequantize.dequantize(matrix, torch.bfloat16)
    for pairs in (8, 256):
        blocks = blocks_of(torch.zeros(pairs, 1, dtype=torch.int32), 2)
        grouped.byte_products(inputs, matrix, 2, blocks, 1)
    assert len(launches) == 4
    for kernel, arguments, settings in launches:
        compile_for(card, kernel, arguments, settings)


def compile_for(card, kernel, arguments, settings):
    """As a launch on such a card would."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature, constants = {}, {}
    for place, (parameter, value) in enumerate(zip(kernel.params, arguments, strict=True)):
        if parameter.is_constexpr:
            signature[parameter.name], constants[place,] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[parameter.name] = f"*{TYPES[value.dtype]}"
        else:
            signature[parameter.name] = "i32"
    made = triton.compile(
        ASTSource(kernel, signature, constants),
        target=GPUTarget("cuda", card, 32),
        options={key: settings[key] for key in ("num_warps", "num_stages") if key in settings},
    )
    assert "ptx" in made.asm
