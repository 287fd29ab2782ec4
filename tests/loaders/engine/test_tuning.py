"""Blocks of kernels on cards that nobody has measured: tried once, remembered, never an error."""

import json
import logging
from contextlib import contextmanager
from types import SimpleNamespace

import fast_kit
import pytest
import torch
from fast_kit import engine
from interpreted import run_interpreted
from qwen3vl_nodes.loaders.engine import fast
from qwen3vl_nodes.loaders.engine.kernels.tuning import choices, contest
from qwen3vl_nodes.loaders.engine.kernels.tuning.candidates import (
    dot_candidates,
    expert_candidates,
    matvec_candidates,
)
from qwen3vl_nodes.loaders.engine.kernels.tuning.notebook import BLOCKS_FILE, MOST_CARDS, Notebook
from qwen3vl_nodes.loaders.engine.model.torch_ops import TorchOps
from qwen3vl_nodes.loaders.engine.scheduler import engine_run, stepper

DEFAULT, OTHER, THIRD = (2, 1024, 4), (4, 512, 4), (1, 1024, 2)


class Bench:
    """A product that takes as long as `times` says, on a card by the name of `card`."""

    def __init__(self):
        self.times = {DEFAULT: 1.0, OTHER: 0.5, THIRD: 2.0}
        self.card, self.capability = "RTX 4090", (8, 9)
        self.capturing = False
        self.made, self.timed = [], []
        self.wrong, self.broken = set(), {}
        self.seconds = 0.0
        self.each = 0.0

    def attempt(self, blocks):
        """The product."""
        self.seconds += self.each
        self.made.append(blocks)
        if blocks in self.broken:
            raise self.broken[blocks]
        return torch.ones(3) * (2 if blocks in self.wrong else 1)

    def milliseconds(self, product, _device):
        """In place of the stopwatch."""
        product()
        self.timed.append(self.made[-1])
        return self.times[self.made[-1]]


class Kernel:
    """What stands for one of Triton's."""

    def __init__(self, version="one"):
        self.__name__, self.cache_key = "_matvec", version


@pytest.fixture
def bench(monkeypatch, tmp_path):
    made = Bench()
    cuda = {
        "get_device_capability": lambda _device: made.capability,
        "get_device_name": lambda _device: made.card,
        "get_device_properties": lambda _device: SimpleNamespace(
            name=made.card, major=8, minor=9, multi_processor_count=128
        ),
        "is_current_stream_capturing": lambda: made.capturing,
    }
    for name, stand_in in cuda.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(contest.stopwatch, "milliseconds", made.milliseconds)
    monkeypatch.setattr(contest.stopwatch, "wait", lambda _device: None)
    monkeypatch.setattr(choices.time, "monotonic", lambda: 100.0 + made.seconds)
    monkeypatch.setattr(choices, "host", lambda: SimpleNamespace(user_folder=lambda: tmp_path))
    restart()
    yield made
    restart()


def restart():
    """As in a new process."""
    choices._forget({})
    choices._card.cache_clear()


INPUTS = SimpleNamespace(device=torch.device("cuda", 0), dtype=torch.bfloat16)


def ask(bench, facts=(1, 64, 64), kernel=None, others=(OTHER, THIRD)):
    kernel = kernel or KERNEL
    return choices.blocks_for(kernel, facts, INPUTS, DEFAULT, lambda: others, bench.attempt)


KERNEL = Kernel()


def warm_up(bench, tick=lambda: None, **what):
    """The blocks that a step chooses where they may be tried."""
    with choices.trials(INPUTS.device, tick) as tries:
        found = ask(bench, **what)
    assert tries
    return found


def test_the_quickest_is_chosen_and_kept(bench, tmp_path):
    assert warm_up(bench) == OTHER
    assert len(bench.timed) == 3 * contest.ROUNDS
    assert ask(bench) == warm_up(bench) == OTHER
    assert len(bench.timed) == 3 * contest.ROUNDS
    restart()
    bench.timed.clear()
    bench.times[THIRD] = 0.1  # the same question gets the same answer
    assert warm_up(bench) == ask(bench) == OTHER
    assert not bench.timed and (tmp_path / BLOCKS_FILE).is_file()


def test_hardly_quicker_is_not_worth_it(bench):
    bench.times[OTHER] = 0.98
    assert warm_up(bench) == DEFAULT


def test_nothing_is_tried_outside_of_a_warm_up(bench):
    assert ask(bench) == DEFAULT and not bench.made
    assert warm_up(bench) == OTHER


