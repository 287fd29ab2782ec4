"""Memory, prefixes, interrupts and errors of the fast engine; afterwards the next run is right."""

import copy
import gc
import random
import weakref

import numpy as np
import pytest
import torch
from fast_kit import DEVICE, answers, ask, check, clip, engine, picture, stock, tiny
from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.model.vision_tower import VisionTower
from qwen3vl_nodes.loaders.engine.scheduler import engine_run as run_module
from qwen3vl_nodes.loaders.engine.scheduler.board import Board
from qwen3vl_nodes.loaders.engine.scheduler.stepper import Stepper
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.errors import GenerationError, InputError

REQUESTS = [ask(picture(64, 96, i), "what?" * (1 + i % 4), tokens=12 + 3 * i) for i in range(6)]


def page_bytes():
    text = tiny().model.config.text_config
    return 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * 16 * 4


def tight(pages, **settings):
    """An engine that may take so many pages of KV memory."""
    made = engine(**settings)
    made._step_bytes = lambda tokens: 0
    made._free_bytes = lambda: int(pages * page_bytes() / 0.9) + 1 - made.buffer_bytes
    return made


@pytest.fixture
def seen(monkeypatch):
    """Numbers of pictures that the vision tower was given."""
    counts = []
    call = VisionTower.__call__

    def counted(self, visuals, *rest):
        counts.append(len(visuals))
        return call(self, visuals, *rest)

    monkeypatch.setattr(VisionTower, "__call__", counted)
    return counts


def test_another_question_about_the_same_picture_reuses_it(seen):
    made, photo = engine(), picture(160, 96)
    check(made, [ask(photo, "what is it?")])
    read = []
    original = Stepper.read
    made._stepper.read = lambda chunks, *rest: (  # type: ignore[method-assign, union-attr]
        read.extend(c.end - c.start for c in chunks) or original(made._stepper, chunks, *rest)
    )
    check(made, [ask(photo, "where is it?")])
    assert sum(seen) == 1
    assert sum(read) < 60
    check(made, [ask(picture(160, 96, seed=1), "where is it?")])
    assert sum(seen) == 2


def test_questions_about_one_picture_in_one_run_share_it(seen):
    photo = picture(160, 96)
    check(engine(), [ask(photo, f"question {i}?") for i in range(4)])
    assert sum(seen) == 1


def test_shared_pages_belong_to_each_who_uses_them():
    made, photo = tight(16), picture(160, 96)
    for turn in range(3):
        check(made, [ask(photo, f"{turn} question {i}?", tokens=20 + 9 * i) for i in range(4)])
        check(made, [ask("x" * 120, tokens=2)])  # takes pages, so that prefixes are forgotten
    pool, prefix = made._stepper.pool, made._stepper.prefix  # type: ignore[union-attr]
    while prefix.evict():
        pass
    assert sorted(pool._free) == list(range(1, pool.pages)) and not any(pool._owners)


def test_rows_without_a_request_are_idle(monkeypatch):
    boards = []

    class Watched(Board):
        def __init__(self, *args):
            super().__init__(*args)
            boards.append(self)

    original, idle = Stepper.decode, []

    def decode(self, beside, tick):
        for row in set(range(beside.batch)) - boards[-1].running.keys():
            idle.append(row)
            assert not self.rows.ints[row, 1:].any()  # the token drawn there is nobody's
            assert not self.rows.table[row].any()
        return original(self, beside, tick)

    monkeypatch.setattr(run_module, "Board", Watched)
    monkeypatch.setattr(Stepper, "decode", decode)
    mixed = enumerate((2, 30, 30, 30, 9))
    made = engine(most_rows=4, looks_ahead=False)  # a guess has a row too
    check(made, [ask(f"say {i}", tokens=n) for i, n in mixed])
    assert len(idle) > 10


def test_only_what_was_read_is_remembered():
    made = engine()
    request = ask("hello", tokens=9)
    check(made, [request])
    ((known, _),) = made._stepper.prefix._entries.values()  # type: ignore[union-attr]
    ((_, reply),) = made.generate([request])
    assert len(known) == reply.prompt_tokens + 8
    made.drop_buffers()
    made._end_ids = frozenset([stock(request)[4]])
    ended = len(answers(made, [request])[0])
    ((known, _),) = made._stepper.prefix._entries.values()  # type: ignore[union-attr]
    assert len(known) == reply.prompt_tokens + ended


def test_next_chat_turn_reuses_the_last_one(seen):
    made, photo = engine(), picture(96, 96)
    first = (Message("user", (photo, "hello")),)
    check(made, [ask(photo, "hello")])
    before = (*first, Message("assistant", ("plain words",)))
    check(made, [ask("and now?", before=before)])
    check(made, [ask("and then?", picture(64, 64), before=before)])
    assert sum(seen) == 2


def test_a_longer_prompt_than_the_shared_page(seen):
    made = engine()
    for cut in range(1, 40, 6):
        check(made, [ask("abcdefghijklmnopqrstuvwxyz0123456789"[:cut])])


