"""Measures loading on this machine, without ComfyUI: speed, memory, cycles, two models, parking.

    python tests/bench/loading.py --folder /tmp/bench [--models 2B 8B 8B-FP8 30B-A3B] [--layers 16]

Checkpoints of the real shapes with random weights are written into the folder and removed again.
`--layers` limits the layers of 30B-A3B and of its FP8; `--models tiny` tries the script itself on
any machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import shutil
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "support")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from qwen3vl_pack import load_pack  # noqa: E402
from tiny_checkpoint import build_processor  # noqa: E402

load_pack()

from engine_requests import ask  # noqa: E402
from qwen3vl_nodes.loaders import local_model  # noqa: E402
from qwen3vl_nodes.loaders.checkpoint.architecture import read_architecture  # noqa: E402
from qwen3vl_nodes.loaders.host import port as hosts  # noqa: E402
from qwen3vl_nodes.loaders.host import torch_only  # noqa: E402
from qwen3vl_nodes.loaders.hub import catalog  # noqa: E402
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE  # noqa: E402
from qwen3vl_nodes.loaders.plan.capability import table  # noqa: E402
from qwen3vl_nodes.loaders.plan.hardware import this_machine  # noqa: E402
from qwen3vl_nodes.loaders.settings import PARK, LoadSettings  # noqa: E402
from qwen3vl_nodes.utils.images.picture import Picture  # noqa: E402

GB = 1e9
SHARD_BYTES = 5_000_000_000
THREADS = 6
# layers, hidden, heads, kv heads, intermediate, tied; vision depth, hidden, intermediate; experts
SHAPES = {
    "tiny": (3, 256, 4, 2, 512, True, 3, 64, 128, 0),
    "2B": (28, 2048, 16, 8, 6144, True, 24, 1024, 4096, 0),
    "8B": (36, 4096, 32, 8, 12288, False, 27, 1152, 4304, 0),
    "8B-FP8": (36, 4096, 32, 8, 12288, False, 27, 1152, 4304, 0),
    "30B-A3B": (48, 2048, 32, 4, 6144, False, 27, 1152, 4304, 128),
    "30B-A3B-FP8": (48, 2048, 32, 4, 6144, False, 27, 1152, 4304, 128),
}


# Small enough to stay on the disk for cycles, parking and the two models in turn.
KEPT = ("tiny", "2B", "8B")


def config_of(name: str, tokenizer, layers: int | None) -> dict:
    deep, hidden, heads, kv, inner, tied, depth, width, inside, experts = SHAPES[name]
    token = tokenizer.convert_tokens_to_ids
    moe = {"num_experts": experts, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
           "decoder_sparse_step": 1, "mlp_only_layers": []} if experts else {}  # fmt: skip
    config = {
        "model_type": "qwen3_vl_moe" if experts else "qwen3_vl",
        "tie_word_embeddings": tied,
        "image_token_id": token("<|image_pad|>"), "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "text_config": {
            "vocab_size": 151_936, "hidden_size": hidden, "num_hidden_layers": layers or deep,
            "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": 128,
            "intermediate_size": inner, "max_position_embeddings": 262_144, "rms_norm_eps": 1e-6,
            "rope_theta": 5_000_000, "hidden_act": "silu", "attention_bias": False,
            "rope_scaling": {"rope_type": "default", "mrope_section": [24, 20, 20],
                             "mrope_interleaved": True}, **moe,
        },
        "vision_config": {
            "depth": depth, "hidden_size": width, "intermediate_size": inside,
            "num_heads": 2 if name == "tiny" else 16, "out_hidden_size": hidden,
            "num_position_embeddings": 2304, "patch_size": 16, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "in_channels": 3, "hidden_act": "gelu_pytorch_tanh",
            "deepstack_visual_indexes": [0, 1, 2] if name == "tiny" else [8, 16, 23],
        },
    }  # fmt: skip
    if name.endswith("FP8"):
        config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128],
                                         "activation_scheme": "dynamic"}  # fmt: skip
    return config


def write_checkpoint(folder: Path, name: str, layers: int | None) -> int:
    """Write random weights at disk speed; the bytes of all weights."""
    processor = build_processor()
    folder.mkdir(parents=True)
    processor.save_pretrained(folder)
    config = config_of(name, processor.tokenizer, layers)
    (folder / "config.json").write_text(json.dumps(config))
    eos = processor.tokenizer.eos_token_id
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}))
    entries = []
    for key, shape in read_architecture(config, "config.json").tensors().items():
        size = 2
        fp8 = name.endswith("FP8") and ".layers." in key and len(shape) > 1
        fp8 = fp8 and not key.endswith(".mlp.gate.weight")
        for number in shape:
            size *= number
        entries.append((key, "F8_E4M3" if fp8 else "BF16", shape, size // 2 if fp8 else size))
        if fp8:
            blocks = (*shape[:-2], *(-(-number // 128) for number in shape[-2:]))
            entries.append((key + "_scale_inv", "BF16", blocks, 2 * math.prod(blocks)))
    noise = noises()
    shards, room = [[]], SHARD_BYTES
    for entry in entries:
        if room < entry[3] and shards[-1]:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append(entry)
        room -= entry[3]
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, shard, noise)
        weight_map |= {entry[0]: file for entry in shard}
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return sum(entry[3] for entry in entries)


def noises() -> dict[str, memoryview]:
    """Random bytes of each kind; random bits would hold FP8's NaN."""
    plain = torch.randn(64 * 1024 * 1024) * 0.02
    made = {
        "BF16": plain.bfloat16(),
        "F8_E4M3": (plain * 50).to(torch.float8_e4m3fn),
        "scales": plain.abs().bfloat16(),
    }
    return {kind: values.view(torch.uint8).numpy().data for kind, values in made.items()}


