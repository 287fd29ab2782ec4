"""The reference engine: left-padded batches through transformers' own `generate`.

It is the yardstick for the fast engine and serves what that one cannot (quantized weights).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from ...utils.chat.requests import Request
from ...utils.chat.sampling import Sampling, resolve
from ...utils.errors import Qwen3VLError
from ..host.out_of_memory import is_out_of_memory
from .protocol import OnProgress, Outcome
from .request.draft import Draft, too_large
from .request.prompt import Prompt, PromptEncoder
from .scheduler.meter import Meter, ignore_progress
from .scheduler.worker import Steps
from .state.sampler import Drawing, SamplingRows, choose_tokens, drawing_for

BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class _Sequence:
    index: int
    seed: int
    prompt: Prompt
    sampling: Sampling
    draft: Draft
    # Tokens that come next whatever the model says: they close its thinking.
    forced: deque[int] = field(default_factory=deque)


class ReferenceEngine:
    """Answers requests batch by batch with `module.generate`.

    Args:
        module: a Qwen3-VL conditional-generation module on its device.
        processor: the checkpoint's processor.
        free_memory: called after running out of memory, before a smaller batch is tried.
    """

    def __init__(self, module: Any, processor: Any, free_memory: Callable[[], None] = lambda: None):
        self._module: Any = module
        self._encoder = PromptEncoder(processor)
        self._free_memory = free_memory
        self._end_ids = end_token_ids(module, processor.tokenizer)
        self._pad_id = processor.tokenizer.pad_token_id or min(self._end_ids)

    def generate(
        self, requests: Iterable[Request], on_progress: OnProgress = ignore_progress
    ) -> Iterator[tuple[int, Outcome]]:
        """See `Engine.generate`; replies come as their rows finish."""
        numbered = enumerate(requests)
        meter = Meter(on_progress)
        while batch := list(islice(numbered, BATCH_SIZE)):
            meter.report({})
            sequences: list[_Sequence] = []
            for index, request in batch:
                try:
                    sequences.append(self._begin(index, request))
                except Qwen3VLError as error:
                    meter.finish(0)
                    yield index, error
            yield from self._answer(sequences, meter)

    def drop_buffers(self) -> None:
        """Nothing to do: `generate` keeps no cache between runs."""

    def close(self) -> None:
        """Forget the module."""
        self._module = None

    def _begin(self, index: int, request: Request) -> _Sequence:
        prompt = self._encoder.encode(request)
        sampling = resolve(request.options, self._encoder.edition, request.has_vision)
        draft = Draft.begin(
            request,
            sampling,
            self._encoder,
            self._end_ids,
            context=self._module.config.text_config.max_position_embeddings,
            prompt_tokens=prompt.length,
            started=time.perf_counter(),
        )
        return _Sequence(index, request.seed, prompt, sampling, draft)

    def _answer(self, sequences: list[_Sequence], meter: Meter) -> Iterator[tuple[int, Outcome]]:
        """Outcomes of the sequences; out of memory, the unfinished ones are tried in halves."""
        out_of_memory = False
        try:
            yield from self._run(sequences, meter)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            out_of_memory = True  # recovered below: the exception holds the tensors
        if not out_of_memory:
            return
        self._free_memory()
        left = [sequence for sequence in sequences if sequence.draft.stopped_by is None]
        for sequence in left:
            sequence.draft.restart()
            sequence.forced.clear()
        if len(left) == 1:
            meter.finish(0)
            yield left[0].index, too_large(left[0].prompt.length)
            return
        half = (len(left) + 1) // 2
        yield from self._answer(left[:half], meter)
        yield from self._answer(left[half:], meter)

    def _run(self, sequences: list[_Sequence], meter: Meter) -> Iterator[tuple[int, Outcome]]:
        running = {sequence.index: sequence.draft for sequence in sequences}
        if not running:
            return
        with Steps(lambda on_step: self._decode(sequences, on_step), self._module) as steps:
            for finished in steps:
                for index in finished:
                    draft = running.pop(index)
                    meter.finish(len(draft.token_ids))
                    yield index, draft.outcome()
                meter.report(dict(running))

    @torch.inference_mode()
    def _decode(self, sequences: list[_Sequence], on_step: Callable[[list[int]], None]) -> None:
        """Run `generate` to the end of every sequence; `on_step` gets the indices that finished."""
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        config = GenerationConfig(
            do_sample=False,  # the choice is made in _Chooser
            max_new_tokens=max(sequence.draft.limit for sequence in sequences),
            eos_token_id=sorted(self._end_ids),
            pad_token_id=self._pad_id,
        )
        # generate() would fill unset fields from here, the checkpoint's own sampling included.
        self._module.generation_config = config
        device = self._module.get_input_embeddings().weight.device
        inputs = left_padded([sequence.prompt for sequence in sequences], self._pad_id)
        self._module.generate(
            **{name: tensor.to(device) for name, tensor in inputs.items()},
            generation_config=config,
            logits_processor=LogitsProcessorList([_Chooser(sequences, device)]),
            stopping_criteria=StoppingCriteriaList([_Watch(sequences, on_step)]),
        )


class _Chooser:
    """A logits processor that leaves only the token our sampling takes."""

    def __init__(self, sequences: list[_Sequence], device: torch.device):
        settings = [one.sampling for one in sequences]
        self._rows = SamplingRows.of(settings, [one.seed for one in sequences], device)
        self._sequences = sequences
        self._drawing: Drawing = drawing_for(settings)
        self._seen: torch.Tensor | None = None
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._seen is None:
            self._seen = torch.zeros_like(scores, dtype=torch.bool)
            bad = scores.isnan().any(dim=-1).tolist()
            for sequence, broken in zip(self._sequences, bad, strict=True):
                sequence.draft.broken = broken
        else:
            self._seen.scatter_(1, input_ids[:, -1:], True)
        steps = torch.full_like(self._rows.seed, self._step)
        chosen = choose_tokens(scores, self._seen, self._rows, steps, self._drawing)
        for row, sequence in enumerate(self._sequences):
            if sequence.forced:
                chosen[row] = sequence.forced.popleft()
        self._step += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen[:, None], 0.0)


class _Watch:
    """A stopping criterion for each row: end token, limit, stop string, repetition."""

    def __init__(self, sequences: list[_Sequence], on_step: Callable[[list[int]], None]):
        self._sequences = sequences
        self._on_step = on_step

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        finished = []
        for sequence, token_id in zip(self._sequences, input_ids[:, -1].tolist(), strict=True):
            if sequence.draft.stopped_by is None and sequence.draft.add(token_id):
                finished.append(sequence.index)
            elif sequence.draft.paused and sequence.draft.stopped_by is None:
                sequence.forced.extend(sequence.draft.close_thinking())
        self._on_step(finished)
        done = [sequence.draft.stopped_by is not None for sequence in self._sequences]
        return torch.tensor(done, device=input_ids.device)


def left_padded(prompts: list[Prompt], pad_id: int) -> dict[str, torch.Tensor]:
    """One batch of several prompts: token tensors padded on the left, pictures in row order."""
    longest = max(prompt.length for prompt in prompts)
    batch: dict[str, list[torch.Tensor]] = {}
    for prompt in prompts:
        tokens = prompt.inputs["input_ids"]
        batch.setdefault("attention_mask", []).append(
            _pad_left(torch.ones_like(tokens), longest, 0)
        )
        for name, tensor in prompt.inputs.items():
            per_token = tensor.shape == tokens.shape
            fill = pad_id if name == "input_ids" else 0
            padded = _pad_left(tensor, longest, fill) if per_token else tensor
            batch.setdefault(name, []).append(padded)
    return {name: torch.cat(tensors) for name, tensors in batch.items()}


def _pad_left(tensor: torch.Tensor, length: int, value: int) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (length - tensor.shape[1], 0), value=value)


def end_token_ids(module: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply: the checkpoint's generation config and its tokenizer's."""
    ids = module.generation_config.eos_token_id
    ids = [ids] if isinstance(ids, int) else list(ids or [])
    return frozenset([*ids, tokenizer.eos_token_id])
