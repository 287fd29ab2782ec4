"""Commits in a thread: in order, together, and never waited for in vain."""

import threading

import pytest
from qwen3vl_nodes.utils.files.group_commit import GroupCommit


class Held:
    """A commit that waits until it is let go, and keeps what it got."""

    def __init__(self):
        self.go, self.begun, self.got = threading.Event(), threading.Event(), []

    def __call__(self, items):
        self.begun.set()
        assert self.go.wait(10)
        self.got.append(items)


def test_everything_is_committed_in_its_order():
    got = []
    commit = GroupCommit(got.extend)
    for number in range(1000):
        commit.put(number)
    commit.close()
    assert got == list(range(1000))


def test_what_gathers_meanwhile_is_committed_together():
    held = Held()
    commit = GroupCommit(held, limit=4)
    commit.put(0)
    held.begun.wait(10)
    for number in range(1, 5):
        commit.put(number)
    held.go.set()
    commit.close()
    assert held.got == [[0], [1, 2, 3, 4]]


def test_who_hands_over_waits_only_for_a_place():
    held = Held()
    commit = GroupCommit(held, limit=2)
    commit.put(0)
    held.begun.wait(10)
    commit.put(1)
    commit.put(2)
    blocked = threading.Thread(target=commit.put, args=(3,), daemon=True)
    blocked.start()
    blocked.join(0.05)
    assert blocked.is_alive()
    held.go.set()
    blocked.join(10)
    assert not blocked.is_alive()
    commit.close()
    assert [one for items in held.got for one in items] == [0, 1, 2, 3]


class Stopped(BaseException):
    """As ComfyUI's interrupt, which may be no Exception."""


@pytest.mark.parametrize("error", [ValueError("no"), Stopped(), MemoryError()])
def test_a_problem_comes_back_and_nobody_waits_for_ever(error):
    def broken(_items):
        raise error

    def hand_over():
        with pytest.raises(type(error)):
            for number in range(1000):  # many more than there are places
                commit.put(number)
        with pytest.raises(type(error)):
            commit.close()

    commit = GroupCommit(broken, limit=2)
    giver = threading.Thread(target=hand_over, daemon=True)
    giver.start()
    giver.join(10)
    assert not giver.is_alive() and not commit._thread.is_alive()


def test_nothing_is_committed_after_a_problem():
    got = []

    def broken(items):
        got.append(items)
        raise ValueError

    commit = GroupCommit(broken, limit=1)
    for _ in range(3):
        with pytest.raises(ValueError):
            for number in range(1000):
                commit.put(number)
    with pytest.raises(ValueError):
        commit.close()
    assert len(got) == 1


def test_closing_without_anything_is_nothing():
    commit = GroupCommit(lambda _: pytest.fail("nothing to commit"))
    commit.close()
    assert not commit._thread.is_alive()


def test_closing_waits_for_what_is_being_committed():
    held = Held()
    commit = GroupCommit(held)
    commit.put(1)
    held.begun.wait(10)
    threading.Timer(0.02, held.go.set).start()
    commit.close()
    assert held.got == [[1]]