def test_nothing_is_tried_inside_of_a_capture(bench):
    bench.capturing = True
    assert warm_up(bench) == DEFAULT and not bench.made
    bench.capturing = False
    assert warm_up(bench) == DEFAULT, "a graph holds it, so the process keeps it"
    restart()
    assert warm_up(bench) == OTHER, "nothing was tried, so nothing was remembered"


@pytest.mark.parametrize("kind", ["measured", "cpu"])
def test_nothing_is_tried_where_all_was_measured_or_nothing_can_be(bench, monkeypatch, kind):
    if kind == "measured":
        bench.capability = (9, 0)
    else:
        monkeypatch.setattr(INPUTS, "device", torch.device("cpu"))
    restart()
    with choices.trials(INPUTS.device, lambda: None) as tries:
        assert not tries and ask(bench) == DEFAULT
    assert not bench.made


def test_it_can_be_forced_into_another_file(bench, tmp_path):
    bench.capability = (9, 0)
    restart()
    with choices.tried_everywhere(tmp_path / "other" / "blocks.json"):
        assert warm_up(bench) == OTHER
    assert ask(bench) == DEFAULT
    assert (tmp_path / "other" / "blocks.json").is_file() and not (tmp_path / BLOCKS_FILE).exists()


def test_blocks_that_fail_or_are_wrong_are_not_chosen(bench):
    bench.broken = {OTHER: RuntimeError("ptxas")}
    assert warm_up(bench) == DEFAULT
    bench.broken, bench.wrong = {}, {OTHER}
    assert warm_up(bench, facts=("second",)) == DEFAULT
    assert OTHER not in bench.timed


def test_where_the_default_itself_fails_it_is_launched_as_ever(bench, tmp_path):
    bench.broken = {DEFAULT: RuntimeError("no such instruction")}
    assert warm_up(bench) == DEFAULT and not (tmp_path / BLOCKS_FILE).exists()


def test_without_memory_to_time_the_default_is_used_and_not_remembered(bench, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(contest.stopwatch, "milliseconds", full)
    assert warm_up(bench) == ask(bench) == DEFAULT
    restart()
    monkeypatch.setattr(contest.stopwatch, "milliseconds", bench.milliseconds)
    assert warm_up(bench) == OTHER


def test_out_of_time_the_default_is_kept(bench):
    bench.each = choices.OF_ONE
    with choices.trials(INPUTS.device, lambda: None):
        for number in range(3):
            assert ask(bench, facts=(number,)) == DEFAULT
        assert bench.made == [DEFAULT] * 3, "each had a time of its own"
        assert ask(bench, facts=("second",)) == DEFAULT
    assert len(bench.made) == 3, "the last had no time at all"
    restart()
    bench.each = 0.0
    assert warm_up(bench, facts=("second",)) == DEFAULT, "and stays as it was answered with"


def test_what_was_tried_in_time_counts(bench):
    bench.each = choices.OF_ONE / 2  # the third is late
    bench.times[THIRD] = 0.1
    assert warm_up(bench) == OTHER
    assert THIRD not in bench.made


def test_an_interrupt_passes_through_and_leaves_nothing(bench):
    def stop():
        if len(bench.made) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        warm_up(bench, tick=stop)
    bench.made.append(None)
    assert warm_up(bench) == OTHER


def test_what_was_found_before_an_interrupt_stays(bench):
    def tick():
        if bench.timed and len(bench.timed) >= 3 * contest.ROUNDS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), choices.trials(INPUTS.device, tick):
        assert ask(bench) == OTHER
        ask(bench, facts=("second",))
    restart()
    bench.made.clear()
    assert warm_up(bench) == OTHER and not bench.made


def test_another_card_or_kernel_or_shape_is_tried_anew(bench):
    assert warm_up(bench) == OTHER
    bench.times[THIRD] = 0.1
    assert warm_up(bench, facts=(2, 64, 64)) == THIRD
    assert warm_up(bench, kernel=Kernel("two")) == THIRD
    restart()
    bench.card = "RTX 3090"
    assert warm_up(bench) == THIRD
    restart()
    bench.card = "RTX 4090"
    assert warm_up(bench) == OTHER


def test_a_choice_that_is_no_longer_among_the_candidates_is_made_anew(bench):
    assert warm_up(bench) == OTHER
    restart()
    assert warm_up(bench, others=(THIRD,)) == DEFAULT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        '{"version": 1}',
        '{"version": 1, "cards": []}',
        '{"version": 1, "cards": {"a": 3}}',
        '{"version": 99, "cards": {}}',
        "[" * 100_000,
        "\xff",
    ],
    ids=range(9),
)
def test_a_broken_file_is_replaced(bench, tmp_path, text):
    (tmp_path / BLOCKS_FILE).write_bytes(text.encode("latin-1"))
    assert warm_up(bench) == OTHER
    assert json.loads((tmp_path / BLOCKS_FILE).read_text())["version"] == 1
    restart()
    bench.made.clear()
    assert warm_up(bench) == OTHER and not bench.made


