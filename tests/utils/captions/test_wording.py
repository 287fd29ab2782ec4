"""From an answer to a caption, as a table; and the table of replacements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.captions.wording import (
    Wording,
    class_of,
    joined,
    parse_replacements,
    shortened,
)
from qwen3vl_nodes.utils.errors import InputError

CAPTIONS = [
    # widgets, answer, folder, caption
    ({}, "A cat.", "f", "A cat."),
    ({"prefix": "p, "}, "A cat.", "f", "p, A cat."),
    ({"suffix": " end"}, "A cat.", "f", "A cat. end"),
    ({"prefix": "p, ", "suffix": "!"}, "A cat", "f", "p, A cat!"),
    ({"trigger_word": "sks"}, "A cat.", "f", "sks, A cat."),
    ({"trigger_word": "sks"}, "A SKS cat.", "f", "A SKS cat."),
    ({"trigger_word": "sks"}, "A man asks for masks.", "f", "sks, A man asks for masks."),
    ({"trigger_word": "sks"}, "sks", "f", "sks"),
    ({"trigger_word": "sks"}, "(sks) cat", "f", "(sks) cat"),
    ({"trigger_word": "c++"}, "about c++.", "f", "about c++."),
    ({"trigger_word": "a.b"}, "axb", "f", "a.b, axb"),
    ({"trigger_word": "  sks  "}, "A cat.", "f", "sks, A cat."),
    ({"trigger_word": "sks"}, "", "f", "sks"),
    ({"trigger_word": "{class}"}, "A cat.", "10_sks dog", "sks dog, A cat."),
    ({"trigger_word": "a {class}!"}, "x", "3_猫", "a 猫!, x"),
    ({"trigger_word": "{class}"}, "A plain cat.", "plain", "A plain cat."),
    ({"trigger_word": "sks", "prefix": "p "}, "cat", "f", "p sks, cat"),
    ({"replacements": (("cat", "dog"),)}, "A cat, cat.", "f", "A dog, dog."),
    ({"replacements": (("cat", "dog"), ("dog", "cow"))}, "A cat.", "f", "A cow."),
    ({"replacements": (("A cat.", ""),)}, "A cat.", "f", ""),
    ({"replacements": (("A cat.", ""),), "trigger_word": "t"}, "A cat.", "f", "t"),
    ({"replacements": (("cat", "sks"),), "trigger_word": "sks"}, "A cat.", "f", "A sks."),
    ({"replacements": (("CAT", "dog"),)}, "A cat.", "f", "A cat."),
    ({"replacements": ((".*", "x"),)}, "A cat.", "f", "A cat."),
    ({"max_characters": 6}, "A cat.", "f", "A cat."),
    ({"max_characters": 8}, "A cat. A dog.", "f", "A cat."),
    ({"max_characters": 13}, "A cat. A dog.", "f", "A cat. A dog."),
    ({"max_characters": 7}, "one two three", "f", "one two"),
    ({"max_characters": 6}, "one two three", "f", "one"),
    ({"max_characters": 9, "prefix": "p ", "suffix": " s"}, "A cat runs", "f", "p A cat s"),
    ({"max_characters": 10, "trigger_word": "sks"}, "A cat. A dog.", "f", "sks, A"),
    ({"max_characters": 12, "trigger_word": "sks"}, "A cat. A sks.", "f", "sks, A cat."),
    ({"max_characters": 5, "trigger_word": "sks"}, "A cat.", "f", "sks"),
    ({"max_characters": 2, "prefix": "long"}, "A cat.", "f", "long"),
]
SHORTENED = [
    ("A cat. A dog.", 12, "A cat."),
    ("A cat! A dog.", 12, "A cat!"),
    ("A cat? A dog.", 7, "A cat?"),
    ("一只猫。一只狗。", 5, "一只猫。"),
    ("It is 3.14 wide.", 9, "It is"),
    ("a, bb, ccc", 6, "a, bb"),
    ("a, bb, ccc", 5, "a, bb"),
    ("cat, dog", 7, "cat"),
    ("a, long words here", 12, "a, long"),
    ("one two", 3, "one"),
    ("one two", 4, "one"),
    ("onetwothree", 5, "onetw"),
    ("one; two", 5, "one"),
    ("abc", 3, "abc"),
    ("abc", 0, ""),
    ("", 0, ""),
    ("A. b c d e f g h", 12, "A. b c d e f"),
]
JOINED = [
    ("mine", "ours", True, "", "mine ours"),
    ("mine\n", "ours", True, "", "mine ours"),
    ("mine", ", ours", True, ", ", "mine, ours"),
    ("mine ", ", ours", True, ", ", "mine, ours"),
    ("mine", "pours", True, "p", "mine pours"),
    ("", "ours", True, "", "ours"),
    ("ours", "mine", False, "", "ours mine"),
    ("ours, ", "mine", False, ", ", "ours, mine"),
    ("ours", " \n mine\n", False, "", "ours mine\n"),
    ("ours", "", False, "", "ours"),
    ("one\r\ntwo", "ours", True, "", "one\r\ntwo ours"),
]


@pytest.mark.parametrize(("widgets", "answer", "folder", "caption"), CAPTIONS)
def test_captions(widgets, answer, folder, caption):
    assert Wording(**widgets).caption(answer, folder) == caption


@pytest.mark.parametrize(("text", "room", "kept"), SHORTENED)
def test_cut_at_a_sentence_a_tag_or_a_word(text, room, kept):
    assert shortened(text, room) == kept


@pytest.mark.parametrize(("before", "after", "own_is_last", "edge", "whole"), JOINED)
def test_joined_as_one_would_write_it(before, after, own_is_last, edge, whole):
    assert joined(before, after, own_is_last, edge) == whole


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("10_sks dog", "sks dog"),
        ("10_", "10_"),
        ("dog", "dog"),
        ("x_dog", "x_dog"),
        ("1_2_x", "2_x"),
    ],
)
def test_the_class_is_read_as_kohya_does(folder, name):
    assert class_of(folder) == name
    assert Wording(trigger_word="{class}").names_class and not Wording(trigger_word="x").names_class


def test_replacements_are_a_line_each():
    text = "a => b\n\n  big cat=>  small dog  \r\ngone =>\nx => y => z"
    assert parse_replacements(text) == (
        ("a", "b"), ("big cat", "small dog"), ("gone", ""), ("x", "y => z"),
    )  # fmt: skip
    assert parse_replacements(" \n ") == ()


@pytest.mark.parametrize("line", ["a", "=> b", "a -> b", " => "])
def test_a_line_that_replaces_nothing_is_named(line):
    with pytest.raises(InputError, match="Line 2 of replace") as caught:
        parse_replacements(f"a => b\n{line}")
    assert "find => replacement" in caught.value.remedy


@given(
    st.text(alphabet=" ab.,;!。\n", max_size=60), st.integers(1, 40), st.sampled_from(["", "ab"])
)
def test_a_caption_never_exceeds_its_bound(answer, most, trigger):
    wording = Wording(max_characters=most, trigger_word=trigger)
    assert len(wording.caption(answer, "f")) <= max(most, len(trigger))


@given(st.text(max_size=60), st.integers(0, 40))
def test_what_is_kept_is_the_beginning(text, room):
    kept = shortened(text, room)
    assert text.startswith(kept) and len(kept) <= room or len(text) <= room
