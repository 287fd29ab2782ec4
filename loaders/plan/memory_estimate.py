"""How much memory a model will take, from its files and its plan, before anything is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...utils.errors import LoadError
from ...utils.text.amounts import GB, amount
from ..checkpoint.architecture import Architecture
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.quantization import int8_layers
from ..hub.official import MODELS, ModelSpec
from .capability import why_not_dtype
from .decision import OFFLOAD, ONE_DEVICE, SPREAD, Plan
from .hardware import Machine
from .weight_ways import (
    FP8,
    KEPT_4BIT,
    KEPT_FP8,
    KEPT_INT8,
    PACKED,
    PACKED_HERE,
    PLAIN,
    QUANTIZED,
)

# What one run is expected to hold at once; a longer one asks for more when it comes.
TYPICAL_TOKENS = 16_384
# The largest picture of the default budget: 1280 tokens of 32 x 32 pixels.
TYPICAL_PATCHES = 1280 * 4
# The engine keeps logits and scratch beside the caches.
SCRATCH_BYTES = 512 * 1024**2
# Bytes for each quantized weight, scales included.
QUANTIZED_BYTES = {"8-bit": 1.01, "4-bit": 0.5625, "int8": 1.032, "int4": 0.516}
VOCABULARY, LAYERS, EXPERTS, OTHER = "vocabulary", "layers", "experts", "other"
# Those that pack experts too, and the table of tokens and the output layer as int8.
PACKING = ("int8", "int4")
# Torch, CUDA and whatever else draws on the screen.
RESERVED_BYTES = 1 * 1024**3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes of memory: the weights, the key-value cache for each token, one run's pictures."""

    weight_bytes: int
    kv_token_bytes: int
    vision_bytes: int
    context: int

    @property
    def working_bytes(self) -> int:
        """Room for one run beside the weights."""
        kv = self.kv_token_bytes * min(TYPICAL_TOKENS, self.context)
        return kv + self.vision_bytes + SCRATCH_BYTES

    @property
    def total_bytes(self) -> int:
        """Weights and one run."""
        return self.weight_bytes + self.working_bytes

    def __str__(self) -> str:
        full = self.kv_token_bytes * self.context
        return (
            f"{amount(self.weight_bytes)} of weights, and beside them "
            f"{amount(self.working_bytes)} for a run of {min(TYPICAL_TOKENS, self.context):,} "
            f"tokens ({self.kv_token_bytes / 1024:.0f} KiB a token; {amount(full)} for all "
            f"{self.context:,})"
        )


def estimate(checkpoint: Checkpoint, plan: Plan) -> Estimate:
    """What loading this checkpoint by this plan will take."""
    item = torch.empty((), dtype=plan.dtype).element_size()
    weights = _weight_bytes(checkpoint, plan, item)
    return estimate_of(checkpoint.architecture, weights, item, plan.context)


def estimate_of(architecture: Architecture, weight_bytes: int, item: int, context: int) -> Estimate:
    """What weights of so many bytes take with one run, whose numbers have `item` bytes each."""
    kv = architecture.text.kv_token_values * item
    return Estimate(weight_bytes, kv, _vision_bytes(architecture, item), context)


def _weight_bytes(checkpoint: Checkpoint, plan: Plan, item: int) -> int:
    if plan.weights in (FP8, KEPT_FP8, KEPT_4BIT, PACKED):
        return sum(tensor.size_bytes for tensor in checkpoint.tensors.values())
    shapes = checkpoint.architecture.tensors()
    if plan.weights == KEPT_INT8:
        return item * sum(map(math.prod, shapes.values())) - _int8_saved(checkpoint, shapes, item)
    if plan.weights not in (QUANTIZED, PACKED_HERE):
        return item * sum(map(math.prod, shapes.values()))
    vocabulary = QUANTIZED_BYTES["int8"] if plan.weights == PACKED_HERE else item
    layers = QUANTIZED_BYTES[plan.quantization]
    experts = layers if plan.weights == PACKED_HERE else item
    each = {VOCABULARY: vocabulary, LAYERS: layers, EXPERTS: experts, OTHER: item}
    return int(sum(math.prod(shape) * each[_part(n, shape)] for n, shape in shapes.items()))


