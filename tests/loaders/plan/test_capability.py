"""Each choice on each kind of machine: what "auto" comes to, and what is refused with a way out."""

import dataclasses
import sys
import types
from typing import Any

import pytest
import torch
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.checkpoint.quantization import Quantization
from qwen3vl_nodes.loaders.plan import hardware as machine_module
from qwen3vl_nodes.loaders.plan.capability import table, why_not_kept
from qwen3vl_nodes.loaders.plan.decision import plan
from qwen3vl_nodes.loaders.plan.hardware import PACKAGES, Gpu, Machine, this_machine
from qwen3vl_nodes.loaders.plan.weight_ways import (
    FP8,
    FROM_FP8,
    KEPT_FP8,
    PACKED,
    PACKED_HERE,
    PLAIN,
    QUANTIZED,
)
from qwen3vl_nodes.loaders.settings import Adapter, LoadSettings
from qwen3vl_nodes.utils.errors import InputError, LoadError

GIB = 1024**3
H100 = Gpu("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB)
ADA = Gpu("NVIDIA GeForce RTX 4090", (8, 9), 24 * GIB)
AMPERE = Gpu("NVIDIA GeForce RTX 3090", (8, 6), 24 * GIB)
TURING = Gpu("NVIDIA GeForce RTX 2080 Ti", (7, 5), 11 * GIB)
RDNA2 = Gpu("AMD Radeon RX 6800", (10, 3), 16 * GIB, "gfx1030")
RDNA3 = Gpu("AMD Radeon RX 7900 XTX", (11, 0), 24 * GIB, "gfx1100")
OLD = {"torch": "2.6.0", "transformers": "4.57.6", "triton": "3.2.0"}
NEW = {"torch": "2.11.0", "transformers": "5.23.0", "triton": "3.6.0"}
EXTRAS = {name: "1" for name in PACKAGES if name not in NEW}
CPU = Machine(ram_bytes=32 * GIB, packages=NEW)
MAC = Machine(ram_bytes=32 * GIB, packages=NEW, mps=True)


def box(*gpus, packages=NEW, **more):
    return Machine(gpus=gpus, ram_bytes=64 * GIB, packages=packages, **more)


def planned(folder, machine, free=10 * GIB, **choices):
    checkpoint = inspect(folder)
    if "stored" in choices:
        checkpoint = dataclasses.replace(
            checkpoint, quantization=Quantization(choices.pop("stored"))
        )
    default = torch.device("cuda:0" if machine.gpus else "mps" if machine.mps else "cpu")
    settings = LoadSettings("x", **choices)
    return plan(settings, checkpoint, machine, default, lambda _device: free)


AUTO = {
    "H100": (box(H100), "dense", {}, ("cuda:0", torch.bfloat16, PLAIN)),
    "Turing": (box(TURING), "dense", {}, ("cuda:0", torch.float16, PLAIN)),
    "RDNA 2": (box(RDNA2, rocm=True), "dense", {}, ("cuda:0", torch.float16, PLAIN)),
    "RDNA 3": (box(RDNA3, rocm=True), "dense", {}, ("cuda:0", torch.bfloat16, PLAIN)),
    "CPU with room": (CPU, "dense", {}, ("cpu", torch.float32, PLAIN)),
    "CPU without room": (CPU, "dense", {"free": 100}, ("cpu", torch.bfloat16, PLAIN)),
    "Mac": (MAC, "dense", {}, ("mps", torch.float16, PLAIN)),
    "CPU of a GPU machine": (
        box(H100), "dense", {"device": "cpu"}, ("cpu", torch.float32, PLAIN)),
    "second GPU": (
        box(H100, ADA), "dense", {"device": "cuda:1"}, ("cuda:1", torch.bfloat16, PLAIN)),
    "FP8, transformers 4": (
        box(ADA, packages=OLD), "fp8", {}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 asked for, transformers 4": (
        box(ADA, packages=OLD), "fp8", {"dtype": "fp8"}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 for the reference engine": (
        box(ADA), "fp8", {"engine": "reference"}, ("cuda:0", torch.bfloat16, FROM_FP8)),
    "FP8 asked for, by transformers": (
        box(ADA, packages=OLD), "fp8", {"dtype": "fp8", "engine": "reference"},
        ("cuda:0", torch.bfloat16, FP8)),
    "FP8 under a LoRA": (
        box(ADA), "fp8", {"adapters": (Adapter("x", 1.0, False),)},
        ("cuda:0", torch.bfloat16, FROM_FP8)),
    "FP8 under a merged LoRA": (
        box(ADA), "fp8", {"adapters": (Adapter("x"),)}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 without Triton": (
        box(ADA, packages={"torch": "2.11.0", "transformers": "5.23.0"}), "fp8", {},
        ("cuda:0", torch.bfloat16, FROM_FP8)),
    "FP8 on Turing": (box(TURING), "fp8", {}, ("cuda:0", torch.float16, FROM_FP8)),
    "FP8 with one scale for a matrix": (
        box(ADA), "fp8", {"stored": "fp8"}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "int4": (box(TURING), "dense", {"quantization": "int4"},
             ("cuda:0", torch.float16, PACKED_HERE)),
    "int8 on a CPU": (CPU, "dense", {"quantization": "int8"}, ("cpu", torch.float32, PACKED_HERE)),
    "FP8 of experts": (box(H100), "moe-fp8", {}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 of experts, transformers 4, on Ampere": (
        box(AMPERE, packages=OLD), "moe-fp8", {}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 of experts asked for": (
        box(ADA), "moe-fp8", {"dtype": "fp8"}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 of experts on Turing": (
        box(TURING), "moe-fp8", {}, ("cuda:0", torch.float16, FROM_FP8)),
    "FP8 of experts for the reference engine": (
        box(H100), "moe-fp8", {"engine": "reference"}, ("cuda:0", torch.bfloat16, FROM_FP8)),
    "FP8, transformers 5": (box(H100), "fp8", {}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 asked for": (
        box(H100, packages=NEW | EXTRAS), "fp8", {"dtype": "fp8"},
        ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 on Ampere": (box(AMPERE, packages=OLD), "fp8", {}, ("cuda:0", torch.bfloat16, KEPT_FP8)),
    "FP8 on a CPU": (CPU, "fp8", {}, ("cpu", torch.float32, FROM_FP8)),
    "FP8 as bf16": (
        box(ADA, packages=OLD), "fp8", {"dtype": "bf16"}, ("cuda:0", torch.bfloat16, FROM_FP8)),
    "FP8 on ROCm": (
        box(H100, packages=OLD, rocm=True), "fp8", {}, ("cuda:0", torch.bfloat16, FROM_FP8)),
    "4-bit": (
        box(ADA, packages=NEW | EXTRAS), "dense", {"quantization": "4-bit"},
        ("cuda:0", torch.bfloat16, QUANTIZED)),
    "compressed-tensors": (
        box(ADA, packages=NEW | EXTRAS), "dense", {"stored": "compressed-tensors"},
        ("cuda:0", torch.bfloat16, PACKED)),
    "flash_attention_2": (
        box(ADA, packages=NEW | EXTRAS), "dense", {"attention": "flash_attention_2"},
        ("cuda:0", torch.bfloat16, PLAIN)),
}  # fmt: skip


@pytest.mark.parametrize("name", AUTO)
def test_what_auto_comes_to(kind, name):
    machine, folder, choices, (device, dtype, weights) = AUTO[name]
    found = planned(kind(folder), machine, **choices)
    assert (str(found.device), found.dtype, found.weights) == (device, dtype, weights)
    assert all(note.endswith(".") for note in found.notes)


def test_where_weights_could_stay_fp8(kind):
    eight = box(ADA, packages=NEW | EXTRAS)
    assert planned(kind("fp8"), eight, dtype="bf16").could_stay_fp8
    assert not planned(kind("fp8"), eight).could_stay_fp8  # they do
    assert not planned(kind("fp8"), eight, dtype="fp8").could_stay_fp8  # they do
    assert not planned(kind("dense"), eight).could_stay_fp8
    assert planned(kind("moe-fp8"), box(ADA), dtype="bf16").could_stay_fp8
    assert not planned(kind("moe-fp8"), box(ADA), dtype="bf16", engine="reference").could_stay_fp8
    assert not planned(kind("fp8"), eight, device="GPU and RAM").could_stay_fp8
    assert not planned(kind("fp8"), box(TURING, packages=NEW | EXTRAS)).could_stay_fp8


REFUSED = {
    "no such GPU": (box(H100), "dense", {"device": "cuda:3"}, "only 1 CUDA device", "cuda:0"),
    "no GPU": (CPU, "dense", {"device": "cuda:0"}, "no CUDA device", "auto, cpu"),
    "no Metal": (CPU, "dense", {"device": "mps"}, "not a Mac", "auto, cpu"),
    "all of one": (box(H100), "dense", {"device": "all GPUs"}, "1 CUDA", "cuda:0"),
    "RAM without a GPU": (CPU, "dense", {"device": "GPU and RAM"}, "no CUDA device", "cpu"),
    "bf16 on Turing": (box(TURING), "dense", {"dtype": "bf16"}, "has no bf16", "fp16"),
    "fp8 of plain weights": (box(H100), "dense", {"dtype": "fp8"}, "holds no FP8", "-FP8"),
    "fp8 on Turing": (box(TURING, packages=OLD), "fp8", {"dtype": "fp8"}, "7.5", "bf16"),
    "fp8 of experts without kernels": (
        box(H100), "moe-fp8", {"dtype": "fp8", "engine": "reference"}, "package kernels", "bf16"),
    "fp8 of experts, transformers 4": (
        box(H100, packages=OLD), "moe-fp8", {"dtype": "fp8", "engine": "reference"},
        "for experts", "bf16"),
    "fp8 of a single file": (
        box(TURING, packages=OLD), "fp8", {"dtype": "fp8", "stored": "fp8"}, "block scales",
        "bf16"),
    "fp8 on a CPU": (CPU, "fp8", {"dtype": "fp8"}, "do not run on cpu", "bf16"),
    "flash without a package": (
        box(H100), "dense", {"attention": "flash_attention_2"}, "package flash-attn",
        "auto, sdpa, eager"),
    "flash on a CPU": (
        CPU, "dense", {"attention": "flash_attention_2"}, "does not run on cpu", "sdpa"),
    "flash on Turing": (
        box(TURING, packages=NEW | EXTRAS), "dense", {"attention": "flash_attention_2"},
        "compute 7.5", "sdpa"),
    "flash 3 on Ada": (
        box(ADA, packages=NEW | EXTRAS), "dense", {"attention": "flash_attention_3"},
        "needs 9.0", "flash_attention_2"),
    "flash in fp32": (
        box(H100, packages=NEW | EXTRAS), "dense",
        {"attention": "flash_attention_2", "dtype": "fp32"}, "not float32", "auto, sdpa, eager"),
    "4-bit without bitsandbytes": (
        box(H100), "dense", {"quantization": "4-bit"}, "needs the package bitsandbytes", "none"),
    "4-bit of FP8": (
        box(H100, packages=NEW | EXTRAS), "fp8", {"quantization": "4-bit"}, "already", "none"),
    "4-bit on several": (
        box(H100, H100, packages=NEW | EXTRAS), "dense",
        {"quantization": "4-bit", "device": "all GPUs"}, "does not go together", "one device"),
    "AWQ without its package": (box(H100), "dense", {"stored": "awq"}, "gptqmodel", "plain"),
    "unknown packing": (
        box(H100, packages=NEW | EXTRAS), "dense", {"stored": "magic"}, "unknown", "plain"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(kind, name):
    choices: dict[str, Any]
    machine, folder, choices, problem, remedy = REFUSED[name]
    with pytest.raises(LoadError) as caught:
        planned(kind(folder), machine, **choices)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_what_is_not_a_choice():
    with pytest.raises(InputError, match="Choose one of"):
        LoadSettings("x", attention="warp")


@pytest.mark.parametrize("folder", ["dense", "moe"])
def test_every_decision_is_said_aloud(kind, folder):
    packages = NEW | EXTRAS
    notes = " ".join(planned(kind(folder), box(ADA, packages=packages), quantization="8-bit").notes)
    assert "dtype bfloat16" in notes and "sdpa" in notes and "vision tower" in notes
    assert ("experts" in notes) == (folder == "moe")
    fp8 = " ".join(planned(kind("fp8"), box(TURING, packages=packages)).notes)
    assert "turned into plain ones" in fp8 and "7.5" in fp8
    slow = " ".join(planned(kind(folder), CPU, quantization="int4").notes)
    assert "vision tower" in slow and "slow: its kernels do not run on cpu" in slow
    assert planned(kind(folder), box(ADA), quantization="int4").movable
    parked = planned(
        kind("dense"), box(ADA, packages=packages), quantization="4-bit", keep="park in RAM"
    )
    assert "cannot be parked" in " ".join(parked.notes) and not parked.movable


def test_download_does_not_change_what_is_loaded():
    assert LoadSettings("x") == LoadSettings("x", download="Hugging Face")
    assert LoadSettings("x") != LoadSettings("x", context="1M (YaRN)")


def test_the_table_of_a_machine():
    text = table(box(TURING, H100), torch.device("cuda:0"))
    assert "RTX 2080 Ti, compute 7.5, 11.8 GB" in text
    assert "dtype bf16" in text and "has no bf16" in text
    assert "package flash-attn" not in text.split("flash_attention_3")[0]  # compute first
    rich = table(box(H100, packages=OLD | EXTRAS), torch.device("cuda:0"))
    assert "no:" not in rich.replace("no: 1 CUDA devices", "")


@pytest.mark.parametrize("packages", [OLD, NEW, OLD | EXTRAS, NEW | EXTRAS])
@pytest.mark.parametrize("machine", [CPU, box(TURING), box(ADA)])
def test_the_table_and_auto_say_the_same_of_fp8(kind, machine, packages):
    """Whatever is installed: both say whether FP8 weights stay, and why not."""
    machine = dataclasses.replace(machine, packages=packages)
    device = torch.device("cuda:0" if machine.gpus else "cpu")
    row = next(line for line in table(machine, device).splitlines() if "FP8 checkpoints" in line)
    kept = why_not_kept(machine, device) is None
    for name in ("fp8", "moe-fp8"):
        chosen = planned(kind(name), machine)
        note = next(note for note in chosen.notes if "FP8" in note)
        assert chosen.weights == (KEPT_FP8 if kept else FROM_FP8)
        assert ("stay FP8" in row) == ("stay FP8" in note) == kept
        if not kept:
            assert note.partition(": ")[2] == row.partition(": ")[2] + "."


def test_this_machine_is_looked_at_once():
    machine = this_machine()
    assert machine is this_machine()
    assert machine.has("torch", "nothing") and not machine.has("nothing")
    assert machine.transformers_major in (4, 5)
    assert machine.ram_bytes > GIB
    assert len(machine.gpus) == torch.cuda.device_count()


def test_a_stand_in_for_a_package_does_not_count(monkeypatch):
    """Other packs put empty modules into sys.modules where Triton cannot be installed."""
    stand_in = types.ModuleType("awq")
    stand_in.__spec__ = None
    monkeypatch.setitem(sys.modules, "awq", stand_in)
    assert machine_module._version("awq") is None
