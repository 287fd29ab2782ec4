"""Choices in a prompt."""

import pytest
from qwen3vl_nodes.utils.chat.placeholders import with_choices


def outcomes(text):
    return {with_choices(text, seed) for seed in range(60)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {red|blue} star", {"a red star", "a blue star"}),
        ("{a|b}{c|d}", {"ac", "ad", "bc", "bd"}),
        ("{a|b {c|d}}", {"a", "b c", "b d"}),
        ("{|very }large", {"large", "very large"}),
        ('Answer as {"subject": "..."}', {'Answer as {"subject": "..."}'}),
        ('{"a": {"b": 1}}', {'{"a": {"b": 1}}'}),
        ("{}", {"{}"}),
        (r"\{a\|b\}", {"{a|b}"}),
        (r"{a\|b|c}", {"a|b", "c"}),
        (r"C:\new \n \\", {r"C:\new \n \\"}),
        ("a|b", {"a|b"}),
        ("a } b", {"a } b"}),
        ("a {b|c", {"a {b|c"}),
        ("a {b {c|d", {"a {b {c|d"}),
        ("", {""}),
        ("\\", {"\\"}),
        ("{猫|狗} // no comment", {"猫 // no comment", "狗 // no comment"}),
    ],
)
def test_each_group_is_one_of_its_choices(text, expected):
    assert outcomes(text) == expected


def test_the_same_seed_gives_the_same_text():
    text = "{a|b|c|d}" * 20
    assert with_choices(text, 7) == with_choices(text, 7) != with_choices(text, 8)


def test_hostile_texts_end_soon():
    for text in ("{" * 100_000, "{a|" * 50_000, "{a|b}" * 20_000, "|}" * 50_000):
        assert isinstance(with_choices(text, 1), str)
