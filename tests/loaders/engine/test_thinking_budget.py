"""Thinking on, off and within a budget, in both engines, against transformers' own generate."""

from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch
from fast_kit import DEVICE, ids_as_text, picture, tiny
from qwen3vl_nodes.loaders.engine import fast
from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder, render
from qwen3vl_nodes.loaders.engine.scheduler.engine_run import Run
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.text.thinking import CLOSING
from tiny_checkpoint import build_processor

SEEN = picture(96, 64)


@lru_cache(maxsize=1)
def thinker():
    """The tiny model with a template that opens the thinking."""
    return SimpleNamespace(processor=build_processor(thinking=True), model=tiny().model)


def ids(text):
    return thinker().processor.tokenizer(text, add_special_tokens=False)["input_ids"]


def ask(*parts, tokens=9, budget=None, thinking=None, **more):
    greedy = {"temperature": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0} | more
    options = GenerationOptions(
        max_new_tokens=tokens, thinking=thinking, thinking_budget=budget, **greedy
    )
    return Request((Message("user", parts),), options)


class Late(Run):
    """A run that reads tokens a step after they are drawn, as one does on a GPU."""

    def __init__(self, *args):
        super().__init__(*args)
        self._late = 1


@pytest.fixture(params=[Run, Late], ids=["", "late"], autouse=True)
def reading(request, monkeypatch):
    monkeypatch.setattr(fast, "Run", request.param)


def engines():
    made = [
        FastEngine(thinker().model, thinker().processor, page_tokens=16),
        ReferenceEngine(thinker().model, thinker().processor),
    ]
    for engine in made:
        engine._encoder.decode = ids_as_text
        engine._end_ids = frozenset([10**6] if isinstance(engine, ReferenceEngine) else [])
    return made


both = pytest.mark.parametrize("engine", engines(), ids=["fast", "reference"])


def answer(engine, requests):
    """Token ids of every reply; thinking and answer are one text here."""
    found = {}
    for index, reply in engine.generate(requests):
        text = f"{reply.thinking} {reply.text}"
        found[index] = ([int(one) for one in text.split()], reply)
    return [found[index] for index in range(len(requests))]


@torch.inference_mode()
def generated(request, count, after=()):
    """What `generate` writes after the prompt and these tokens."""
    inputs = PromptEncoder(thinker().processor).encode(request).inputs
    more = torch.tensor([list(after)], dtype=torch.int64)
    for name in ("input_ids", "mm_token_type_ids"):
        if name in inputs:
            filler = more if name == "input_ids" else torch.zeros_like(more)
            inputs[name] = torch.cat((inputs[name], filler.to(inputs[name].dtype)), dim=1)
    length = inputs["input_ids"].shape[1]
    model = thinker().model
    model.generation_config.eos_token_id = None
    out = model.generate(
        **{name: tensor.to(DEVICE) for name, tensor in inputs.items()},
        attention_mask=torch.ones(1, length, dtype=torch.int64, device=DEVICE),
        do_sample=False,
        max_new_tokens=count,
    )
    model.generation_config.eos_token_id = thinker().processor.tokenizer.eos_token_id
    return out[0, length:].tolist()


def expected(request):
    """Thought to the budget, closed, and answered from there."""
    thought = generated(request, request.options.thinking_budget)
    head = thought + ids(CLOSING)
    return head + generated(request, request.options.max_new_tokens, head)


@both
@pytest.mark.parametrize("budget", [1, 5, 16, 30])
def test_at_the_budget_the_thinking_is_closed_and_the_answer_is_what_generate_writes(
    engine, budget
):
    request = ask(SEEN, "Which shape?", budget=budget)
    ((tokens, reply),) = answer(engine, [request])
    assert tokens == expected(request)
    assert reply.thinking_closed and reply.stopped_by == "length"
    assert reply.tokens == budget + len(ids(CLOSING)) + 9


