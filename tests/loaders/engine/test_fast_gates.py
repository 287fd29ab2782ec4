"""Greedy tokens of the fast engine equal `transformers.generate`, whatever runs beside them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fast_kit import DEVICE, answers, ask, check, clip, engine, ids_as_text, picture, stock, tiny
from qwen3vl_nodes.loaders.engine import fast as fast_module
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.engine.scheduler.engine_run import Run
from qwen3vl_nodes.loaders.engine.scheduler.fusion import pick_ops
from qwen3vl_nodes.loaders.engine.scheduler.stepper import Stepper
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request

MIXED = [(64, 64), (96, 64), (64, 160), (128, 96), (192, 64), (64, 96), (160, 160), (96, 224)]
CASES = {
    "text": [ask("hello")],
    "one image": [ask(picture(96, 64), "what is it?")],
    "8 images": [ask(picture(w, h), "what?") for w, h in MIXED],
    "several images": [ask("a", picture(64, 96), "b", picture(128, 64), picture(64, 64), "?")],
    "video": [ask(clip(), "what happens?")],
    "video and image": [ask(picture(64, 64), clip(4), "?", picture(96, 64))],
    "film of a varying rate": [
        ask(replace(clip(4), seconds=(2.0, 2.04, 7.5, 9.013)), "what happens?")
    ],
    "two films and a picture": [ask(clip(2), picture(64, 96), clip(3, seed=1), "?")],
    "small picture": [ask(picture(20, 30), "what?")],
    "system": [ask("who?", before=(Message("system", ("Be brief.",)),))],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fused", [True, False])
def test_greedy_equals_generate(case, fused):
    if not fused and DEVICE.type == "cpu":
        pytest.skip("nothing is fused on a CPU")
    check(engine(fused=fused), CASES[case])


def test_all_cases_in_one_run():
    check(engine(), [request for case in CASES.values() for request in case])


def test_refills_in_the_middle_of_a_run():
    requests = [
        ask(picture(64 + 32 * (i % 3), 64, seed=i), "?" * (i + 1), tokens=3 + 5 * (i % 4))
        for i in range(14)
    ]
    check(engine(most_rows=3), requests)


def test_prompts_are_read_beside_running_rows(monkeypatch):
    original, steps = Stepper.read, []

    def read(self, passages, tick, beside):
        whole = all(one.end == one.sequence.length for one in passages)
        steps.append((beside is not None, whole, len(passages)))
        return original(self, passages, tick, beside)

    monkeypatch.setattr(Stepper, "read", read)
    made = engine(most_rows=4)
    monkeypatch.setattr(made, "_prompt_tokens", lambda device: 24)
    check(
        made,
        [
            ask(picture(64 + 32 * (i % 3), 64, seed=i), "?" * (1 + 9 * i), tokens=5 + 9 * (i % 3))
            for i in range(9)
        ],
    )
    beside = [step for step in steps if step[0]]
    assert len(beside) > 9
    assert {whole for _, whole, _ in beside} == {True, False}  # pieces, and the last of them


def test_tokens_are_read_one_step_late(monkeypatch):
    class LateRun(Run):
        def __init__(self, *args):
            super().__init__(*args)
            self._late = 1  # as on a device that works on its own

    monkeypatch.setattr(fast_module, "Run", LateRun)
    requests = [ask(f"say {i}", tokens=3 + 7 * (i % 3)) for i in range(9)]
    check(engine(most_rows=3), requests)
    made = engine(most_rows=3)
    ids = stock(requests[2])
    made._end_ids = frozenset([ids[6]])
    found = answers(made, requests)
    for i, request in enumerate(requests):
        whole = stock(request)
        assert found[i] == (whole[: whole.index(ids[6])] if ids[6] in whole else whole)
    made.drop_buffers()
    made._end_ids = frozenset()
    check(made, requests)


def test_prompts_longer_than_a_page_and_than_a_step(monkeypatch):
    made = engine()
    monkeypatch.setattr(made, "_prompt_tokens", lambda device: 24)
    requests = [ask(picture(160, 160), "x" * 90), ask("y" * 200), ask(clip(), picture(64, 96))]
    check(made, requests)


def test_answers_longer_than_the_first_pool():
    made = engine()
    check(made, [ask("grow", tokens=300), ask(picture(64, 64), "grow", tokens=200)])


def test_after_the_weights_have_moved():
    made = engine()
    requests = CASES["8 images"]
    check(made, requests)
    assert made.buffer_bytes > 0
    model = tiny().model
    if DEVICE.type == "cuda":
        model.to("cpu")
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    model.to(DEVICE)
    check(made, requests)


def test_the_weights_are_read_anew_after_a_change():
    made = engine()
    request = CASES["one image"][0]
    before = answers(made, [request])
    layer = tiny().model.model.language_model.layers[0].mlp.down_proj
    saved = layer.weight
    layer.weight = torch.nn.Parameter(-saved.detach())
    changed = answers(made, [request])
    assert changed != before and changed[0] == stock(request, tiny().model)
    layer.weight = saved
    assert answers(made, [request]) == before


@pytest.mark.parametrize("official", [False, True])
def test_sampling_does_not_depend_on_the_batch(official):
    options = GenerationOptions(max_new_tokens=12)
    if not official:
        options = GenerationOptions(
            max_new_tokens=12, temperature=1.4, top_k=100, top_p=0.95, repetition_penalty=1.2
        )
    first = Message("user", (picture(96, 64), "what?"))
    kinds = (
        lambda i: (Message("user", (f"say {i}",)),),
        lambda i: (Message("user", (picture(64, 64, i), "?")),),
        lambda i: (Message("user", (clip(), f"what happens at {i}?")),),
        lambda i: (first, Message("assistant", ("a star",)), Message("user", (f"and {i}?",))),
    )
    requests = [Request(kinds[i % 4](i), options, seed=i * 7919) for i in range(32)]
    alone = answers(engine(most_rows=1), requests)
    for rows in (8, 32):
        assert answers(engine(most_rows=rows), requests) == alone
    reference = ReferenceEngine(tiny().model, tiny().processor)
    reference._encoder.decode = ids_as_text
    reference._end_ids = frozenset([-1])
    assert answers(reference, requests[:8]) == {i: alone[i] for i in range(8)}
    assert len({tuple(ids) for ids in alone.values()}) == 32


def test_seeds_count():
    request = Request((Message("user", ("say",)),), GenerationOptions(max_new_tokens=12))
    other = Request(request.messages, request.options, seed=1)
    found = answers(engine(), [request, other, request])
    assert found[0] == found[2] != found[1]


def test_greedy_and_sampled_rows_side_by_side():
    drawn = Request((Message("user", ("say",)),), GenerationOptions(max_new_tokens=30), seed=3)
    alone = answers(engine(), [drawn])[0]
    found = answers(engine(), [ask("hello", tokens=20), drawn])
    assert found == {0: stock(ask("hello", tokens=20)), 1: alone}


@pytest.mark.skipif(DEVICE.type != "cuda", reason="nothing is fused on a CPU")
def test_steps_are_fused_under_this_allocator():
    pytest.importorskip("triton")
    assert type(pick_ops(DEVICE)).__name__ == "TritonOps"


def test_one_token_wanted():
    check(engine(), [ask("a", tokens=1), ask(picture(64, 64), "b", tokens=1), ask("c", tokens=2)])


def test_stop_at_the_first_token_and_later():
    made = engine()
    ids = stock(ask("hello"))
    made._end_ids = frozenset([ids[0]])
    assert answers(made, [ask("hello")]) == {0: []}
    made._end_ids = frozenset([ids[5]])
    assert answers(made, [ask("hello")]) == {0: ids[: ids.index(ids[5])]}


def test_100_requests_of_all_lengths():
    rng = np.random.default_rng(5)
    prompts = [("hello",), (picture(64, 96), "what?"), ("count " * 9,)]
    whole = [stock(ask(*prompt, tokens=200)) for prompt in prompts]
    lengths = rng.integers(1, 201, 100).tolist()
    found = answers(engine(), [ask(*prompts[i % 3], tokens=n) for i, n in enumerate(lengths)])
    for i, length in enumerate(lengths):
        assert found[i] == whole[i % 3][:length]


def test_mixture_of_experts():
    moe = pytest.importorskip("transformers").Qwen3VLMoeForConditionalGeneration
    base = tiny().model.config
    config = base.to_dict()
    text = config["text_config"] | {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        "decoder_sparse_step": 1, "mlp_only_layers": [1], "model_type": "qwen3_vl_moe_text",
    }  # fmt: skip
    text.pop("dtype", None)
    # One way of running experts for both: in fp32 they differ by more than the choices do.
    vision = config["vision_config"] | {"model_type": "qwen3_vl_moe"}
    kind = moe.config_class
    made = kind(
        text_config=text,
        vision_config=vision,
        **{name: config[name] for name in config if name.endswith("_token_id")},
    )
    torch.manual_seed(1)
    model = moe(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.15)
    model.to(DEVICE)
    model.generation_config.pad_token_id = 0
    for part in (model.config, model.config.text_config):
        part._experts_implementation = "eager"
    requests = [ask("hello"), ask(picture(64, 96), "what?")]
    check(engine(model), requests, model)
