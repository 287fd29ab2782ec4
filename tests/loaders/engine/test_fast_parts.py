"""Parts of the fast engine on their own: features, positions, pages, joined weights, kernels."""

import os
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fast_kit import DEVICE, ask, check, clip, engine, picture, tiny
from interpreted import run_interpreted
from qwen3vl_nodes.loaders.engine.model import layers
from qwen3vl_nodes.loaders.engine.model.experts import Experts, mixed
from qwen3vl_nodes.loaders.engine.model.text_tower import TextModel
from qwen3vl_nodes.loaders.engine.model.torch_ops import DecodeView, TorchOps
from qwen3vl_nodes.loaders.engine.model.vision_tower import VisionTower
from qwen3vl_nodes.loaders.engine.request.encoding import Preparer
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder
from qwen3vl_nodes.loaders.engine.scheduler import fusion
from qwen3vl_nodes.loaders.engine.scheduler.fusion import pick_ops
from qwen3vl_nodes.loaders.engine.scheduler.graphs import StepGraphs
from qwen3vl_nodes.loaders.engine.scheduler.meter import look_away_seconds
from qwen3vl_nodes.loaders.engine.state.pool import PagePool
from qwen3vl_nodes.loaders.engine.state.prefix import PrefixCache, common
from qwen3vl_nodes.loaders.engine.state.rows import Rows
from qwen3vl_nodes.loaders.engine.state.transfer import as_tensor
from qwen3vl_nodes.loaders.weights.packed.matrices import ByteMatrix
from qwen3vl_nodes.loaders.weights.packed.packing import pack_int4, pack_int8
from qwen3vl_nodes.utils.chat.sampling import Sampling
from torch import nn

REQUESTS = [
    ask("hello"),
    ask("a", picture(64, 96), "b", picture(160, 64), picture(64, 64), "?"),
    ask(clip(), "what?", picture(96, 64)),
]


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_ids_and_positions_are_the_processors_and_the_models(number):
    encoder, model = PromptEncoder(tiny().processor), tiny().model
    prepared = Preparer(encoder, model.config)(REQUESTS[number])
    inputs = encoder.encode(REQUESTS[number]).inputs
    assert prepared.ids.tolist() == inputs["input_ids"][0].tolist()
    wanted = ("input_ids", "mm_token_type_ids", "image_grid_thw", "video_grid_thw")
    known = {k: v for k, v in inputs.items() if k in wanted}
    if "mm_token_type_ids" not in model.model.get_rope_index.__code__.co_varnames:
        known.pop("mm_token_type_ids", None)
    elif "mm_token_type_ids" not in known:
        known["mm_token_type_ids"] = torch.zeros_like(inputs["input_ids"])
    positions, delta = model.model.get_rope_index(**known)
    assert np.array_equal(prepared.positions, positions[:, 0].numpy())
    assert prepared.next_position - prepared.length == int(delta)


def test_rotation_is_the_stock_models_and_laid_out_for_kernels():
    model = tiny().model
    text = TextModel(model, TorchOps())
    positions = torch.randint(0, 500, (3, 40), device=DEVICE)
    cos, sin = text.rotary(positions)
    assert cos.is_contiguous() and sin.is_contiguous()
    stock = model.model.language_model.rotary_emb(text.embedding[:1], positions[:, None])
    for mine, theirs in zip((cos, sin), stock, strict=True):
        torch.testing.assert_close(torch.cat((mine, mine), dim=-1), theirs[0])
    flat = text.rotary(positions[0])
    same = text.rotary(positions[:1].expand(3, -1))
    assert torch.equal(flat[0], same[0]) and torch.equal(flat[1], same[1])