@both
def test_a_batch_with_and_without_budgets(engine):
    requests = [
        ask(SEEN, "one", budget=3),
        ask("two", budget=11, tokens=4),
        ask(picture(64, 64, 2), "three", tokens=20),
        ask("four", budget=3, tokens=1),
    ]
    found = answer(engine, requests)
    for request, (tokens, reply) in zip(requests, found, strict=True):
        if request.options.thinking_budget is None:
            assert tokens == generated(request, 20) and not reply.thinking_closed
        else:
            assert tokens == expected(request)


def ended(engine, request, at):
    """Answer as if the token number `at` were the one that ends thinking."""
    natural = generated(request, 40)
    engine._encoder.thinking_budget = lambda options: (
        PromptEncoder(thinker().processor).thinking_budget(options)
        and budget_ending_with(options.thinking_budget, natural[at - 1])
    )
    try:
        return natural, answer(engine, [request])[0]
    finally:
        del engine._encoder.thinking_budget


def budget_ending_with(tokens, end_id):
    from qwen3vl_nodes.loaders.engine.request.thinking_budget import ThinkingBudget

    return ThinkingBudget(tokens, (end_id,), tuple(ids(CLOSING)))


@both
@pytest.mark.parametrize(("budget", "at"), [(1, 1), (2, 1), (30, 1), (30, 4)])
def test_thinking_that_ends_by_itself_is_left_alone_and_the_answer_has_all_its_tokens(
    engine, budget, at
):
    request = ask(SEEN, "Which shape?", budget=budget, tokens=6)
    natural, (tokens, reply) = ended(engine, request, at)
    at = natural.index(natural[at - 1]) + 1
    assert tokens == natural[: at + 6]
    assert not reply.thinking_closed


@both
def test_thinking_that_ends_with_the_last_token_of_the_budget_is_not_closed_again(engine):
    request = ask("Which?", budget=4, tokens=6)
    natural = generated(request, 40)
    last = next(n for n in range(2, 20) if natural[n - 1] not in natural[: n - 1])
    request = ask("Which?", budget=last, tokens=6)
    _, (tokens, reply) = ended(engine, request, last)
    assert tokens == natural[: last + 6] and not reply.thinking_closed


@both
def test_without_thinking_the_prompt_closes_the_block_itself(engine):
    request = ask("Which?", thinking=False, budget=2, tokens=5)
    assert render(request, thinker().processor).endswith("<think>\n\n</think>\n\n")
    ((tokens, reply),) = answer(engine, [request])
    assert tokens == generated(request, 5)
    assert reply.thinking == "" and reply.text


def test_an_instruct_edition_is_not_touched_by_either():
    plain = PromptEncoder(tiny().processor)
    request = ask("Which?", thinking=False, budget=2)
    assert plain.thinking_budget(request.options) is None
    assert render(request, tiny().processor).endswith("assistant\n")


@both
def test_sampling_goes_on_with_its_seed_after_the_closing(engine):
    """Both engines draw the same tokens: steps and penalties count the closing words too."""
    request = ask("Which?", budget=5, tokens=12, temperature=1.0, presence_penalty=1.0)
    others = engines()
    assert answer(engine, [request])[0][0] == answer(others[0], [request])[0][0]
    assert answer(engine, [request])[0][0] == answer(others[1], [request])[0][0]


@both
def test_top_k_off_draws_from_all_in_any_company(engine):
    off = ask("Which?", tokens=8, temperature=2.0, top_k=0, top_p=1.0)
    some = ask("Which?", tokens=8, temperature=2.0, top_k=5, top_p=0.9)
    alone = [answer(engine, [off])[0][0], answer(engine, [some])[0][0]]
    assert [tokens for tokens, _ in answer(engine, [off, some])] == alone
    other = [tokens for tokens, _ in answer(engines()[0], [off, some])]
    assert other == alone


@both
def test_a_context_that_is_nearly_full_keeps_a_token_for_the_answer(engine):
    room = thinker().model.config.text_config.max_position_embeddings
    words = "x" * (room - 60)
    request = ask(words, budget=20, tokens=500)
    ((tokens, reply),) = answer(engine, [request])
    assert reply.thinking_closed and reply.stopped_by == "length"
    assert reply.prompt_tokens + len(tokens) == room
