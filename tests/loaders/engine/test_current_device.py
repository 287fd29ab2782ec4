"""A run's device is the current one while the run works, and the caller's own in between."""

from contextlib import contextmanager

import pytest
import torch
from fast_kit import ask, check, engine, picture
from qwen3vl_nodes.loaders.engine import fast
from qwen3vl_nodes.loaders.engine.scheduler import current_device
from qwen3vl_nodes.loaders.engine.scheduler.current_device import on_device

SECOND = torch.device("cuda", 1)


@pytest.fixture
def current(monkeypatch):
    """The current devices, the innermost last; no GPU is needed."""
    stack = ["the caller's"]

    @contextmanager
    def device(chosen):
        stack.append(str(chosen))
        try:
            yield
        finally:
            stack.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    return stack


def test_current_while_working_and_closing_only(current):
    seen = []

    def work():
        try:
            for number in range(3):
                seen.append(current[-1])
                yield number
        finally:
            seen.append(current[-1])

    for _ in on_device(SECOND, work()):
        assert current == ["the caller's"]
    early = on_device(SECOND, work())
    assert next(early) == 0
    early.close()
    assert seen == ["cuda:1"] * 6 and current == ["the caller's"]


def test_errors_pass_through(current):
    def work():
        yield 1
        raise OSError("disk gone")

    outcomes = on_device(SECOND, work())
    assert next(outcomes) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(outcomes)


def test_the_fast_engine_runs_so(monkeypatch):
    devices = []

    def noted(device, work):
        devices.append(device)
        return current_device.on_device(device, work)

    monkeypatch.setattr(fast, "on_device", noted)
    made = engine()
    check(made, [ask(picture(64, 64), "?", tokens=2)])
    assert devices == [made._module.lm_head.weight.device]