def write_shard(path: Path, entries: list, noise: dict[str, memoryview]) -> None:
    header, at = {}, 0
    for key, dtype, shape, size in entries:
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for key, dtype, _, size in entries:
            kind, left = noise["scales" if key.endswith("_scale_inv") else dtype], size
            while left:
                part = min(left, len(kind))
                file.write(kind[:part])
                left -= part
        file.flush()
        os.fsync(file.fileno())


def forget_cache(folder: Path) -> None:
    """Ask the kernel to drop the files' pages, so that the disk is measured and not RAM."""
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_gb_s(folder: Path, threads: int) -> float:
    """Reading every byte into one reused buffer per thread: as fast as the disk gives."""

    def read(job: tuple[Path, int, int]) -> None:
        path, start, size = job
        view = memoryview(bytearray(16 * 1024 * 1024))
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while size > 0 and (count := file.readinto(view[: min(len(view), size)])):
                size -= count

    step, jobs = 256 * 1024 * 1024, []
    for path in sorted(folder.glob("*.safetensors")):
        jobs += [(path, at, step) for at in range(0, path.stat().st_size, step)]
    total = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, jobs))
    return total / GB / (time.perf_counter() - started)


class Watch:
    """Memory before, at most and after, of the process and of the GPU, in GB."""

    def __enter__(self):
        import psutil

        self._process = psutil.Process()
        gc.collect()
        self.before, self._stop = self._now(), threading.Event()
        self._peak = self.before
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _now(self) -> tuple[float, float]:
        gpu = 0.0
        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            gpu = (total - free) / GB
        return self._process.memory_info().rss / GB, gpu

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            now = self._now()
            self._peak = max(self._peak[0], now[0]), max(self._peak[1], now[1])

    def __exit__(self, *_error):
        self._stop.set()
        self._thread.join()
        self.after = self._now()

    def __str__(self) -> str:
        names = ("RAM", "GPU")
        rows = zip(names, self.before, self._peak, self.after, strict=True)
        return "; ".join(f"{n} {b:.2f} → at most {p:.2f} → {a:.2f} GB" for n, b, p, a in rows)


def settings(folder: Path, **more) -> LoadSettings:
    return LoadSettings(str(folder), **more)


def answer(handle: local_model.LocalModel) -> list[str]:
    """The eight tokens about a picture of noise, and the eight without one.

    Their numbers, because the small tokenizer has no text for most of them.
    """
    noise = np.random.default_rng(0).integers(0, 256, (256, 320, 3), dtype=np.uint8)
    asked = [ask(*parts, max_new_tokens=8) for parts in ((Picture(noise), "Hello"), ("Hello",))]
    found = ["", ""]
    with handle.open() as engine, mock.patch.object(engine._encoder, "decode", str):
        for index, reply in engine.generate(asked):
            if isinstance(reply, Exception):
                raise reply
            found[index] = reply.text
    return found


