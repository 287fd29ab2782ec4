"""Seconds as people write them, read and written."""

import pytest
from qwen3vl_nodes.utils.video.timestamps import (
    clock,
    last_pair_as_hundredths,
    long_clock,
    read_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (3, 3.0), (3.5, 3.5), ("3.5", 3.5), ("3,5", 3.5), (" 3.5s ", 3.5), ("3.5 seconds", 3.5),
        ("01:02", 62.0), ("01:02.50", 62.5), ("1:00:02", 3602.0), ("01:00:02,250", 3602.25),
        ("1m 20s", 80.0), ("2 min", 120.0), ("1h 2m 3s", 3723.0), ("<1.5 seconds>", 1.5),
        ("00:00:01:12", 1.0), ("90:00", 5400.0), ("5秒", 5.0), ("0", 0.0),
        ("", None), ("soon", None), ("-3", None), (-3, None), (True, None), (None, None),
        ([1], None), ("1e5", None), ("nan", None), (float("nan"), None), (float("inf"), None),
        (10**400, None), ("9" * 39, None), ("9" * 400, None), ("1:2:3:4:5", None), (":", None),
        ("h", None),
    ],
)  # fmt: skip
def test_read(text: object, seconds: float | None):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "short", "long"),
    [
        (0, "00:00.00", "00:00:00.000"),
        (62.5, "01:02.50", "00:01:02.500"),
        (59.999, "01:00.00", "00:00:59.999"),
        (3723.0004, "62:03.00", "01:02:03.000"),
        (359999.9996, "6000:00.00", "100:00:00.000"),
    ],
)
def test_written(seconds: float, short: str, long: str):
    assert clock(seconds) == short
    assert long_clock(seconds) == long


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_no_time_is_written_of_what_is_none(seconds: float):
    with pytest.raises(ValueError, match="no time"):
        clock(seconds)


def test_what_is_written_is_read_again():
    for hundredths in range(0, 700_000, 997):
        assert read_seconds(clock(hundredths / 100)) == pytest.approx(hundredths / 100)
        assert read_seconds(long_clock(hundredths / 100, ",")) == pytest.approx(hundredths / 100)


def test_hundredths_with_a_colon():
    assert last_pair_as_hundredths("00:01:50") == 1.5
    assert last_pair_as_hundredths("00:01.50") is None
    assert last_pair_as_hundredths(3) is None