def test_a_choice_that_is_no_blocks_is_made_anew(bench, tmp_path):
    assert warm_up(bench) == OTHER
    said = json.loads((tmp_path / BLOCKS_FILE).read_text())
    for odd in (["4", "512", "4"], [4, 512, 1e9], [4, 512], None, [True, 512, 4], {"a": 1}):
        (page,) = said["cards"].values()
        page.update(dict.fromkeys(page, odd))
        (tmp_path / BLOCKS_FILE).write_text(json.dumps(said))
        restart()
        bench.made.clear()
        assert warm_up(bench) == OTHER and bench.made


def test_where_nothing_can_be_written_the_process_still_keeps_it(bench, tmp_path, caplog):
    (tmp_path / BLOCKS_FILE).mkdir()
    with caplog.at_level(logging.WARNING):
        assert warm_up(bench) == OTHER
    assert "cannot be kept" in caplog.text
    made = len(bench.made)
    assert warm_up(bench) == OTHER and len(bench.made) == made


def test_where_there_is_no_place_for_it_the_default_is_used(bench, monkeypatch, caplog):
    def lost():
        raise RuntimeError("no such folder")

    monkeypatch.setattr(choices, "host", lambda: SimpleNamespace(user_folder=lost))
    with caplog.at_level(logging.WARNING):
        assert warm_up(bench) == ask(bench) == DEFAULT
    assert not bench.made and len(caplog.messages) == 1


