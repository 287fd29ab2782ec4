"""YAML from outside: plain values, and bounds on everything else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.text.bounded_yaml import read_mapping


def test_plain_values():
    assert read_mapping("a: [1, x]\nb: {c: '2'}\n", "f") == {"a": [1, "x"], "b": {"c": "2"}}
    assert read_mapping("", "f") == {} == read_mapping("# only a comment\n", "f")


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "f has an anchor, an alias or a tag at line 1"),
        ("a: *b\n", "anchor, an alias or a tag|undefined alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "a tag at line 1"),
        ("a: !!binary aGk=\n", "a tag at line 1"),
        ("a: " + "[" * 100_000, "nested too deep at line 1"),
        ("a: 1\na: 2\n", "a key that comes twice"),
        ("a: {b: 1, b: 2}\n", "a key that comes twice"),
        ("a: [1\n", "f is no YAML: line"),
        ("a: 2001-99-99\n", "f is no YAML"),
        ("a: \x00\n", "f is no YAML"),
        ("? [a]\n: b\n", "f is no YAML"),
        ("- a\n", "no list of named entries"),
        ("a: [" + "1," * 40_001 + "]", "too many values"),
        ("#" * 400_001, "400,001 characters"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        read_mapping(text, "f")


@given(st.text(alphabet="ab:-[]{}&*!|>#?%@`'\"\n \t,0", max_size=60))
def test_anything_is_a_mapping_or_refused(text):
    with suppress(InputError):
        assert isinstance(read_mapping(text, "f"), dict)
