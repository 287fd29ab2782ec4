"""Says where the time of the fast engine goes on a GPU: kernels a step, and parts on their own.

python tests/bench/profile_engine.py --size 2B --part decode vision attention sampling matvec
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from engine import Fast, Generate, requests
from qwen3vl_nodes.loaders.engine.model.attention import flash
from qwen3vl_nodes.loaders.engine.model.vision_tower import VisionTower
from qwen3vl_nodes.loaders.engine.request.encoding import Preparer
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder
from qwen3vl_nodes.loaders.engine.scheduler.fusion import pick_ops
from qwen3vl_nodes.loaders.engine.state.sampler import SamplingRows, choose_tokens
from qwen3vl_nodes.utils.chat.sampling import Sampling
from shapes import make, write_pictures

CUDA = torch.device("cuda")


def timed(call: Any, repeat: int = 20) -> float:
    """Milliseconds of one call, the median by device events."""
    from triton.testing import do_bench

    return float(do_bench(call, warmup=5, rep=repeat, return_mode="median"))


def kernels(contender: Any, paths: list[Path], steps: tuple[int, int]) -> None:
    """Kernels of the decode steps between two turns of a run, by time."""
    from torch.profiler import ProfilerActivity, profile

    tracer = profile(activities=[ProfilerActivity.CUDA])
    turns = []

    def on_turn(_: Any) -> None:
        turns.append(1)
        if len(turns) == steps[0]:
            tracer.__enter__()
        if len(turns) == steps[1]:
            torch.cuda.synchronize()
            tracer.__exit__(None, None, None)

    lengths = [64] * len(paths)
    if isinstance(contender, Fast):
        for _ in contender.engine.generate(requests(paths, lengths, False), on_turn):
            pass
    else:
        original = contender.module.lm_head.forward
        contender.module.lm_head.forward = lambda x: (on_turn(None), original(x))[1]
        contender.run(requests(paths, lengths, False), lengths)
        contender.module.lm_head.forward = original
    count = steps[1] - steps[0]
    rows = [row for row in tracer.key_averages() if row.device_time_total > 0]
    rows.sort(key=lambda row: -row.device_time_total)
    total, calls = sum(r.device_time_total for r in rows), sum(r.count for r in rows)
    print(f"  {calls / count:.0f} kernels a step, {total / count / 1e3:.3f} ms of them")
    for row in rows[:14]:
        each = row.device_time_total / row.count
        print(f"  {row.count / count:7.1f} x {each:8.2f} us = "
              f"{row.device_time_total / count / 1e3:.3f} ms  {row.key[:90]}")  # fmt: skip


def whole(module: Any, processor: Any, paths: list[Path], batch: int) -> None:
    """A run of many pictures: its time, and what part of it the device was busy."""
    import time

    from torch.profiler import ProfilerActivity, profile

    contender = Fast(module, processor, batch)
    contender.run(requests(paths, [16] * len(paths), False), [16] * len(paths))
    lengths = [128] * len(paths)
    began = time.perf_counter()
    contender.run(requests(paths, lengths, False), lengths)
    seconds = time.perf_counter() - began
    with profile(activities=[ProfilerActivity.CUDA]) as tracer:
        contender.run(requests(paths, lengths, False), lengths)
    rows = [row for row in tracer.key_averages() if row.device_time_total > 0]
    busy = sum(row.device_time_total for row in rows) / 1e6
    print(f"  {len(paths)} pictures, {batch} rows: {seconds:.2f} s, device busy {busy:.2f} s")
    for row in sorted(rows, key=lambda row: -row.device_time_total)[:16]:
        print(f"  {row.count:6d} = {row.device_time_total / 1e6:.3f} s  {row.key[:90]}")
    contender.close()


def vision(module: Any, processor: Any, paths: list[Path]) -> None:
    """Pictures a second of the vision tower alone, and its kernels."""
    prepare = Preparer(PromptEncoder(processor), module.config)
    made = [prepare(request).visuals[0] for request in requests(paths, [1] * len(paths), False)]
    tower = VisionTower(module.model.visual, processor.image_processor, pick_ops(CUDA))
    for count in (1, 8):
        with torch.inference_mode():
            each = timed(lambda count=count: tower(made[:count]), 200)
        print(f"  vision, {count} pictures: {count / each * 1e3:.1f} img/s", flush=True)
    from torch.profiler import ProfilerActivity, profile

    with torch.inference_mode(), profile(activities=[ProfilerActivity.CUDA]) as tracer:
        tower(made[:8])
        torch.cuda.synchronize()
    for row in sorted(tracer.key_averages(), key=lambda row: -row.device_time_total)[:12]:
        print(f"  {row.count:5d} x {row.device_time_total / row.count:8.1f} us = "
              f"{row.device_time_total / 1e3:.2f} ms  {row.key[:90]}")  # fmt: skip


def attention(size: int) -> None:
    """Attention of 8 pictures: packed flash against what SDPA can use for equal sizes."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    q, k, v = (torch.randn(8 * 4096, 16, size, device=CUDA, dtype=torch.bfloat16) for _ in range(3))
    borders = torch.arange(0, 8 * 4096 + 1, 4096, device=CUDA, dtype=torch.int32)
    work = 4 * 8 * 4096**2 * 16 * size / 1e9
    ms = timed(lambda: flash(q, k, v, (borders, borders), (4096, 4096), causal=False))
    print(f"  head size {size}: packed flash {ms:.3f} ms, {work / ms:.0f} TFLOP/s")
    views = [t.view(8, 4096, 16, size).transpose(1, 2) for t in (q, k, v)]
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        try:
            with sdpa_kernel(backend):
                ms = timed(lambda: torch.nn.functional.scaled_dot_product_attention(*views))
            print(f"  head size {size}: {backend.name} {ms:.3f} ms, {work / ms:.0f} TFLOP/s")
        except RuntimeError as error:
            print(f"  {backend.name}: {str(error)[:100]}")


