"""How many requests are kept in flight, against servers that are made of arithmetic."""

import pytest
from qwen3vl_nodes.loaders.servers.wire.pace import Pace


def run(pace, rate_at, rounds):
    """Answer rounds at a server that answers `rate_at(in flight)` requests a second."""
    now, limits = 0.0, []
    pace.answered(now, 10, pace.limit)
    for _ in range(rounds):
        limit = pace.limit
        for _ in range(limit):
            now += 1 / rate_at(limit)
            pace.answered(now, 10, limit - 1)
        limits.append(pace.limit)
    return limits


@pytest.mark.parametrize(("knee", "low", "high"), [(1, 1, 2), (8, 8, 13), (64, 64, 100)])
def test_it_settles_where_more_brings_nothing(knee, low, high):
    pace = Pace(4)
    limits = run(pace, lambda n: 5 * min(n, knee), 60)
    settled = sorted(limits[20:])[len(limits[20:]) // 2]
    assert low <= max(settled, low) and settled <= max(high, 4)


def test_it_goes_up_to_the_most_where_more_always_helps():
    assert run(Pace(4), lambda n: n, 20)[-1] == 256
    assert run(Pace(4, most=10), lambda n: n, 20)[-1] == 10


def test_a_number_of_the_owner_stays():
    pace = Pace(7, most=7, fixed=True)
    run(pace, lambda n: n, 10)
    pace.overloaded(1.0)
    assert pace.limit == 7


def test_too_many_requests_halve_it_and_it_rests_before_it_tries_again():
    pace = Pace(32)
    run(pace, lambda n: 100, 1)
    before = pace.limit
    pace.overloaded(5.0)
    assert pace.limit == before // 2
    halved = pace.limit
    assert run(pace, lambda n: n, 6) == [halved] * 6
    assert run(pace, lambda n: n, 3)[-1] > halved


def test_one_is_always_allowed():
    pace = Pace(1)
    for now in range(5):
        pace.overloaded(float(now))
    assert pace.limit == 1


def test_nothing_is_learned_while_there_is_too_little_to_do():
    pace = Pace(8)
    for now in range(100):
        pace.answered(float(now), 10, 0)
    assert pace.limit == 8
