"""Thinking and answer are kept apart, also when a text is cut off."""

import pytest
from qwen3vl_nodes.utils.text.repetition import MAX_PERIOD, MIN_SPAN, is_endless
from qwen3vl_nodes.utils.text.thinking import split_thinking


@pytest.mark.parametrize(
    ("text", "starts", "expected"),
    [
        ("A cat.", False, ("", "A cat.")),
        ("hm\n</think>\n\nA cat.", True, ("hm", "A cat.")),
        ("<think>\nhm\n</think>\nA cat.", False, ("hm", "A cat.")),
        ("<think>\nhm\n</think>\nA cat.", True, ("hm", "A cat.")),
        ("still thinking", True, ("still thinking", "")),
        ("<think>still", False, ("still", "")),
        ("", True, ("", "")),
        ("a</think>b</think>c", True, ("a", "b</think>c")),
        ("</think>A cat.", False, ("", "A cat.")),
    ],
)
def test_split(text, starts, expected):
    assert split_thinking(text, starts) == expected


@pytest.mark.parametrize("period", [1, 2, 17, MAX_PERIOD])
def test_endless_repetition_is_noticed(period):
    unit = list(range(period))
    tokens = [7] * 40 + (unit * (MIN_SPAN // period + 2))
    assert is_endless(tokens)


def test_lists_of_similar_items_are_no_repetition():
    items = [token for n in range(200) for token in (1, 2, 3, 1000 + n)]
    assert not is_endless(items)
    assert not is_endless([1] * (MIN_SPAN - 1))
    assert not is_endless([*[1] * MIN_SPAN, 2])