def test_short_memory_puts_requests_back_and_forgets_prefixes():
    made = tight(24)
    check(made, REQUESTS)
    assert made.buffer_bytes <= 24 * page_bytes()
    check(made, REQUESTS)


def test_sampling_goes_on_after_being_put_back():
    options = {
        "temperature": 1.3, "presence_penalty": 1.5, "repetition_penalty": 1.1, "top_k": 50,
    }  # fmt: skip
    requests = [ask(f"tell {i}", tokens=60, **options) for i in range(5)]
    wide = answers(engine(), requests)
    assert answers(tight(14), requests) == wide


def test_request_longer_than_the_memory_is_an_error_in_its_place():
    requests = [REQUESTS[0], ask("x" * 600), REQUESTS[1]]
    found = answers(tight(16), requests)
    assert isinstance(found[1], GenerationError) and "memory" in str(found[1])
    assert found[0] == stock(requests[0]) and found[2] == stock(requests[2])


def test_answer_that_outgrows_the_memory_alone_is_cut_off():
    request = ask("grow", tokens=400)
    ((_, reply),) = tight(8).generate([request])
    assert reply.stopped_by == "memory"
    assert 40 < reply.tokens < 8 * 16
    assert [int(i) for i in reply.text.split()] == stock(request)[: reply.tokens]


def test_longer_than_the_context_is_an_error():
    found = answers(engine(), [ask("x" * 5000), ask("hello")])
    assert "4096" in str(found[0]) and found[1] == stock(ask("hello"))


def failing(monkeypatch, name, times, error=None):
    """Let a step run out of memory so many times; returns the calls made."""
    original, calls = getattr(Stepper, name), []

    def step(self, *args, **kwargs):
        calls.append(1)
        if len(calls) in times:
            raise error or torch.OutOfMemoryError("no memory")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Stepper, name, step)
    return calls


APPLES = RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)")


@pytest.mark.parametrize(
    ("name", "times"),
    [("attach", {1}), ("read", {1}), ("decode", {1, 5}), ("decode", {3}), ("grow", {1})],
)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), APPLES], ids=["", "mps"])
def test_out_of_memory_is_recovered(monkeypatch, name, times, error):
    freed = []
    made = engine()
    made._free_memory = lambda: freed.append(1)
    failing(monkeypatch, name, times, error)
    check(made, REQUESTS)
    assert len(freed) >= len(times)
    check(made, REQUESTS)


def test_out_of_memory_for_ever_is_reported_for_each_request(monkeypatch):
    calls = failing(monkeypatch, "read", set(range(1, 10_000)))
    found = answers(engine(), REQUESTS)
    assert all(isinstance(found[i], GenerationError) for i in range(len(REQUESTS)))
    assert len(calls) < 40
    monkeypatch.undo()
    check(engine(), REQUESTS)


class Stop(BaseException):
    """What an interrupt looks like: not an Exception."""


def test_interrupt_at_50_random_steps_then_the_next_run_is_right(monkeypatch):
    monkeypatch.setattr(run_module, "TURN_SECONDS", 0.0)  # a turn at every layer
    made = engine(most_rows=4)
    # A bound well below the turns of a run (layers x steps), which depend on the device's speed.
    draw = random.Random(3)
    for stop_at in [draw.randrange(1, 50) for _ in range(50)]:
        left = iter(range(stop_at))

        def progress(_, left=left):
            if next(left, None) is None:
                raise Stop

        with pytest.raises(Stop):
            answers(made, REQUESTS, on_progress=progress)
        free = made._stepper.pool.free_pages  # type: ignore[union-attr]
        while made._stepper.prefix.evict():  # type: ignore[union-attr]
            pass
        pool = made._stepper.pool  # type: ignore[union-attr]
        assert pool.free_pages == pool.pages - 1 >= free
    check(made, REQUESTS)


def test_interrupt_inside_of_a_prompt(monkeypatch):
    monkeypatch.setattr(run_module, "TURN_SECONDS", 0.0)
    started = []

    def progress(_):
        started.append(1)
        if len(started) > 3:  # after the prompt step began, before any token
            raise Stop

    made = engine()
    with pytest.raises(Stop):
        answers(made, [ask(picture(160, 160), "?" * 200)], on_progress=progress)
    check(made, REQUESTS)


def test_the_caller_gets_a_turn_at_every_layer_and_block(monkeypatch):
    original, ticks = Stepper.read, []

    def read(self, chunks, tick, beside):
        return original(self, chunks, lambda: ticks.append(tick()), beside)

    monkeypatch.setattr(Stepper, "read", read)
    check(engine(), [ask(picture(96, 96), "?", tokens=2)])
    config = tiny().model.config
    assert len(ticks) >= config.text_config.num_hidden_layers + config.vision_config.depth


