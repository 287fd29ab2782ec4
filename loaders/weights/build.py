"""Builds the Hugging Face module and its processor from a checkpoint folder and a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ...utils.errors import LoadError
from ..checkpoint.fp8_blocks import plain_modules
from ..checkpoint.inspection import Checkpoint
from ..host.port import host
from ..plan.decision import ONE_DEVICE, SPREAD, Plan
from ..plan.weight_ways import (
    FP8,
    FROM_4BIT,
    FROM_COMFYUI,
    KEPT_4BIT,
    KEPT_FP8,
    KEPT_INT8,
    OWN,
    PACKED_HERE,
    QUANTIZED,
)
from .meta_module import empty_module, fill, model_class, model_config
from .packed.kept_fp8 import keep_fp8
from .packed_fill import fill_four_bit, fill_from_comfyui, fill_packing
from .processor import read_processor
from .reader import OnBytes

# Quantizing these costs quality where it hurts most and saves little. transformers 5 compares
# from the start of the name: "visual" alone would match nothing.
KEEP_PRECISE = ["model.visual", "lm_head"]
# Beside the weights on each GPU: caches, pictures, logits.
SPREAD_RESERVE = 0.85

_SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True, slots=True)
class Built:
    """A module on its device, in eval mode, and the checkpoint's processor."""

    module: Any
    processor: Any
    size_bytes: int


def build(
    checkpoint: Checkpoint,
    plan: Plan,
    context: str,
    on_bytes: OnBytes = lambda _done, _total: None,
) -> Built:
    """Load the weights.

    Args:
        checkpoint: an inspected folder.
        plan: how to load it.
        context: a loader choice of `settings.CONTEXTS`.
        on_bytes: told how many bytes are read; whatever it raises ends the load.

    Raises:
        LoadError: the installed packages cannot build this class, or weights do not fit it.
        torch.OutOfMemoryError: unchanged, for the caller to make room.
    """
    config = model_config(checkpoint, context, plan.attention)
    processor = read_processor(checkpoint)
    # ComfyUI runs nodes in inference mode; weights made there could never be moved or changed.
    with torch.inference_mode(False), torch.no_grad():
        module = _build_module(checkpoint, plan, config, on_bytes)
    return Built(module, processor, size_bytes(module))


def _build_module(checkpoint: Checkpoint, plan: Plan, config: Any, on_bytes: OnBytes) -> Any:
    if plan.weights not in OWN:
        return _by_transformers(checkpoint, plan, config).eval().requires_grad_(False)
    module = empty_module(checkpoint, config, plan.dtype)
    if plan.weights == PACKED_HERE:
        fill_packing(module, checkpoint, plan, on_bytes)
        return module.eval().requires_grad_(False)
    if plan.weights == KEPT_FP8:
        keep_fp8(module, checkpoint)
    device_of, device_map = _placement(module, plan)
    if plan.weights in (FROM_COMFYUI, KEPT_INT8):
        fill_from_comfyui(module, checkpoint, plan, device_of, on_bytes)
    elif plan.weights in (KEPT_4BIT, FROM_4BIT):
        fill_four_bit(module, checkpoint, plan, device_of, on_bytes)
    else:
        fill(module, checkpoint, plan.dtype, device_of, on_bytes)
    module.eval().requires_grad_(False)
    return module if device_map is None else _dispatch(module, device_map)


def _placement(
    module: Any, plan: Plan
) -> tuple[Callable[[str], torch.device], dict[str, Any] | None]:
    """Where each parameter goes, and accelerate's map where there is more than one place."""
    if plan.placement == ONE_DEVICE:
        return lambda _name: plan.device, None
    from accelerate import infer_auto_device_map

    device_map = infer_auto_device_map(
        module,
        max_memory=_max_memory(plan),  # type: ignore[arg-type]
        no_split_module_classes=list(module._no_split_modules or []),
        dtype=plan.dtype,
    )
    if "disk" in device_map.values():
        spread = plan.placement == SPREAD
        raise LoadError(
            f"The weights do not fit into what is free on {plan.placement} together.",
            f"Choose {'device GPU and RAM, ' if spread else ''}quantization 8-bit or 4-bit on one "
            "device, or a smaller model.",
        )
    places = {name: torch.device(_device_name(place)) for name, place in device_map.items()}

    def device_of(name: str) -> torch.device:
        while name not in places and name:
            name = name.rpartition(".")[0]
        return places.get(name, plan.device)

    return device_of, device_map


def _max_memory(plan: Plan) -> dict[Any, int]:
    """Bytes of weights that each place may take."""
    first = plan.device.index or 0
    gpus = range(torch.cuda.device_count()) if plan.placement == SPREAD else [first]
    places: dict[Any, torch.device] = {n: torch.device("cuda", n) for n in gpus}
    if plan.placement != SPREAD:
        places["cpu"] = torch.device("cpu")
    # Of the host, which alone knows what is free: it may hold memory back for others.
    return {name: int(host().free_bytes(at) * SPREAD_RESERVE) for name, at in places.items()}


def _device_name(place: Any) -> str:
    return f"cuda:{place}" if isinstance(place, int) else str(place)


def _dispatch(module: Any, device_map: dict[str, Any]) -> Any:
    """Let accelerate move each layer's input to where its weights are."""
    from accelerate import dispatch_model

    return dispatch_model(module, device_map, force_hooks=True)


def _by_transformers(checkpoint: Checkpoint, plan: Plan, config: Any) -> Any:
    """Quantized weights of any kind: transformers and its quantizers know their layouts."""
    if plan.weights != QUANTIZED:
        config.quantization_config = dict(checkpoint.config["quantization_config"])
    if plan.weights == FP8:
        plain = plain_modules(checkpoint.tensors)
        config.quantization_config["modules_to_not_convert"] = plain
    try:
        module, report = model_class(checkpoint.model_type).from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=plan.dtype,
            attn_implementation=plan.attention,
            device_map={"": plan.device},
            use_safetensors=True,
            output_loading_info=True,
            **_SAFE,
            **_quantization(plan),
        )
    except torch.OutOfMemoryError:
        raise
    except (ImportError, ValueError, RuntimeError) as error:
        packed = checkpoint.quantization
        kind = packed.method if packed and plan.weights != QUANTIZED else plan.quantization
        raise LoadError(
            f"transformers could not load {checkpoint.folder.name} as {kind} ({error}).",
            "Choose dtype bf16." if plan.weights == FP8 else "Choose another checkpoint.",
        ) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, report.get(kind) or [])):
            raise LoadError(
                f"{checkpoint.folder}: transformers reports {len(names)} {kind.replace('_', ' ')} "
                f"({', '.join(names[:3])} …).",
                "Choose another checkpoint or transformers version; with these it would answer "
                "noise.",
            )
    return module


def _quantization(plan: Plan) -> dict[str, Any]:
    if plan.weights != QUANTIZED:
        return {}
    from transformers import BitsAndBytesConfig

    if plan.quantization == "8-bit":
        config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEEP_PRECISE)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=plan.dtype,
            llm_int8_skip_modules=KEEP_PRECISE,
        )
    return {"quantization_config": config}


def size_bytes(module: torch.nn.Module, device: torch.device | None = None) -> int:
    """Bytes of all weights and buffers in memory, or on one device; tied ones count once."""
    tensors = [t for t in [*module.parameters(), *module.buffers()] if t.device.type != "meta"]
    if device is not None:
        tensors = [t for t in tensors if t.device.type == device.type]
        tensors = [t for t in tensors if (t.device.index or 0) == (device.index or 0)]
    return sum({t.data_ptr(): t.nbytes for t in tensors}.values())