def test_it_is_said_once(bench, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        warm_up(bench)
        warm_up(bench)
    begin, end = caplog.messages
    assert "RTX 4090" in begin and str(tmp_path / BLOCKS_FILE) in end


def test_two_writers_keep_what_both_chose(tmp_path):
    one, other = Notebook(tmp_path / BLOCKS_FILE), Notebook(tmp_path / BLOCKS_FILE)
    one.add("card", {"a": (1, 2)})
    other.add("card", {"a": (3, 4), "b": (5, 6)})
    one.add("second card", {"a": (7,)})
    assert one.read("card") == {"a": (1, 2), "b": (5, 6)}
    assert one.read("second card") == {"a": (7,)} and not one.read("third card")


def test_another_process_chose_first(bench, tmp_path):
    assert warm_up(bench) == OTHER
    restart()
    bench.times[THIRD] = 0.1
    with choices.trials(INPUTS.device, lambda: None):
        assert ask(bench) == OTHER  # read when it is first asked for, not at the start
    assert list(tmp_path.iterdir()) == [tmp_path / BLOCKS_FILE]


def test_the_file_as_it_is_written(tmp_path):
    Notebook(tmp_path / BLOCKS_FILE).add(
        "A card", {"matvec abc torch.bfloat16 1 2048": (2, 512, 2)}
    )
    assert json.loads((tmp_path / BLOCKS_FILE).read_text()) == {
        "version": 1,
        "cards": {"A card": {"matvec abc torch.bfloat16 1 2048": [2, 512, 2]}},
    }


def test_the_file_does_not_grow_for_ever(tmp_path):
    book = Notebook(tmp_path / BLOCKS_FILE)
    for number in range(MOST_CARDS + 3):
        book.add(f"card {number}", {"a": (number,)})
    assert not book.read("card 2") and book.read("card 3")
    assert book.read(f"card {MOST_CARDS + 2}") == {"a": (MOST_CARDS + 2,)}


class Noted(TorchOps):
    """Plain steps that note where trials are allowed."""

    def __init__(self):
        self.open, self.seen = [], []

    @contextmanager
    def trials(self, device, tick):
        """See `TorchOps.trials`; a turn for the caller in each."""
        self.open.append(device)
        tick()
        try:
            yield True
        finally:
            self.open.pop()

    def advance(self, rows, tokens):
        """See `TorchOps.advance`."""
        self.seen.append((len(tokens), bool(self.open), rows.seen.shape[0]))
        super().advance(rows, tokens)


class Graphs:
    """Captures that need no GPU: what is wanted once is replayed."""

    def __init__(self):
        self.keys = set()

    def wants(self, key):
        return key not in self.keys

    def clear(self):
        self.keys.clear()

    def replay(self, key, step, rehearse):
        if self.wants(key):
            rehearse()
        self.keys.add(key)
        step()


@pytest.fixture
def noted(monkeypatch):
    ops = Noted()
    monkeypatch.setattr(fast, "pick_ops", lambda _device: ops)
    monkeypatch.setattr(stepper, "StepGraphs", Graphs)
    attach = stepper.Stepper.attach

    def with_graphs(self):
        attach(self)
        self._with_graphs = True

    monkeypatch.setattr(stepper.Stepper, "attach", with_graphs)
    return ops


def test_each_kind_of_step_may_try_once_before_its_capture(noted):
    fast_kit.check(engine(looks_ahead=False), [fast_kit.ask("hello", tokens=5)])
    # Its row drawn on the spare rows with trials, rehearsed on others without, then steps.
    decoded = [(tries, rows) for _, tries, rows in noted.seen]
    assert decoded[:3] == [(True, 1), (False, 1), (False, 64)]
    assert set(decoded[3:]) == {(False, 64)} and len(decoded) == 6


def test_an_interrupt_while_blocks_are_tried_ends_the_run(noted, monkeypatch):
    monkeypatch.setattr(engine_run, "TURN_SECONDS", 0.0)
    tried = []

    def stop(_progress):
        if noted.open:
            tried.append(noted.open[0])
            if len(tried) == 2:  # the first is the prompt's
                raise InterruptedError

    with pytest.raises(InterruptedError):
        list(engine(looks_ahead=False).generate([fast_kit.ask("hello", tokens=5)], stop))
    assert not noted.seen and not noted.open


def test_candidates_stay_within_what_kernels_can_do():
    for rows in (1, 2, 4):
        for matrices in (1, 2):
            assert 2 <= len(matvec_candidates(rows, matrices)) <= 6
    for own in ((32, 128, 8, 2, 3), (64, 128, 4, 4, 3), (32, 128, 1, 2, 3), (64, 0, 1, 4, 2)):
        for gated in (False, True):
            found = dot_candidates(own, 151_936, gated=gated, turn=64 if own[1] else 0)
            assert 2 <= len(found) <= 7
            for block, turn, pieces, _, stages in found:
                assert block in (16, 32, 64) and turn in (0, 64, 128) and stages >= 1
                assert pieces == 1 or -(-151_936 // block) <= 8192
    for own in ((32, 128, 4, 3), (128, 64, 8, 3), (32, 32, 4, 2)):
        for block, turn, _, stages in expert_candidates(own, turn=own[1] // 2):
            assert 16 <= block <= 128 and turn >= 16 and stages >= 1


def test_keys_are_cut_by_the_multiprocessors_of_the_card(bench, monkeypatch):
    pytest.importorskip("triton")
    from qwen3vl_nodes.loaders.engine.kernels import paged_attention

    monkeypatch.setattr(paged_attention, "PROGRAMS", 512)
    assert paged_attention._busy.__wrapped__(INPUTS.device) == 4 * 128
    assert [paged_attention.splits_for(8 * batch, 4 * 82) for batch in (1, 4, 16)] == [32, 8, 2]
    assert [paged_attention.splits_for(8 * batch, 4 * 170) for batch in (1, 4, 16)] == [32, 16, 4]
    bench.capability = (9, 0)
    for measured in (INPUTS.device, torch.device("cpu")):
        assert paged_attention._busy.__wrapped__(measured) == 512
    assert paged_attention.splits_for(8 * 16) == 4


def test_blocks_that_do_not_fit_take_no_stage_from_others(monkeypatch):
    pytest.importorskip("triton")
    from qwen3vl_nodes.loaders.engine.kernels import launch as module
    from triton.runtime.errors import OutOfResources

    monkeypatch.setattr(module, "_FEWER", {})
    taken = []

    class Fitting:
        def __getitem__(self, _grid):
            def run(size, num_stages):
                if size * num_stages > 128:
                    raise OutOfResources(131_072, 101_376, "shared memory")
                taken.append((size, num_stages))

            return run

    kernel = Fitting()
    for size in (64, 32, 64):
        module.launch(kernel, (1,), size, blocks=(size,), num_stages=3)
    assert taken == [(64, 2), (32, 3), (64, 2)]


def test_every_candidate_makes_the_product():
    """Interpreted, as no card of ours would ever take most of them."""
    pytest.importorskip("triton")
    said = run_interpreted(
        "import tuned_products, torch\n"
        "tuned_products.check_all(torch.device('cpu'), torch.float32)\n",
        seconds=240,
    )
    assert "candidates" in said