def test_closing_the_iterator_early_frees_what_it_holds():
    made = engine(most_rows=2)
    outcomes = made.generate(REQUESTS)
    next(outcomes)
    outcomes.close()
    check(made, REQUESTS)
    abandoned = made.generate(REQUESTS)
    next(abandoned)
    check(made, REQUESTS)  # a new run ends the one before
    assert list(abandoned) == []


def test_requests_are_read_lazily_in_the_callers_thread():
    import threading

    taken, first_at = [], []

    def requests():
        for i in range(100):
            assert threading.current_thread() is threading.main_thread()
            taken.append(i)
            yield ask(f"say {i}", tokens=2)

    for _ in engine(most_rows=2).generate(requests()):
        first_at.append(len(taken))
    assert first_at[0] <= 24 and len(taken) == 100


def test_an_error_of_the_callers_iterable_passes_through():
    def requests():
        yield REQUESTS[0]
        raise OSError("disk gone")

    made = engine()
    with pytest.raises(OSError, match="disk gone"):
        answers(made, requests())
    check(made, REQUESTS)


def test_a_bad_picture_is_an_error_in_its_place():
    found = answers(engine(), [ask(picture(900, 3), "?"), REQUESTS[0]])
    assert isinstance(found[0], InputError) and found[1] == stock(REQUESTS[0])


def test_nan_is_an_error_and_is_not_remembered():
    model = copy.deepcopy(tiny().model)
    model.model.visual.merger.linear_fc2.weight.data.fill_(float("nan"))
    made, words = engine(model), ask("words alone", tokens=9)
    found = answers(made, [REQUESTS[0], words])
    assert isinstance(found[0], GenerationError) and "NaN" in str(found[0])
    assert found[1] == stock(words)
    model.load_state_dict(tiny().model.state_dict())
    check(made, [REQUESTS[0]])


def test_what_a_broken_request_leaves_behind_is_wiped():
    model = copy.deepcopy(tiny().model)
    model.model.visual.merger.linear_fc2.weight.data.fill_(float("nan"))
    made = engine(model)
    found = answers(made, [REQUESTS[0]])
    assert isinstance(found[0], GenerationError)
    pool = made._stepper.pool  # type: ignore[union-attr]
    assert not any(buffer.isnan().any() for buffer in (*pool.keys, *pool.values))


def test_no_request_at_all():
    assert answers(engine(), []) == {}


def test_progress_counts():
    seen = []
    answers(engine(most_rows=2), REQUESTS, on_progress=seen.append)
    assert max(p.running for p in seen) == 2
    assert [p.finished for p in seen] == sorted(p.finished for p in seen)
    assert seen[-1].tokens >= sum(r.options.max_new_tokens for r in REQUESTS[:5])


def test_buffers_and_weights_are_given_back():
    model = tiny().model
    made = engine()
    check(made, REQUESTS)
    pool = weakref.ref(made._stepper.pool)  # type: ignore[union-attr]
    made._stepper.prefix  # noqa: B018
    gc.collect()
    gc.disable()
    try:
        assert made._stepper.text is None and made._stepper.vision is None  # type: ignore[union-attr]
        made.drop_buffers()
        assert pool() is None, "a reference cycle keeps KV memory"
        check(made, REQUESTS[:1])
        made.close()
    finally:
        gc.enable()
    assert made.buffer_bytes == 0 and model is tiny().model


def test_large_buffers_are_not_kept_between_runs(monkeypatch):
    monkeypatch.setattr("qwen3vl_nodes.loaders.engine.fast.KEEP_BYTES", 1000)
    made = engine()
    check(made, REQUESTS[:2])
    assert made.buffer_bytes == 0
    check(made, REQUESTS[:2])


def test_unsupported_modules_are_refused_with_a_reason():
    from torch import nn

    class Quantized(nn.Linear):
        pass

    model = tiny().model
    attention = model.model.language_model.layers[0].self_attn
    saved = attention.q_proj
    attention.q_proj = Quantized(saved.in_features, saved.out_features, bias=False).to(DEVICE)
    try:
        with pytest.raises(GenerationError, match="not plain"):
            FastEngine(model, tiny().processor)
    finally:
        attention.q_proj = saved
    with pytest.raises(GenerationError, match="not a Qwen3-VL"):
        FastEngine(nn.Linear(1, 1), tiny().processor)


@pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a GPU")
def test_gpu_memory_comes_back():
    made = engine(free_bytes=lambda: 1 << 30)
    check(made, REQUESTS)
    torch.cuda.synchronize()
    made.close()
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for _ in range(5):
        made = engine(free_bytes=lambda: 1 << 30)
        check(made, REQUESTS)
        made.close()
    gc.collect()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() - before < 50 << 20


def test_clip_content_is_told_apart(seen):
    made = engine()
    check(made, [ask(clip(4, seed=1), "?"), ask(clip(4, seed=2), "?")])
    check(made, [ask(clip(4, seed=1), "!")])
    assert sum(seen) == 4
    assert np.array_equal(clip(4, seed=1).frames, clip(4, seed=1).frames)