def _int8_saved(checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]], item: int) -> int:
    """How many bytes less ComfyUI's int8 layers take as they are stored, their scales as fp32."""
    saved = 0
    for name in int8_layers(checkpoint.quantization, checkpoint.tensors):
        scales = math.prod(checkpoint.tensors[f"{name}.weight_scale"].shape)
        saved += (item - 1) * math.prod(shapes[f"{name}.weight"]) - 4 * scales
    return saved


def quantized_gb() -> dict[str, dict[str, float]]:
    """What the weights of official checkpoints take by quantization, in GB, where it helps; from
    their sizes alone, as nothing of them may be here.
    """
    return {
        spec.name: {
            way: round(spec.weights_gb - _saved(spec, way), 1)
            for way in (PACKING if spec.experts else QUANTIZED_BYTES)
        }
        for spec in MODELS
        if spec.layers
    }


def _saved(spec: ModelSpec, way: str) -> float:
    each = 2 - QUANTIZED_BYTES[way]
    if way not in PACKING:
        return spec.layers * each
    return (spec.layers + spec.experts) * each + spec.vocabulary * (2 - QUANTIZED_BYTES["int8"])


def _part(name: str, shape: tuple[int, ...]) -> str:
    """Which part of the model a weight belongs to, as far as quantization tells them apart."""
    if name.endswith(("embed_tokens.weight", "lm_head.weight")):
        return VOCABULARY
    if ".layers." not in name or name.endswith(".mlp.gate.weight"):
        return OTHER
    return {2: LAYERS, 3: EXPERTS}.get(len(shape), OTHER)


def _vision_bytes(architecture: Architecture, item: int) -> int:
    """Peak of the vision tower for one typical picture; attention itself needs no matrix."""
    vision = architecture.vision
    widest = max(8 * vision.hidden, 2 * vision.intermediate + 2 * vision.hidden)
    return TYPICAL_PATCHES * widest * max(item, 2) + 4 * TYPICAL_PATCHES * vision.hidden


def check_room(estimate: Estimate, plan: Plan, machine: Machine) -> None:
    """Refuse what cannot fit even on an empty machine.

    Raises:
        LoadError: with both numbers and the choices that would fit.
    """
    places = {
        ONE_DEVICE: machine.total_bytes(plan.device),
        SPREAD: sum(gpu.total_bytes for gpu in machine.gpus),
        OFFLOAD: machine.total_bytes(plan.device) + machine.ram_bytes,
    }
    there = places[plan.placement]
    # Unknown is not too little.
    if not there or estimate.weight_bytes + RESERVED_BYTES // 2 <= there:
        return
    where = str(plan.device) if plan.placement == ONE_DEVICE else plan.placement
    raise LoadError(
        f"The weights need {estimate.weight_bytes / GB:.1f} GB, but {where} has "
        f"{there / GB:.1f} GB in all.",
        f"Choose {', or '.join(_smaller(plan, machine))}.",
    )


def _smaller(plan: Plan, machine: Machine) -> list[str]:
    """Choices that take less memory in one place, the gentlest first."""
    ways = []
    if plan.dtype == torch.float32:
        no_bf16 = why_not_dtype(machine, plan.device, torch.bfloat16)
        ways.append("dtype fp16" if no_bf16 else "dtype bf16")
    if plan.could_stay_fp8:
        ways.append("dtype fp8")
    if plan.weights == PLAIN and machine.has("bitsandbytes"):
        ways.append("quantization 8-bit or 4-bit")
    if plan.placement == ONE_DEVICE and plan.device.type == "cuda":
        ways += ["device all GPUs"] if len(machine.gpus) > 1 else []
        ways.append("device GPU and RAM")
    return [*ways, "a smaller model"]
