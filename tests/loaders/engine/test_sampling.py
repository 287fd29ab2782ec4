"""The seeded sampler: right distribution, same draw everywhere, penalties on what was said."""

import pytest
import torch
from fast_kit import DEVICE
from qwen3vl_nodes.loaders.engine.state.rows import Rows, mark
from qwen3vl_nodes.loaders.engine.state.sampler import (
    SamplingRows,
    choose_tokens,
    fold_seed,
    gumbel,
)
from qwen3vl_nodes.utils.chat.sampling import Sampling


def settings(temperature=1.0, top_p=1.0, top_k=100, repetition=1.0, presence=0.0):
    return Sampling(16, temperature, top_p, top_k, repetition, presence)


def draw(logits, setting, seed=0, step=0, seen=()):
    rows = SamplingRows.of([setting], [seed], "cpu")
    marks = torch.zeros(1, len(logits), dtype=torch.bool)
    marks[0, list(seen)] = True
    return choose_tokens(torch.tensor([logits]), marks, rows, torch.tensor([step])).item()


def frequencies(logits, setting, count=4000):
    rows = SamplingRows.of([setting] * count, range(count), "cpu")
    many = torch.tensor([logits]).expand(count, -1)
    seen = torch.zeros_like(many, dtype=torch.bool)
    tokens = choose_tokens(many, seen, rows, torch.zeros(count, dtype=torch.int64))
    return torch.bincount(tokens, minlength=len(logits)) / count


def test_draws_follow_the_distribution():
    logits = [2.0, 1.0, 0.0, -1.0]
    wanted = torch.tensor(logits).softmax(0)
    assert torch.allclose(frequencies(logits, settings()), wanted, atol=0.03)
    hot = (torch.tensor(logits) / 2).softmax(0)
    assert torch.allclose(frequencies(logits, settings(temperature=2.0)), hot, atol=0.03)


def test_temperature_zero_takes_the_best():
    assert all(draw([0.0, 0.1, 0.0], settings(0.0), seed) == 1 for seed in range(50))


def test_top_k_and_top_p_leave_only_the_likeliest():
    logits = [3.0, 2.9, 2.8, 2.7]
    assert frequencies(logits, settings(top_k=2))[2:].sum() == 0
    assert frequencies(logits, settings(top_k=2))[:2].min() > 0.3
    assert frequencies(logits, settings(top_p=0.3))[2:].sum() == 0
    # The best token stays even where it alone is more than top_p.
    assert frequencies([9.0, 0.0], settings(top_p=0.01))[0] == 1


def test_presence_penalty_is_one_step_down_for_tokens_said_before():
    assert draw([1.0, 0.9], settings(0.0)) == 0
    assert draw([1.0, 0.9], settings(0.0, presence=0.2), seen=[0]) == 1
    assert draw([1.0, 0.7], settings(0.0, presence=0.2), seen=[0]) == 0
    assert draw([1.0, 0.9], settings(0.0, presence=0.2), seen=[0, 1]) == 0


def test_repetition_penalty_lowers_both_signs():
    assert draw([1.0, 0.6], settings(0.0, repetition=2.0), seen=[0]) == 1
    assert draw([-1.0, -1.5], settings(0.0, repetition=2.0), seen=[0]) == 1


def test_a_draw_depends_on_seed_and_step_but_not_on_its_row():
    logits = torch.zeros(1, 50)
    setting = settings()
    alone = [draw(logits[0].tolist(), setting, seed, step) for seed in (1, 2) for step in (0, 1)]
    rows = SamplingRows.of([setting] * 4, [1, 1, 2, 2], "cpu")
    steps = torch.tensor([0, 1, 0, 1])
    seen = torch.zeros(4, 50, dtype=torch.bool)
    together = choose_tokens(logits.expand(4, -1), seen, rows, steps).tolist()
    assert together == alone
    assert len(set(alone)) > 1


def test_noise_is_finite_for_every_seed_and_token():
    ids = torch.arange(200_000)[None]
    for seed in (0, 1, 0xFFFF_FFFF):
        noise = gumbel(torch.tensor([seed]), torch.tensor([3]), ids)
        assert noise.isfinite().all()
        assert noise.mean() == pytest.approx(0.5772, abs=0.02)


def test_both_halves_of_a_long_seed_count():
    assert fold_seed(5) == 5
    assert fold_seed(5 + (9 << 32)) != fold_seed(5)
    assert 0 <= fold_seed(0xFFFF_FFFF_FFFF_FFFF) <= 0xFFFF_FFFF


def test_marking_a_token_changes_its_place_alone():
    seen = torch.zeros(2, 3, dtype=torch.bool)
    mark(seen, torch.tensor([0, 1]), torch.tensor([2, 0]))
    assert seen.tolist() == [[False, False, True], [True, False, False]]
    mark(seen[0], torch.tensor([0]))
    assert seen.tolist() == [[True, False, True], [True, False, False]]


@pytest.mark.skipif(DEVICE.type != "cuda", reason="CUDA says what waits for it")
def test_starting_a_row_does_not_wait_for_the_device():
    rows = Rows(4, 32, 3, DEVICE)
    rows.prepare(1, Sampling(1, 0.0, 1.0, 0, 1.0, 0.0), 0, [3], 0)
    logits = torch.zeros(1, 32, device=DEVICE)
    torch.cuda.set_sync_debug_mode("error")
    try:
        rows.start([1], [5], logits)
        rows.branch([2, 3])
    finally:
        torch.cuda.set_sync_debug_mode("default")