def sampling() -> None:
    """Choosing tokens, sampled and greedy, at several batches."""
    for batch in (1, 8, 32, 64):
        logits = torch.randn(batch, 151_936, device=CUDA, dtype=torch.bfloat16)
        seen = torch.zeros(batch, 151_936, device=CUDA, dtype=torch.bool)
        rows = SamplingRows.of([Sampling(1, 0.7, 0.8, 20, 1.0, 1.5)] * batch, [1] * batch, CUDA)
        steps = torch.ones(batch, device=CUDA, dtype=torch.int64)
        whole = timed(lambda: choose_tokens(logits, seen, rows, steps))  # noqa: B023
        top = timed(lambda: logits.float().topk(100))  # noqa: B023
        print(f"  batch {batch}: choose {whole * 1e3:.0f} us, of it topk {top * 1e3:.0f} us")


def matvec() -> None:
    """The matrix-vector kernels against cuBLAS, in TB/s of the matrix read."""
    from qwen3vl_nodes.loaders.engine.kernels.matvec import gated_matvec
    from qwen3vl_nodes.loaders.engine.kernels.matvec import matvec as product

    blocks = [(2, 1024, 4), (4, 512, 4), (4, 1024, 4), (8, 512, 4), (16, 256, 4), (4, 2048, 8),
              (8, 1024, 8), (1, 2048, 4), (2, 2048, 4), (16, 512, 8), (2, 512, 2)]  # fmt: skip
    shapes = [(4096, 2048), (2048, 2048), (2048, 6144), (6144, 4096), (4096, 12288),
              (151_936, 2048)]  # fmt: skip
    for outputs, width in shapes:
        copies = max(1, 400_000_000 // (2 * outputs * width))
        ws = [torch.randn(outputs, width, device=CUDA, dtype=torch.bfloat16) for _ in range(copies)]
        x = torch.randn(1, width, device=CUDA, dtype=torch.bfloat16)
        norm = torch.randn(width, device=CUDA, dtype=torch.bfloat16)
        size = 2e-9 * outputs * width * copies

        def rate(call: Any, ws: list = ws, size: float = size) -> str:
            graph = torch.cuda.CUDAGraph()
            call(ws[0])
            with torch.cuda.graph(graph):
                for w in ws:
                    call(w)
            return f"{size / timed(graph.replay):.2f}"

        found = {"cublas": rate(lambda w: torch.nn.functional.linear(x, w))}  # noqa: B023
        for block in blocks:
            found[str(block)] = rate(
                lambda w: product(x, w, norm=norm, eps=1e-6, blocks=block)  # noqa: B023
            )
        print(f"  {outputs} x {width}:", found, flush=True)
        gated = {}
        for block in blocks[:8] if outputs in (4096, 6144) else []:
            gated[str(block)] = rate(lambda w: gated_matvec(x, w, norm, 1e-6, block))  # noqa: B023
        if gated:
            print(f"  gated {outputs} x {width}:", gated, flush=True)


def main() -> None:
    """Run the wanted parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="2B")
    parts = ("decode", "stock", "whole", "vision", "attention", "sampling", "matvec")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    args = parser.parse_args()
    if "sampling" in args.part:
        sampling()
    if "attention" in args.part:
        attention(64)
        attention(72)
    if "matvec" in args.part:
        matvec()
    if not {"decode", "stock", "vision", "whole"} & set(args.part):
        return
    module, processor = make(args.size, CUDA)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), max([8, *(2 * b for b in args.batch)]), "A", False)
        if "vision" in args.part:
            vision(module, processor, paths)
        for batch in args.batch if "decode" in args.part else []:
            print(f"fast, batch {batch}")
            contender = Fast(module, processor, batch)
            kernels(contender, paths[:batch], (40, 50))
            contender.close()
        for batch in args.batch if "whole" in args.part else []:
            whole(module, processor, paths[: 2 * batch], batch)
        if "stock" in args.part:
            print("generate, batch 1")
            kernels(Generate(module, processor, 1), paths[:1], (20, 25))


if __name__ == "__main__":
    main()
