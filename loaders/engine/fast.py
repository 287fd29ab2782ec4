"""The fast engine: many requests in one continuously batched generation, near the memory limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import torch

from ...utils.chat.requests import Request
from ...utils.chat.sampling import resolve
from ...utils.errors import GenerationError
from ..host.out_of_memory import is_out_of_memory
from .model.layers import has_experts, supports
from .protocol import OnProgress, Outcome
from .reference import end_token_ids
from .request.draft import Draft
from .request.encoding import Prepared, Preparer
from .request.intake import Intake
from .request.odds import ON_CPU, Odds, Prices
from .request.phrasebook import Phrasebook
from .request.prompt import PromptEncoder
from .request.sequence import Sequence
from .scheduler.current_device import on_device
from .scheduler.engine_run import Limits, Run
from .scheduler.fusion import pick_ops
from .scheduler.meter import Meter, ignore_progress
from .scheduler.pages import Pages, free_bytes_of
from .scheduler.stepper import GUESSED_ROWS, Stepper
from .state.pool import PAGE_TOKENS

MOST_ROWS = 64
# KV memory kept from run to run, for the next question about the same picture.
KEEP_BYTES = 2 << 30
LARGE_DEVICE_BYTES = 30 << 30
# On a GPU a step of a smaller model is over before the host has seen what it drew.
SLOW_BYTES = 1 << 30
# When several requests come, the first pool expects answers of this length.
EXPECTED_ANSWER = 256
# What an H100 reads of weights while the host waits for a check and starts the next step.
WAIT_BYTES = 1.2e9


class FastEngine:
    """Answers requests on a local, unquantized Qwen3-VL module.

    The module must be on its device before `generate` is called. Whoever moves or unloads it
    calls `drop_buffers` first; a move without that is noticed at the next run.

    Args:
        module: a module for which `weights.supports` gives None.
        processor: the checkpoint's processor.
        free_memory: called after running out of memory, for others to make room; it must not move
            this module.
        free_bytes: how many bytes the engine may take now; asked at the start of each run. By
            default what the device has left.
        most_rows: most requests decoded at once.
        page_tokens: tokens in a page of the KV pool.
        fused: False keeps to plain PyTorch operations.
        looks_ahead: False draws one token in a step, whatever could be guessed; None guesses
            where a step is slow enough for that to pay.

    Raises:
        GenerationError: the module is not supported; says why.
    """

    def __init__(
        self,
        module: Any,
        processor: Any,
        free_memory: Callable[[], None] = lambda: None,
        *,
        free_bytes: Callable[[], int] | None = None,
        most_rows: int = MOST_ROWS,
        page_tokens: int = PAGE_TOKENS,
        fused: bool = True,
        looks_ahead: bool | None = None,
    ):
        if reason := supports(module):
            raise GenerationError(
                f"The fast engine cannot run this model: {reason}.", "Use the reference engine."
            )
        self._module: Any = module
        self._encoder = PromptEncoder(processor)
        if looks_ahead is None:
            looks_ahead = _is_slow(module)
        # Each row of a mixture wakes experts of its own, so more rows are never nearly free.
        looks_ahead = looks_ahead and not has_experts(module)
        exact = module.model.language_model.norm.weight.dtype == torch.float32
        self._phrasebook = Phrasebook(keeps=exact) if looks_ahead else None
        self._prices = _prices(module)
        self._free_memory = free_memory
        self._free_bytes = free_bytes
        self._most_rows, self._page_tokens, self._fused = most_rows, page_tokens, fused
        self._end_ids = end_token_ids(module, processor.tokenizer)
        self._stepper: Stepper | None = None
        self._outcomes: Iterator[tuple[int, Outcome]] | None = None

    def generate(
        self, requests: Iterable[Request], on_progress: OnProgress = ignore_progress
    ) -> Iterator[tuple[int, Outcome]]:
        """See `Engine.generate`. One run at a time: a new one ends the one before."""
        if self._outcomes is not None:
            self._outcomes.close()  # type: ignore[attr-defined]
        device = self._module.lm_head.weight.device
        self._outcomes = outcomes = on_device(device, self._generate(requests, on_progress))
        return outcomes

    def drop_buffers(self) -> None:
        """Give back KV memory and captured graphs; the engine stays usable."""
        if self._outcomes is not None:
            self._outcomes.close()  # type: ignore[attr-defined]
        self._outcomes = self._stepper = None

    def close(self) -> None:
        """Give everything back and forget the module."""
        self.drop_buffers()
        self._module = None

    @property
    def buffer_bytes(self) -> int:
        """Bytes of KV memory held now."""
        pool = self._stepper.pool if self._stepper is not None else None
        return pool.pages * pool.page_bytes if pool is not None else 0

    def _generate(
        self, requests: Iterable[Request], on_progress: OnProgress
    ) -> Generator[tuple[int, Outcome], None, None]:
        meter = Meter(on_progress)
        on_cuda = self._module.lm_head.weight.device.type == "cuda"
        preparer = Preparer(self._encoder, self._module.config, pin=on_cuda)
        intake = Intake(requests, preparer)
        try:
            intake.fill()
            meter.report({})
            stepper = self._attached()
            pages = self._pages(stepper, intake)
            limits = Limits(self._most_rows, self._prompt_tokens(stepper.rows.device))
            run = Run(
                stepper,
                intake,
                self._begin,
                pages,
                limits,
                meter,
                self._free_memory,
                self._phrasebook,
            )
            yield from run.outcomes()
        finally:
            intake.close()
            self._rest()

    def _attached(self) -> Stepper:
        device = self._module.lm_head.weight.device
        if self._stepper is None:
            ops = pick_ops(device) if self._fused else pick_ops(torch.device("cpu"))
            self._stepper = Stepper(
                self._module,
                self._encoder.processor.image_processor,
                ops,
                self._most_rows,
                self._page_tokens,
            )
        out_of_memory = False
        try:
            self._stepper.attach()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            out_of_memory = True  # recovered below: the exception holds the tensors
        if out_of_memory:
            self._stepper.drop()
            self._free_memory()
            self._stepper.attach()
        return self._stepper

    def _pages(self, stepper: Stepper, intake: Intake) -> Pages:
        device = stepper.rows.device
        free_bytes = self._free_bytes or (lambda: free_bytes_of(device))
        step_bytes = self._step_bytes(self._prompt_tokens(device))
        pages = Pages(stepper, free_bytes, step_bytes, self._free_memory)
        several = len(intake) > 1
        first = intake.first_length() if several else 0
        pages.expect((first + EXPECTED_ANSWER) * self._most_rows if several else 0)
        return pages

    def _prompt_tokens(self, device: torch.device) -> int:
        """Tokens read in one step: enough to keep the device busy, short enough to interrupt."""
        if device.type != "cuda":
            return 1_024
        total = torch.cuda.get_device_properties(device).total_memory
        return 8_192 if total >= LARGE_DEVICE_BYTES else 2_048

    def _step_bytes(self, prompt_tokens: int) -> int:
        """About what the largest step allocates: activations of a prompt step, and logits."""
        text, vision = self._module.config.text_config, self._module.config.vision_config
        size = self._module.model.language_model.norm.weight.element_size()
        per_token = 3 * text.intermediate_size + 8 * text.hidden_size
        per_patch = 2 * vision.intermediate_size + 8 * vision.hidden_size
        patches = 4 * prompt_tokens
        activations = (prompt_tokens * per_token + patches * per_patch) * size
        rows = max(self._most_rows, GUESSED_ROWS)
        return activations + rows * text.vocab_size * 20

    def _begin(self, index: int, request: Request, prepared: Prepared, seconds: float) -> Sequence:
        sampling = resolve(request.options, self._encoder.edition, request.has_vision)
        draft = Draft.begin(
            request,
            sampling,
            self._encoder,
            self._end_ids,
            context=self._module.config.text_config.max_position_embeddings,
            prompt_tokens=prepared.length,
            started=time.perf_counter() - seconds,
        )
        return Sequence(index, request.seed, prepared, sampling, draft, odds=Odds(self._prices))

    def _rest(self) -> None:
        """Between runs: no weight is held, and no more KV memory than worth keeping."""
        self._outcomes = None
        if self._stepper is not None:
            self._stepper.detach()
            if self.buffer_bytes > KEEP_BYTES:
                self._stepper.drop()


def _is_slow(module: Any) -> bool:
    """Whether a step takes longer than the host needs to look at its tokens before the next."""
    on_cuda = module.lm_head.weight.device.type == "cuda"
    return not on_cuda or sum(p.nbytes for p in module.parameters()) >= SLOW_BYTES


def _prices(module: Any) -> Prices:
    """What checks cost. A GPU reads all weights for eight rows as for two, and the host waits for
    each check, some 0.4 ms: little beside the weights of a large model.
    """
    if module.lm_head.weight.device.type != "cuda":
        return ON_CPU
    return ((GUESSED_ROWS, 1.03 + WAIT_BYTES / sum(p.nbytes for p in module.parameters())),)
