"""Loads one checkpoint in every way that this machine's GPUs allow, and compares the answers.

    python tests/bench/placements.py --folder /tmp/bench [--model 2B]

A picture and a word are asked about. Ballast leaves each GPU room for 75 % of the weights, so that
"all GPUs" needs two of them and "GPU and RAM" needs RAM; all of these must give the tokens of one
device. The fast engine is compared with itself: it rounds elsewhere than transformers. FP8 as it
is wants what the capability table says (transformers 4.57 brings its own kernels), and rounds
activations too, so that its tokens may differ from those of the same weights as bf16.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections import Counter
from pathlib import Path

import loading  # first: it makes the pack importable
import torch
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.plan.capability import table
from qwen3vl_nodes.loaders.plan.hardware import this_machine
from qwen3vl_nodes.loaders.settings import ALL_GPUS, GPU_AND_RAM, LoadSettings
from qwen3vl_nodes.utils.errors import Qwen3VLError

ROOM = 0.75  # share of the weights that fits on one GPU


def weights_by_device(handle: LocalModel) -> str:
    """Where the weights are, in GB; `meta` is what accelerate keeps in RAM."""
    with handle.open() as engine:
        sizes: Counter[str] = Counter()
        for weight in engine._module.parameters():
            sizes[str(weight.device)] += weight.numel() * weight.element_size()
    return ", ".join(f"{device} {size / loading.GB:.2f} GB" for device, size in sizes.items())


def ballast(size_bytes: int) -> list[torch.Tensor]:
    """What takes all of every GPU but ROOM of the weights."""
    kept = int(size_bytes * ROOM)
    return [
        torch.empty(max(0, torch.cuda.mem_get_info(n)[0] - kept), dtype=torch.uint8, device=n)
        for n in range(torch.cuda.device_count())
    ]


def measure(title: str, folder: Path, expected: list | None, **settings) -> list | None:
    """Load, answer and compare once; the answer, or None where this machine cannot."""
    handle = LocalModel(LoadSettings(str(folder), **settings))
    started = time.perf_counter()
    try:
        found = loading.answer(handle)
        seconds = time.perf_counter() - started
        same = "" if expected is None else f", same answer: {found == expected}"
        print(f"{title}: {seconds:.1f} s with the answer, {weights_by_device(handle)}{same}")
        print(f"    {'; '.join(found)}")
        return found
    except Qwen3VLError as error:
        print(f"{title}: {error}")
        return None
    finally:
        MODEL_CACHE.clear()


def main() -> None:
    """Write the checkpoints, load them in every way, remove them."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--folder", type=Path, default=Path("/tmp/qwen3vl-bench"))  # noqa: S108
    reader.add_argument("--model", default="2B", choices=("tiny", "2B", "8B"))
    chosen = reader.parse_args()
    loading.use_torch_only()
    print(table(this_machine(), torch_only.default_device()))
    folder = chosen.folder / chosen.model
    shutil.rmtree(folder, ignore_errors=True)
    size = loading.write_checkpoint(folder, chosen.model, None)
    others = [f"cuda:{n}" for n in range(1, torch.cuda.device_count())]
    expected = measure("one device", folder, None, engine="reference")
    for device in others:
        measure(device, folder, expected, engine="reference", device=device)
    taken = ballast(size)
    for device in (ALL_GPUS, GPU_AND_RAM):
        measure(device, folder, expected, device=device)
    del taken
    torch.cuda.empty_cache()
    eight = chosen.folder / "8B-FP8"
    loading.write_checkpoint(eight, "8B-FP8", 4)
    plain = measure("FP8 as bf16", eight, None, engine="reference")
    measure("FP8 as it is", eight, plain, dtype="fp8")
    plain = measure("one device, fast engine", folder, None, engine="fast")
    for device in others:
        measure(f"{device}, fast engine", folder, plain, engine="fast", device=device)
    shutil.rmtree(chosen.folder)


if __name__ == "__main__":
    main()