def measure_speed(folder: Path, size: int) -> None:
    for threads in (1, THREADS):
        forget_cache(folder)
        print(f"  disk, {threads} threads, cold: {disk_gb_s(folder, threads):.2f} GB/s")
    disk = 0.0
    for state in ("cold", "cold again", "warm"):
        if state != "warm":
            forget_cache(folder)
            disk = max(disk, disk_gb_s(folder, THREADS))
            forget_cache(folder)
        handle = local_model.LocalModel(settings(folder))
        with Watch() as watch:
            started = time.perf_counter()
            with handle.open():
                seconds = time.perf_counter() - started
        rate = size / GB / seconds
        print(
            f"  load {state}: {seconds:.2f} s, {rate:.2f} GB/s, {rate / disk:.0%} of the disk; "
            f"{watch}"
        )
        print("   ", handle.describe().splitlines()[2])
        with Watch() as watch:
            handle.unload()
        print(f"  unload: {watch}")


def measure_cycles(folder: Path, count: int = 50) -> None:
    handle = local_model.LocalModel(settings(folder))
    for _ in range(2):  # contexts and pools that stay for good
        with handle.open():
            pass
        handle.unload()
    with Watch() as watch:
        for _ in range(count):
            with handle.open():
                pass
            handle.unload()
        gc.collect()
    drift = [
        (after - before) * 1000 for before, after in zip(watch.before, watch.after, strict=True)
    ]
    print(f"{count} load/evict cycles: RAM {drift[0]:+.0f} MB, GPU {drift[1]:+.0f} MB; {watch}")


def measure_two(first: Path, second: Path) -> None:
    """A ballast leaves room for the larger model and a run, not for both."""
    models = [local_model.LocalModel(settings(folder)) for folder in (first, second)]
    expected = [answer(model) for model in models]
    MODEL_CACHE.clear()
    device = torch_only.default_device()
    needed = [local_model.prepare(model.settings).estimate.total_bytes for model in models]
    ballast = None
    if device.type == "cuda":
        keep = int(max(needed) * 1.1)
        ballast = torch.empty(
            max(0, torch_only.free_bytes(device) - keep), dtype=torch.uint8, device=device
        )
    for turn in range(3):
        for number, model in enumerate(models):
            assert answer(model) == expected[number], "another answer after a reload"
            print(
                f"two models, turn {turn}, model {number}: loaded now {len(MODEL_CACHE.settings())}"
            )
    del ballast
    MODEL_CACHE.clear()


def measure_parking(folder: Path, size: int) -> None:
    handle = local_model.LocalModel(settings(folder, keep=PARK))
    expected = answer(handle)
    device = torch_only.default_device()
    for _ in range(2):
        started = time.perf_counter()
        torch_only.make_room(1 << 50, device)
        parked = time.perf_counter() - started
        started = time.perf_counter()
        with handle.open():
            back = time.perf_counter() - started
        print(
            f"park {size / GB / parked:.1f} GB/s ({parked:.2f} s), back {size / GB / back:.1f} GB/s"
        )
    assert answer(handle) == expected, "another answer after parking"
    handle.unload()


def use_torch_only() -> None:
    """No ComfyUI, and a folder's path is its name."""
    hosts.host = local_model.host = lambda: torch_only
    catalog.folder_of = Path


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--folder", type=Path, default=Path("/tmp/qwen3vl-bench"))  # noqa: S108
    reader.add_argument("--models", nargs="+", default=["2B", "8B", "8B-FP8", "30B-A3B"])
    reader.add_argument("--layers", type=int, default=16, help="layers of 30B-A3B and its FP8")
    reader.add_argument("--speed", nargs="*", help="models whose loading is timed; all of them")
    reader.add_argument("--cycles", type=int, default=50)
    chosen = reader.parse_args()
    use_torch_only()
    print(table(this_machine(), torch_only.default_device()))
    kept: list[tuple[Path, int]] = []
    large = [name for name in chosen.models if name not in KEPT]
    for name in [name for name in chosen.models if name in KEPT]:
        kept.append(write_and_measure(chosen, name))
    if kept:
        print()
        measure_cycles(kept[0][0], chosen.cycles)
        measure_parking(*kept[-1])
    if len(kept) > 1:
        measure_two(kept[0][0], kept[1][0])
    for folder, _ in kept:
        shutil.rmtree(folder)
    for name in large:
        shutil.rmtree(write_and_measure(chosen, name)[0])
    shutil.rmtree(chosen.folder, ignore_errors=True)


def write_and_measure(chosen: argparse.Namespace, name: str) -> tuple[Path, int]:
    """Write a checkpoint, and measure its loading where that is asked for."""
    folder = chosen.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    size = write_checkpoint(folder, name, chosen.layers if name.startswith("30B") else None)
    print(f"\n{name}: {size / GB:.2f} GB, written in {time.perf_counter() - started:.1f} s")
    if chosen.speed is None or name in chosen.speed:
        measure_speed(folder, size)
    return folder, size


if __name__ == "__main__":
    main()
