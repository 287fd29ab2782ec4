"""Tokens that are guessed and checked: the same ones as without, whatever is guessed, and when."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fast_kit import DEVICE, answers, ask, check, clip, engine, ids_as_text, picture, stock, tiny
from qwen3vl_nodes.loaders.engine import fast as fast_module
from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.model.torch_ops import DecodeView, TorchOps
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.engine.request.odds import FIRST_CHANCES, ON_CPU, Odds
from qwen3vl_nodes.loaders.engine.request.phrasebook import Guess, Phrasebook
from qwen3vl_nodes.loaders.engine.scheduler import engine_run as run_module
from qwen3vl_nodes.loaders.engine.scheduler import lookahead as lookahead_module
from qwen3vl_nodes.loaders.engine.scheduler.engine_run import Run
from qwen3vl_nodes.loaders.engine.scheduler.lookahead import Lookahead
from qwen3vl_nodes.loaders.engine.scheduler.stepper import GUESSED_ROWS, Stepper
from qwen3vl_nodes.loaders.engine.state.pool import PagePool
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from tiny_checkpoint import build_processor

TURN = (Message("user", (picture(96, 64), "hello")), Message("assistant", ("plain words",)))
SHAPES = {
    "text": ask("hello hello hello", tokens=40),
    "picture": ask(picture(96, 64), "what is it?", tokens=40),
    "film and picture": ask(picture(64, 64), clip(4), "?", picture(96, 64), tokens=24),
    "chat": ask("and now?", before=TURN, tokens=24),
    "long": ask("x" * 90, tokens=150),
    "one token": ask("a", tokens=1),
    "two tokens": ask("a", tokens=2),
}
PRESENCE = {"temperature": 0.0, "presence_penalty": 1.5}
DRAWN = {
    "presence": PRESENCE,
    "repetition": {"temperature": 0.0, "repetition_penalty": 1.3},
    "official": {},
    "all that counts": {
        "temperature": 1.4, "top_k": 0, "top_p": 0.95, "repetition_penalty": 1.2,
        "presence_penalty": 0.7,
    },
}  # fmt: skip


class Late(Run):
    """A run that reads tokens a step after they are drawn, as one does on a GPU."""

    def __init__(self, *args):
        super().__init__(*args)
        self._late = 1


@pytest.fixture(params=[Run, Late], ids=["", "late"])
def reading(request, monkeypatch):
    monkeypatch.setattr(fast_module, "Run", request.param)


@pytest.fixture
def rights(monkeypatch):
    """How many guesses were made and were right, step by step."""
    original, found = Lookahead._check, []

    def watched(self, sequence, guess, tick):
        tokens = original(self, sequence, guess, tick)
        found.append((len(guess.token_ids), len(tokens) - 1))
        rows = self._stepper.rows
        assert not rows.ints[1:].any() and not rows.table[1:].any()
        return tokens

    monkeypatch.setattr(Lookahead, "_check", watched)
    return found


class Prompter(Phrasebook):
    """Knows an answer by heart, and says a wrong token now and then; nobody loses trust in it."""

    def __init__(self, answer, wrong=0.25):
        super().__init__()
        self.answer, self.wrong, self.rng = answer, wrong, np.random.default_rng(3)

    def guess(self, count):
        at = len(self._speaker.token_ids)
        said = [
            token ^ int(self.rng.random() < self.wrong) for token in self.answer[at : at + count]
        ]
        return Guess(3, said) if said else None


@pytest.fixture
def trusting(monkeypatch):
    monkeypatch.setattr(Odds, "worth", lambda self, known, count, unread=0: count)


def prompted(made, request, answer, wrong):
    """The answer of an engine whose guesses are mostly right."""
    made._phrasebook = Prompter(answer, wrong)
    return answers(made, [request])[0]


@pytest.mark.usefixtures("reading", "trusting")
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_is_guessed_the_tokens_are_those_of_generate(shape, rights):
    request, made = SHAPES[shape], engine()
    whole = stock(request)
    for wrong in (0.0, 0.3, 1.0):
        assert prompted(made, request, whole, wrong=wrong) == whole
        while made._stepper.prefix.evict():
            pass
    if len(whole) > 100:
        assert {right for _, right in rights} == set(range(GUESSED_ROWS))


@pytest.mark.usefixtures("reading", "trusting")
@pytest.mark.parametrize("how", DRAWN)
@pytest.mark.parametrize("seed", [0, 2**40 + 7])
def test_penalties_and_seeds_see_the_tokens_in_their_order(how, seed, rights):
    options = GenerationOptions(max_new_tokens=40, **DRAWN[how])
    request = Request((Message("user", (picture(64, 64), "say")),), options, seed=seed)
    (whole,) = answers(engine(looks_ahead=False), [request]).values()
    assert not rights
    for wrong in (0.0, 0.3):
        assert prompted(engine(), request, whole, wrong=wrong) == whole
    assert max(right for _, right in rights) == GUESSED_ROWS - 1
    reference = ReferenceEngine(tiny().model, tiny().processor)
    reference._encoder.decode = ids_as_text
    reference._end_ids = frozenset([-1])
    assert answers(reference, [request]) == {0: whole}


@pytest.mark.usefixtures("reading")
def test_what_was_answered_before_is_known(rights):
    made = engine()
    for request in SHAPES.values():
        check(made, [request])
    rights.clear()
    for name in ("text", "picture", "long"):
        check(made, [SHAPES[name]])
    assert sum(right for _, right in rights) > 150
    assert len(rights) < 60  # for 230 tokens


@pytest.mark.usefixtures("reading", "trusting")
def test_only_who_runs_alone_looks_ahead(rights, monkeypatch):
    original, sizes = Stepper.check, []

    def counted(self, *args):
        sizes.append(int(self.rows.ints[:, 4].sum()))
        return original(self, *args)

    monkeypatch.setattr(Stepper, "check", counted)
    made = engine(most_rows=3)
    requests = [ask(f"say {i}", tokens=6 + 60 * (i == 4)) for i in range(9)]
    for _ in range(2):
        check(made, requests)
    assert set(sizes) == {1} and len(rights) > 4


@pytest.mark.usefixtures("reading", "trusting")
@pytest.mark.parametrize("at", range(3, 20, 4))
def test_it_ends_where_it_ends_without(at):
    request, made = ask("hello", tokens=30, stop=("never",)), engine()
    whole = stock(ask("hello", tokens=30))
    made._end_ids = frozenset([whole[at]])
    plain = whole[: whole.index(whole[at])]
    assert prompted(made, request, whole, wrong=0.3) == plain
    made._phrasebook = Prompter(whole, wrong=0.0)
    ((_, reply),) = made.generate([request])
    assert (reply.stopped_by, reply.tokens) == ("end", len(plain))
    # What is remembered has been read: a chat goes on from it as one that was read anew.
    known = [content[:, 0] for content, _ in made._stepper.prefix._entries.values()]
    assert max(map(len, known)) == reply.prompt_tokens + len(plain)
    made._end_ids = frozenset()
    check(made, [ask("hello", tokens=n) for n in (2, 9)])


@pytest.mark.usefixtures("reading", "trusting")
def test_stop_strings_and_endless_repetition_are_found_at_the_same_token():
    request = ask("hello", tokens=150)
    whole = stock(request)
    stop = (f"{whole[20]} {whole[21]} {whole[22]}",)
    for options in ({"stop": stop}, {}):
        asked = ask("hello", tokens=150, **options)
        made = engine()
        made._phrasebook = Prompter(whole, wrong=0.1)
        ((_, ahead),) = made.generate([asked])
        ((_, plain),) = engine(looks_ahead=False).generate([asked])
        assert (ahead.text, ahead.stopped_by, ahead.tokens) == (
            plain.text, plain.stopped_by, plain.tokens,
        )  # fmt: skip


@pytest.mark.usefixtures("reading", "trusting")
@pytest.mark.parametrize("budget", [1, 5, 21])
def test_a_thinking_budget_ends_where_it_ends_without(budget, rights):
    def thinker(**settings):
        made = FastEngine(
            tiny().model,
            build_processor(thinking=True),
            **({"page_tokens": 16, "looks_ahead": True} | settings),
        )
        made._encoder.decode = ids_as_text
        made._end_ids = frozenset()
        return made

    def answer(made):
        ((_, reply),) = made.generate([request])
        return [int(one) for one in f"{reply.thinking} {reply.text}".split()]

    request = ask("hello", tokens=20, thinking_budget=budget)
    whole = answer(thinker(looks_ahead=False))
    assert len(whole) > budget + 20
    for wrong in (0.0, 0.3):
        made = thinker()
        made._phrasebook = Prompter(whole, wrong)
        assert answer(made) == whole
    assert len(rights) > 6


@pytest.mark.usefixtures("reading", "trusting")
def test_the_next_turn_goes_on_from_what_was_checked():
    made = engine()
    first = ask(picture(96, 96), "hello", tokens=40)
    whole = stock(first)
    assert prompted(made, first, whole, wrong=0.3) == whole
    pages = made._stepper.prefix._entries
    assert max(len(content) for content, _ in pages.values()) > 39
    longer = ask(picture(96, 96), "hello", tokens=60)
    # Read on from the keys and values of the first answer, of which the guesses wrote a part.
    made._phrasebook = None
    content = max((c for c, _ in pages.values()), key=len)
    matched, shared = made._stepper.prefix.longest(content)
    assert (matched, len(shared)) == (len(content), len(content) // 16 + 1)
    check(made, [longer])


@pytest.mark.usefixtures("trusting")
def test_a_caller_can_stop_it_and_the_next_run_is_right(monkeypatch):
    request, made = SHAPES["long"], engine()
    made._phrasebook = Prompter(stock(request))

    class Stop(BaseException):
        pass

    def progress(seen):
        if seen.tokens > 60:
            raise Stop

    with pytest.raises(Stop):
        answers(made, [request], on_progress=progress)
    assert not made._stepper.rows.ints.any()
    made._phrasebook = Phrasebook()
    check(made, [request, SHAPES["picture"]])


@pytest.mark.usefixtures("trusting")
def test_out_of_memory_while_checking(monkeypatch):
    request, made, calls = SHAPES["long"], engine(), []
    original = Stepper.check

    def failing(self, *args):
        calls.append(1)
        if len(calls) in (2, 5):
            raise torch.OutOfMemoryError("no memory")
        return original(self, *args)

    monkeypatch.setattr(Stepper, "check", failing)
    made._phrasebook = Prompter(stock(request))
    check(made, [request])
    assert len(calls) > 10


def test_where_it_does_not_pay(rights, monkeypatch):
    request = SHAPES["long"]
    made = engine()
    made._phrasebook = Prompter(stock(request), wrong=1.0)
    check(made, [request])
    assert 0 < len(rights) < 12  # of 150
    rights.clear()
    made._phrasebook = Prompter(stock(request), wrong=0.9)
    check(made, [request])
    assert 1 < len(rights) < 60
    rights.clear()
    made = engine()
    made._phrasebook = Prompter(stock(request), wrong=0.0)
    monkeypatch.setattr(lookahead_module, "MOST_CACHED", 10)
    check(made, [request])
    assert not rights
    monkeypatch.setattr(fast_module, "has_experts", lambda module: True)
    assert engine()._phrasebook is None
    assert engine(looks_ahead=False)._phrasebook is None


@pytest.mark.parametrize(
    ("kind", "size", "looks"), [("cpu", 0, True), ("cuda", 1, False), ("cuda", 1 << 31, True)]
)
def test_a_model_too_quick_for_the_host_does_not_look_ahead(kind, size, looks):
    """The demo on an H200 lost half its speed: the host waits for each step to look at it."""
    part = SimpleNamespace(device=torch.device(kind))
    module = SimpleNamespace(
        lm_head=SimpleNamespace(weight=part), parameters=lambda: [SimpleNamespace(nbytes=size)]
    )
    assert fast_module._is_slow(module) == looks


def test_a_guess_that_is_not_checked_is_watched():
    odds, written = Odds(), [5]
    before = odds.chance(1)
    odds.watch(1, 1, 7)
    odds.look(written)
    assert odds.chance(1) == before  # it is not written yet
    odds.look([5, 7, 7])
    better = odds.chance(1)
    odds.look([5, 7, 7])
    assert odds.chance(1) == better > before
    odds.watch(3, 1, 9)
    odds.look([5, 7, 7, 8])
    assert odds.chance(1) < better
    assert (odds.chance(2), odds.chance(3)) == FIRST_CHANCES[1:3]


def test_of_one_check_is_learned_what_was_seen():
    first, second, third, most = FIRST_CHANCES
    odds = Odds()
    odds.saw(2, count=5, right=1)
    assert odds.chance(1) == first and odds.chance(2) > second
    assert odds.chance(3) < third and odds.chance(4) == odds.chance(9) == most
    odds = Odds()
    odds.saw(1, count=2, right=2)  # what would have come then was not seen
    assert odds.chance(1) > first and odds.chance(2) > second and odds.chance(3) == third


def test_as_many_are_checked_as_pay():
    odds, dear = Odds(), Odds(((8, 1.6),))
    assert odds.worth(3, 7) == dear.worth(3, 7) == 7
    assert odds.worth(3, 0) == 0
    assert dear.worth(1, 7) == 0 and Odds(((8, 1.02),)).worth(1, 7) == 7
    for _ in range(30):
        odds.saw(1, count=1, right=1)
        odds.saw(2, count=1, right=0)
    assert odds.worth(1, 7) == 1 and odds.rows(1) == ON_CPU[0]
    assert odds.worth(2, 7) == 0
    for _ in range(12):
        odds.saw(2, count=1, right=1)
    assert odds.worth(2, 1) == 1
    # A guess behind one that is not known yet is right only with it.
    assert dear.worth(3, 7, unread=1) == 7 and dear.worth(1, 7, unread=1) == 0


def test_a_reply_is_not_judged_by_the_one_before_it():
    """Else what is asked twice could be answered in other steps the second time."""
    made, seen = engine(), []
    original = made._begin
    made._begin = lambda *of: seen.append(original(*of)) or seen[-1]
    for _ in range(2):
        check(made, [SHAPES["long"]])
    assert seen[0].odds is not seen[1].odds
    assert seen[0].odds.prices == ON_CPU


@pytest.mark.parametrize(("size", "price"), [(16_400_000_000, 1.1), (4_000_000_000, 1.33)])
def test_a_check_on_a_gpu_costs_less_beside_large_weights(size, price):
    part = SimpleNamespace(device=torch.device("cuda"))
    module = SimpleNamespace(
        lm_head=SimpleNamespace(weight=part), parameters=lambda: [SimpleNamespace(nbytes=size)]
    )
    ((rows, cost),) = fast_module._prices(module)
    assert rows == GUESSED_ROWS and cost == pytest.approx(price, abs=0.01)


def said(ids, prompt=(), visual=()):
    """What a phrasebook hears of a prompt and a reply."""
    content = np.zeros((len(prompt), 2), dtype=np.int64)
    content[list(visual), 1] = 1
    prepared = SimpleNamespace(ids=np.asarray(prompt, dtype=np.int64), content=content)
    return prepared, SimpleNamespace(token_ids=list(ids))


def test_three_words_count_more_than_two_and_the_last_time_more_than_the_first():
    book = Phrasebook()
    book.hear(*said([1, 2, 3, 40, 41, 42, 9, 2, 3, 50, 51, 52, 8, 2, 3, 60, 61, 62]))
    book.hear(*said([1, 2, 3]))
    assert book.guess(2).token_ids == [40, 41]
    book.hear(*said([4, 1, 7, 2, 3]))
    assert book.guess(3).token_ids == [4, 1, 7]
    assert book.guess(0) is None
    assert book.guess(3).known == 2
    book.hear(*said([4, 5]))
    assert book.guess(4) is None
    book.hear(*said([6, 51]))
    assert book.guess(2) == Guess(1, [52, 8])


def test_prompts_are_heard_without_their_pictures_and_replies_as_they_grow():
    book = Phrasebook()
    prepared, draft = said([], prompt=[1, 2, 3, 151, 151, 151, 4], visual=[3, 4, 5])
    book.hear(prepared, draft)
    draft.token_ids += [2, 3]
    book.hear(prepared, draft)
    assert book.guess(5).token_ids == [4, 2, 3]
    draft.token_ids += [4, 2]
    book.hear(prepared, draft)
    assert book._ids[: book._size].tolist() == [1, 2, 3, 4, 2, 3, 4, 2]
    assert book.guess(2).token_ids == [3, 4]
    book.hear(*said([5, 6]))
    book.hear(prepared, draft)  # another came between
    assert book.guess(2).token_ids == [3, 4]
    draft.token_ids.clear()
    book.hear(prepared, draft)
    assert book._ids[: book._size].tolist()[-4:] == [1, 2, 3, 4]


def test_in_16_bits_earlier_requests_are_not_known():
    book = Phrasebook(keeps=False)
    book.hear(*said([1, 2, 3, 4, 5]))
    prepared, draft = said([1, 2], prompt=[9, 1, 2, 7])
    book.hear(prepared, draft)
    draft.token_ids.append(3)
    book.hear(prepared, draft)
    assert book._ids[: book._size].tolist() == [9, 1, 2, 7, 1, 2, 3] and book.guess(5) is None
    half = copy.deepcopy(tiny().model).bfloat16()
    assert [engine(model)._phrasebook._keeps for model in (half, None)] == [False, True]


def test_a_text_that_repeats_itself():
    book = Phrasebook()
    book.hear(*said([9, 1, 2, 1, 2, 1, 2, 1, 2]))
    assert book.guess(4).token_ids == [1, 2, 1, 2]
    assert book.guess(6).token_ids == [1, 2, 1, 2]  # as far as is known
    book.hear(*said([5] * 20))
    assert book.guess(7).token_ids == [5] * 7


def test_what_was_heard_long_ago_is_forgotten():
    book = Phrasebook(most=64)
    book.hear(*said(range(1_000)))
    assert book._size == 32
    for start in range(0, 400, 7):
        book.hear(*said(range(start, start + 7)))
        assert book._size <= 64
    book.hear(*said([391, 392]))
    assert book.guess(3).token_ids == [393, 394, 395]
    book.hear(*said([8, 9]))
    assert book.guess(3) is None


@torch.inference_mode()
def test_pages_that_all_rows_share_are_read_as_if_each_had_its_own():
    pool = PagePool(1, 2, 16, torch.float32, DEVICE, page_tokens=4)
    pool.grow(9)
    for buffer in (pool.keys[0], pool.values[0]):
        buffer.normal_()
    queries = torch.randn(3, 6, 16, device=DEVICE)
    table = torch.tensor([[3, 8, 1, 5]], device=DEVICE)
    lengths = torch.tensor([9, 10, 11], device=DEVICE)

    def attended(rows):
        view = DecodeView(pool, rows, lengths, 3)
        return TorchOps().decode_attention(queries, pool.keys[0], pool.values[0], view)

    torch.testing.assert_close(attended(table), attended(table.expand(3, -1).contiguous()))


def test_the_step_is_one_of_a_run(monkeypatch):
    """Every check is reported to the caller, who can stop after it."""
    request, made, told = SHAPES["text"], engine(), []
    made._phrasebook = Prompter(stock(request), wrong=0.0)
    monkeypatch.setattr(run_module, "TURN_SECONDS", 1e9)
    found = answers(made, [request], on_progress=lambda seen: told.append(seen.tokens))
    assert found == {0: stock(request)}
    assert len(told) < 12 and told == sorted(told)