@torch.inference_mode()
def test_features_are_the_stock_models():
    encoder, model = PromptEncoder(tiny().processor), tiny().model
    request = ask(picture(64, 96), picture(160, 64), picture(64, 64, 2), picture(96, 224))
    prepared = Preparer(encoder, model.config)(request)
    tower = VisionTower(model.model.visual, tiny().processor.image_processor, pick_ops(DEVICE))
    turns = []
    mine = torch.cat(tower(prepared.visuals, lambda: turns.append(1)), dim=1)
    assert len(turns) >= len(model.model.visual.blocks)
    inputs = encoder.encode(request).inputs
    out = model.model.get_image_features(
        inputs["pixel_values"].to(DEVICE), inputs["image_grid_thw"].to(DEVICE)
    )
    # transformers 4 gives a tuple, 5 an output object (whose class is a tuple to the checker).
    whole = getattr(out, "pooler_output", None)
    whole, levels = out[:2] if whole is None else (whole, out["deepstack_features"])
    levels = [torch.cat(x) if isinstance(x, (list, tuple)) else x for x in levels]
    stock = torch.stack([torch.cat(tuple(whole)), *levels])
    torch.testing.assert_close(mine, stock, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_many_pictures_are_read_in_several_passes(monkeypatch):
    encoder, model = PromptEncoder(tiny().processor), tiny().model
    prepared = Preparer(encoder, model.config)(ask(*[picture(64, 96, i) for i in range(5)]))
    tower = VisionTower(model.model.visual, tiny().processor.image_processor, TorchOps())
    at_once = tower(prepared.visuals)
    for name in ("PASS_PATCHES", "PASS_PATCHES_CPU"):
        monkeypatch.setattr(f"qwen3vl_nodes.loaders.engine.model.vision_tower.{name}", 50)
    for one, other in zip(tower(prepared.visuals), at_once, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("error::UserWarning")
@torch.inference_mode()
def test_pictures_that_must_not_be_written_are_read_without_a_warning():
    """As Pillow hands them out; torch warns of them once in a process unless told otherwise."""
    encoder, model = PromptEncoder(tiny().processor), tiny().model
    request = ask(clip(), picture(64, 96))
    for part in request.messages[0].parts[:2]:
        (part.frames if hasattr(part, "frames") else part.pixels).flags.writeable = False
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        for asked in (request, ask(request.messages[0].parts[1])):  # the processor's way and ours
            prepared = Preparer(encoder, model.config)(asked)
            tower = VisionTower(model.model.visual, tiny().processor.image_processor, TorchOps())
            assert tower(prepared.visuals)
    finally:
        torch.set_warn_always(always)


def test_only_what_must_not_be_written_is_copied():
    mine = np.zeros((2, 3), dtype=np.uint8)
    assert as_tensor(mine).data_ptr() == mine.ctypes.data
    mine.flags.writeable = False
    assert as_tensor(mine).data_ptr() != mine.ctypes.data


def small_pool(pages=8):
    pool = PagePool(1, 2, 4, torch.float32, torch.device("cpu"), page_tokens=4)
    pool.grow(pages)
    return pool


def test_pages_are_counted_and_kept_when_the_pool_grows():
    pool = small_pool(4)
    assert pool.free_pages == 3  # one is scratch
    mine = pool.allocate(2)
    assert mine == [1, 2] and pool.allocate(2) is None
    pool.keys[0][:, 4:12] = 7.0
    pool.retain(mine)
    pool.release(mine)
    assert pool.free_pages == 1
    pool.grow(6)
    assert pool.free_pages == 3 and (pool.keys[0][:, 4:12] == 7.0).all()
    pool.release(mine)
    assert sorted(pool.allocate(5) or []) == [1, 2, 3, 4, 5]


def content(*ids):
    return np.array([[i, 0] for i in ids], dtype=np.int64).reshape(-1, 2)


def test_prefixes_are_found_by_content_and_bounded():
    pool = small_pool()
    prefix = PrefixCache(pool, max_entries=2)
    pages = pool.allocate(2) or []
    key = prefix.add(content(1, 2, 3, 4, 5), pages)
    pool.release(pages)
    assert pool.free_pages == 5
    assert prefix.longest(content(1, 2, 3, 4, 9)) == (4, pages[:1])
    assert prefix.longest(content(1, 2, 3, 4, 5, 6)) == (5, pages)
    assert prefix.longest(content(8)) == (0, [])
    prefix.add(content(7), pool.allocate(1) or [])
    prefix.longest(content(1))  # used now, so the other one goes first
    prefix.add(content(8), pool.allocate(1) or [])
    assert prefix.longest(content(7)) == (0, []) and prefix.longest(content(1))[0] == 1
    prefix.forget(key)
    assert pool.free_pages == 5
    prefix.forget(key)
    assert prefix.evict() and not prefix.evict()


def test_common_beginning():
    assert common(content(1, 2, 3), content(1, 2, 4, 5)) == 2
    assert common(content(1, 2), content(1, 2, 4)) == 2
    assert common(content(), content(1)) == 0
    assert common(content(5), np.array([[5, 1]])) == 0


def test_joined_weights_stay_the_modules_own():
    from torch import nn

    torch.manual_seed(0)
    parts = [nn.Linear(6, n, bias=False) for n in (4, 2, 2)]
    before = [part.weight.detach().clone() for part in parts]
    (whole,) = layers._matrix(parts, join=True)
    assert torch.equal(whole, torch.cat(before))
    again = layers._matrix(parts, join=True)[0]
    assert again.data_ptr() == whole.data_ptr() == parts[0].weight.data_ptr()
    parts[1].weight.data = parts[1].weight.data.clone()  # as a move of the module does
    rejoined = layers._matrix(parts, join=True)[0]
    assert torch.equal(rejoined, torch.cat(before))
    assert rejoined.data_ptr() == parts[0].weight.data_ptr()
    assert len(layers._matrix(parts, join=False)) == 3


def test_addresses_stand_for_memory_that_is_only_promised(monkeypatch):
    pytest.importorskip("triton")
    from qwen3vl_nodes.loaders.engine.kernels import launch as module

    taken = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *arguments, **settings: taken.append((grid, arguments, settings))

    tensor = torch.zeros(4, dtype=torch.float16)
    module.launch(Kernel(), (2,), tensor, None, 3, num_warps=1)
    assert taken[-1][1][0] is tensor
    monkeypatch.setattr(module, "_memory_is_promised", lambda: True)
    module.launch(Kernel(), (2,), tensor, None, 3, num_warps=1)
    grid, (address, nothing, number), settings = taken[-1]
    assert (grid, nothing, number, settings) == ((2,), None, 3, {"num_warps": 1})
    assert address == tensor.data_ptr() == address.data_ptr() and address.dtype == torch.float16
    from triton._C.libtriton import native_specialize_impl
    from triton.backends.nvidia.compiler import CUDABackend

    kinds = [native_specialize_impl(CUDABackend, x, False, True, True) for x in (tensor, address)]
    assert kinds[0] == kinds[1]


def test_a_kernel_that_does_not_fit_gets_fewer_stages(monkeypatch):
    """A gaming card has 99 KiB of shared memory where blocks were measured with 227."""
    pytest.importorskip("triton")
    from qwen3vl_nodes.loaders.engine.kernels import launch as module
    from triton.runtime.errors import OutOfResources

    monkeypatch.setattr(module, "_FEWER", {})
    tries, fits = [], {"stages": 2}

    class Kernel:
        def __getitem__(self, grid):
            def run(*_arguments, num_stages=3):
                tries.append(num_stages)
                if num_stages > fits["stages"]:
                    raise OutOfResources(131_072, 101_376, "shared memory")

            return run

    kernel = Kernel()
    module.launch(kernel, (2,), 1, num_stages=4)
    module.launch(kernel, (2,), 1, num_stages=4)
    module.launch(kernel, (2,), 1)
    assert tries == [4, 3, 2, 2, 3, 2]
    fits["stages"] = 0
    with pytest.raises(OutOfResources):
        module.launch(kernel, (2,), 1)
    assert tries[-1] == 1


def test_a_step_that_cannot_be_captured_is_launched(monkeypatch):
    graphs, steps, tries = StepGraphs(), [], []

    def capture(step, rehearse):
        tries.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "_capture", capture)
    for _ in range(3):
        graphs.replay("key", lambda: steps.append(1), lambda: None)
    assert len(steps) == 3 and len(tries) == 1

    def out_of_memory(step, rehearse):
        raise torch.OutOfMemoryError("no memory")

    graphs = StepGraphs()
    monkeypatch.setattr(graphs, "_capture", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.replay("key", lambda: steps.append(1), lambda: None)
    assert len(steps) == 3


@pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a GPU")
def test_fused_under_the_allocator_that_comfyui_sets():
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(here / "test_fast_gates.py"), "-q"]
        + ["-k", "refills or moved or all_cases or allocator"],
        env={**os.environ, "PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"},
        cwd=here.parent.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def pack_fp8(weight: torch.Tensor, width: int = 128) -> ByteMatrix:
    """FP8 with a scale of its own for every 128 rows of `width`."""
    rows, columns = weight.shape
    scales = weight.abs().float().mean() * (0.5 + torch.rand(rows // 128, columns // width))
    scales = scales.to(weight.device)
    full = scales.repeat_interleave(128, 0).repeat_interleave(width, 1)
    small = (weight.float() / full).to(torch.float8_e4m3fn)
    return ByteMatrix(small, scales, (128, width))


def check_experts(fused, random, same, large) -> None:
    """Few pairs, which are no product of many; many; weights of either transformers, packed ones;
    experts that nobody takes.
    """
    from qwen3vl_nodes.loaders.engine.kernels.moe.grouped import (
        byte_products,
        nibble_products,
        plain_products,
    )
    from qwen3vl_nodes.loaders.engine.kernels.moe.mixing import blocks_of, choose

    count, top, wide, middle = (32, 8, 256, 128) if large else (5, 2, 128, 128)
    router = random(count, wide)
    router[1] = 0  # is taken where all others are worse
    gate_up = random(count, 2 * middle, wide, grow=wide**-0.5)
    down = random(count, wide, middle, grow=middle**-0.5)
    turned = (gate_up.mT.contiguous().mT, down.mT.contiguous().mT)
    stacks = [(gate_up, down), turned]
    for pack in (pack_int4, pack_int8, pack_fp8):
        stacks.append(tuple(pack(weight.flatten(0, 1)) for weight in (gate_up, down)))
    for tokens in (1, 3, 40, 700) if large else (3, 40):
        inputs = random(tokens, wide)
        for stack in stacks[: 5 if large or tokens == 3 else 1]:
            experts = Experts(router, *stack, top)
            same(fused.mixed_experts(inputs, experts), mixed(inputs, experts))
    blocks = blocks_of(choose(random(40, wide), Experts(router, gate_up, down, top))[0], count)
    rows = random(80 if not large else 320, wide)
    plain = plain_products(rows, gate_up, blocks, 0)
    one_scale = tuple(pack_fp8(w.flatten(0, 1), w.shape[2]) for w in (gate_up, down))
    for stack, products in (
        (stacks[2], nibble_products),
        *((own, byte_products) for own in (*stacks[3:], one_scale)),
    ):
        meant = stack[0].dequantized(rows.dtype).view(gate_up.shape)
        found = products(rows, stack[0], count, blocks, 0)
        same(found, plain_products(rows, meant, blocks, 0))
        assert (found - plain).norm() < 0.2 * plain.norm()


@torch.inference_mode()
def check_kernels(device: torch.device, dtype: torch.dtype) -> None:
    """Each Triton kernel against plain PyTorch, on odd sizes too."""
    from qwen3vl_nodes.loaders.engine.kernels.triton_ops import TritonOps

    def random(*shape, grow=1.0):
        return (torch.randn(*shape) * grow).to(device, dtype)

    def same(one, other):
        loose = 2e-5 if dtype == torch.float32 else 3e-2
        torch.testing.assert_close(one, other, rtol=loose, atol=loose)

    torch.manual_seed(0)
    plain, fused = TorchOps(), TritonOps()
    large = device.type == "cuda"  # the interpreter takes seconds for what a GPU does at once
    for width in (96, 2048):
        delta, hidden, weight = random(3, width), random(3, width), random(width)
        one, other = hidden.clone(), hidden.clone()
        same(fused.add_norm(delta, one, weight, 1e-6), plain.add_norm(delta, other, weight, 1e-6))
        same(one, other)
        same(fused.add_norm(None, one, weight, 1e-6), plain.add_norm(None, other, weight, 1e-6))
    for tokens, heads, kv_heads, size in (
        (3, 4, 2, 16),
        (70, 16, 8, 128) if large else (65, 2, 1, 16),
    ):
        qkv = random(tokens, (heads + 2 * kv_heads) * size)
        layer = SimpleNamespace(q_norm=random(size), k_norm=random(size))
        rotary = (random(tokens, size // 2), random(tokens, size // 2))
        targets = torch.randperm(160)[:tokens].to(device)
        buffers = [torch.zeros(kv_heads, 160, size, device=device, dtype=dtype) for _ in range(4)]
        one = plain.rotate_and_store(qkv.clone(), layer, 1e-6, rotary, *buffers[:2], targets)
        other = fused.rotate_and_store(qkv.clone(), layer, 1e-6, rotary, *buffers[2:], targets)
        for a, b in zip((*one, *buffers[:2]), (*other, *buffers[2:]), strict=True):
            same(b, a)
    check_experts(fused, random, same, large)
    gate_up = random(5, 2 * 300)
    same(fused.gated(gate_up), plain.gated(gate_up))
    for size in (18, 64):
        qkv = random(5, 3 * 4 * size)
        angles = torch.randn(5, size // 2, device=device)
        rotary = (angles.cos(), angles.sin())
        same(
            fused.rotate_vision(qkv.clone(), 4, rotary), plain.rotate_vision(qkv.clone(), 4, rotary)
        )
        norm = nn.LayerNorm(size * 12, eps=1e-6).to(device, dtype)
        norm.weight.copy_(random(size * 12))
        norm.bias.copy_(random(size * 12))
        delta = random(5, size * 12)
        one, other = qkv.clone(), qkv.clone()
        same(fused.add_layer_norm(delta, one, norm), plain.add_layer_norm(delta, other, norm))
        same(one, other)
        same(fused.add_layer_norm(None, one, norm), plain.add_layer_norm(None, other, norm))
    check_attention(plain, fused, random, same, large)
    check_matvec(plain, fused, random, same)
    check_ends(plain, fused, random, same)


def check_ends(plain, fused, random, same):
    """What a decode step starts from, and the token drawn; the table plain and packed."""
    table = random(300, 160)
    for embedding in (table, pack_int8(table)):
        _check_ends(plain, fused, embedding, same, random(160))


def _check_ends(plain, fused, embedding, same, norm):
    sample = norm[:1]
    text = TextModel.__new__(TextModel)
    text.embedding, text.final_norm, text.scaling = embedding, norm, 1.5
    text.inv_freq = torch.rand(8).to(sample.device)
    pairs = []
    for ops in (plain, fused):
        torch.manual_seed(1)
        rows = Rows(8, 300, 20, sample.device)
        rows.table.copy_(torch.randint(0, 9, (8, 20)))
        for row in range(6):
            hot = Sampling(9, 0.0 if row == 2 else 0.4 * row, 0.9, 3 * row + 1, 1.3, 0.7)
            rows.prepare(row, hot, seed=row * 99, tokens=[1, 2, row], shift=-3)
        rows.start(list(range(6)), [5, 17, 3, 64, 70, 33], torch.randn(6, 300).to(sample.device))
        found = []
        for _ in range(3):
            begun = ops.begin(text, rows, 8, 16)
            parts = (begun.hidden, *begun.rotary, begun.targets, begun.lengths)
            found += [part[:6] for part in parts]  # an idle row draws whatever it likes
            logits = torch.randn(8, 300).to(sample)
            found.append(ops.choose(rows, logits, "best")[:6])
            tokens = ops.choose(rows, logits, "candidates")
            found.append(tokens[:6])
            ops.advance(rows, tokens)
        pairs.append([*found, rows.ints[:6], rows.seen[:6].float()])
    for one, other in zip(*pairs, strict=True):
        same(other, one)


def check_attention(plain, fused, random, same, large):
    from qwen3vl_nodes.loaders.engine.kernels import paged_attention

    wide = (32, 8, 128, 64) if large else (8, 1, 16, 32)
    if not large:
        paged_attention.PROGRAMS = 8  # in a process of its own
    for heads, kv_heads, size, page in ((4, 2, 16, 16), wide):
        sample = random(1)
        pool = PagePool(1, kv_heads, size, sample.dtype, sample.device, page)
        pool.grow(20)
        pool.keys[0].copy_(random(*pool.keys[0].shape))
        pool.values[0].copy_(random(*pool.values[0].shape))
        for batch in (1, 3, 40 if large else 5):
            lengths = torch.randint(1, 4 * page, (batch,)).to(sample.device)
            table = torch.randint(0, 20, (batch, 6)).to(sample.device)
            queries = random(batch, heads, size)
            buffers = (queries, pool.keys[0], pool.values[0])
            one = plain.decode_attention(*buffers, DecodeView(pool, table, lengths, 4))
            other = fused.decode_attention(*buffers, DecodeView(pool, table, lengths, None))
            same(other, one)


def check_matvec(plain, fused, random, same):
    for rows in (1, 2, 4):
        for width, outputs in ((96, 30), (1024, 8)):
            inputs, norm = random(rows, width), random(width)
            weight = random(outputs, width, grow=width**-0.5)
            normed = torch.nn.functional.rms_norm(inputs, (width,), norm, 1e-6)
            product = normed @ weight.T
            same(fused.norm_linear(inputs, norm, 1e-6, weight), product)
            same(fused.norm_gated(inputs, norm, 1e-6, weight), plain.gated(product))
            hidden = random(rows, outputs)
            wanted = hidden + inputs @ weight.T
            fused.linear_add(inputs, weight, hidden)
            same(hidden, wanted)


@pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_kernels_on_the_gpu(dtype):
    pytest.importorskip("triton")
    check_kernels(DEVICE, dtype)


@pytest.mark.skipif(DEVICE.type == "cuda", reason="they run for real")
def test_kernels_interpreted_on_the_cpu():
    pytest.importorskip("triton")
    run_interpreted(
        "import test_fast_parts as parts, torch\n"
        "parts.check_kernels(torch.device('cpu'), torch.float32)\n"
    )


def test_pictures_are_placed_where_numpy_counts_in_32_bits(monkeypatch):
    """NumPy 1 on Windows does."""
    arange = np.arange

    def of_windows(*bounds, dtype=np.int32):
        return arange(*bounds, dtype=dtype)

    monkeypatch.setattr(np, "arange", of_windows)
    check(engine(), [ask("a", picture(64, 96), "b", picture(96, 64), "?")])


def test_where_torch_cannot_copy_to_places(monkeypatch):
    """Before 2.8 it could not on Apple's GPUs."""

    def missing(*_):
        raise NotImplementedError("The operator 'aten::index_copy.out' is not implemented for MPS")

    monkeypatch.setattr(torch.Tensor, "index_copy_", missing)
    check(engine(fused=False), [ask("a", picture(64, 96), "b")])


@pytest.fixture
def on_turing(monkeypatch):
    """Asks for the steps of a GPU of this compute capability."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    pick_ops.cache_clear()
    yield
    pick_ops.cache_clear()


def test_no_kernels_where_triton_has_no_products(on_turing, monkeypatch):
    def imported(*_):
        raise AssertionError("its small kernels would compile and the first product fail")

    monkeypatch.setitem(
        sys.modules, fusion.__name__.replace("scheduler.fusion", "kernels.triton_ops"), None
    )
    monkeypatch.setattr(fusion.log, "info", imported)
    assert type(pick_ops(torch.device("cuda", 0))) is TorchOps


def test_a_broken_triton_is_no_error(on_turing, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 9))
    name = fusion.__name__.replace("scheduler.fusion", "kernels.triton_ops")

    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise RuntimeError("made for another torch")

    monkeypatch.setitem(sys.modules, name, Broken(name))
    assert type(pick_ops(torch.device("cuda", 0))) is TorchOps


def test_a_look_at_the_device_does_not_outlast_a_step():
    assert look_away_seconds("win32", (3, 10)) == 0.0
    assert 0 < look_away_seconds("win32", (3, 11)) == look_away_seconds("linux", (3, 10)) < 1e-3
