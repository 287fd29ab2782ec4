"""What the tests of the fast engine share: a tiny model, requests, and transformers' own answer."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.images.picture import Clip, Picture
from tiny_checkpoint import build_model, build_processor

# Products this small only lose by a second thread, and lose much beside other work.
torch.set_num_threads(1)
# The stock model's patch embedding is a convolution, for which PyTorch allows TF32 by default.
torch.backends.cudnn.allow_tf32 = False
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@lru_cache(maxsize=1)
def tiny() -> SimpleNamespace:
    """Processor and fp32 model, made once; tests leave both as they are."""
    processor = build_processor()
    model: Any = build_model(processor.tokenizer)
    model.to(DEVICE)
    return SimpleNamespace(processor=processor, model=model)


def engine(model: Any = None, **settings: Any) -> FastEngine:
    """A fast engine with small pages, whose replies are token ids as text and never end."""
    made = FastEngine(
        tiny().model if model is None else model,
        tiny().processor,
        **({"page_tokens": 16, "looks_ahead": True} | settings),
    )
    made._encoder.decode = ids_as_text  # type: ignore[method-assign]
    made._end_ids = frozenset()
    return made


def ids_as_text(token_ids: list[int]) -> str:
    """Token ids as text, so that replies can be compared token by token."""
    return " ".join(map(str, token_ids))


def picture(width: int, height: int, seed: int = 0) -> Picture:
    """A noisy picture."""
    rng = np.random.default_rng([seed, width, height])
    return Picture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def clip(frames: int = 5, seed: int = 0) -> Clip:
    """A noisy clip; an odd count, so that its last pair has to be filled up."""
    rng = np.random.default_rng([seed, frames])
    pixels = rng.integers(0, 256, (frames, 64, 96, 3), dtype=np.uint8)
    return Clip(pixels, 10.0, tuple(range(0, 5 * frames, 5)), 5 * frames + 5)


def ask(*parts: Any, tokens: int = 16, before: tuple[Message, ...] = (), **options: Any) -> Request:
    """A greedy request without penalties, unless `options` say otherwise."""
    greedy = {"temperature": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
    chosen = GenerationOptions(max_new_tokens=tokens, **(greedy | options))
    return Request((*before, Message("user", tuple(parts))), chosen)


_STOCK: dict[Request, list[int]] = {}


@torch.inference_mode()
def stock(request: Request, model: Any = None) -> list[int]:
    """Greedy token ids of `transformers.generate` itself for one request, end token off."""
    key = request if model is None else None
    if key in _STOCK:
        return _STOCK[key]
    made = tiny().model if model is None else model
    inputs = PromptEncoder(tiny().processor).encode(request).inputs
    count = inputs["input_ids"].shape[1]
    made.generation_config.eos_token_id = None
    out = made.generate(
        **{name: tensor.to(DEVICE) for name, tensor in inputs.items()},
        attention_mask=torch.ones(1, count, dtype=torch.int64, device=DEVICE),
        do_sample=False,
        max_new_tokens=request.options.max_new_tokens,
    )
    made.generation_config.eos_token_id = tiny().processor.tokenizer.eos_token_id
    ids = out[0, count:].tolist()
    if key is not None:
        _STOCK[key] = ids
    return ids


def answers(made: Any, requests: Any, **more: Any) -> dict[int, Any]:
    """Outcomes by request; replies as lists of token ids."""
    found = {}
    for index, outcome in made.generate(requests, **more):
        assert index not in found
        text = getattr(outcome, "text", None)
        found[index] = outcome if text is None else [int(i) for i in text.split()]
    return found


def check(made: Any, requests: list[Request], model: Any = None) -> None:
    """Every answer equals that of transformers.generate, token by token."""
    found = answers(made, requests)
    assert sorted(found) == list(range(len(requests)))
    for index, request in enumerate(requests):
        assert found[index] == stock(request, model), f"request {index}"
