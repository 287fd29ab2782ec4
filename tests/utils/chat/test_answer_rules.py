"""Rules for answers: words, length, language, form, and what a text field of words means."""

import pytest
from qwen3vl_nodes.utils.chat.answer_rules import (
    AnswerRules,
    ask_again,
    bare,
    is_in,
    is_json,
    length,
    says,
    words_in,
)
from qwen3vl_nodes.utils.errors import InputError


@pytest.mark.parametrize(
    ("text", "words", "there"),
    [
        ("A photo of sks dog.", "sks", True),
        ("Masks on a wall", "sks", False),
        ("a RED\n star", "red star", True),
        ("redstar", "red star", False),
        ("一只猫坐着", "猫", True),
        ("a C++ book", "C++", True),
        ("anything", "", True),
        ("naïve", "na", False),
    ],
)
def test_words_are_looked_for_as_words(text, words, there):
    assert says(text, words) is there


def test_words_of_a_field():
    assert words_in(" red star, dog\n\n dog，猫 ") == ("red star", "dog", "猫")
    assert words_in("") == ()
    with pytest.raises(InputError, match="201 words"):
        words_in(",".join(map(str, range(201))))


@pytest.mark.parametrize(
    ("rules", "good", "bad", "problem"),
    [
        ({"must": ("cat",)}, "a cat", "a dog", "It must contain: cat."),
        ({"must_not": ("cat",)}, "a dog", "a cat", "It must not contain: cat."),
        ({"min_words": 3}, "one two three", "one two", "at least 3 words, and has 2"),
        ({"max_words": 2}, "one two", "one two three", "at most 2 words, and has 3"),
        ({"language": "zh", "max_words": 3}, "三个字", "四个汉字", "at most 3 characters"),
        ({"language": "en"}, 'A sign says "咖啡" above the old green door', "一只猫", "in English"),
        ({"language": "zh"}, "一张写着 CAFE 的海报", "A cat", "in Chinese"),
        ({"paragraphs": 1}, "a\nb", "a\n\nb", "one paragraph"),
        ({"paragraphs": 2}, "a\n\nb", "a\n\nb\n \nc", "2 paragraphs"),
        ({"begins": "Style:"}, " style: noir", "A man", "begin with: Style:"),
        ({"sections": ("Scene", "Sound")}, "Scene: a. Sound: b", "Sound, Scene", "in this order"),
        ({"json_only": True}, '{"a": 1}', 'Here: {"a": 1}', "one valid JSON value"),
    ],
)
def test_each_rule(rules, good, bad, problem):
    made = AnswerRules(**rules)
    assert made and made.problems(good) == ()
    (found,) = made.problems(bad)
    assert problem in found


def test_no_rules_are_no_problem():
    assert not AnswerRules()
    assert AnswerRules().problems("") == ()


def test_rules_that_exclude_each_other_are_refused():
    with pytest.raises(InputError, match="cat must occur and must not occur"):
        AnswerRules(must=("cat",), must_not=("Cat",))
    with pytest.raises(InputError, match="words at least cannot have"):
        AnswerRules(min_words=5, max_words=4)
    with pytest.raises(InputError, match="'fr' is no language"):
        AnswerRules(language="fr")


def test_more_words_keep_the_other_rules():
    rules = AnswerRules(must=("a",), max_words=3).and_words(("b",), ("c",))
    assert rules == AnswerRules(must=("a", "b"), must_not=("c",), max_words=3)


def test_what_is_said_to_ask_again():
    problems = AnswerRules(must=("cat",)).problems("dog")
    assert ask_again(problems) == (
        "Write the whole answer again. It must contain: cat. Only the answer."
    )


def test_lengths_and_languages():
    assert length("a well-known cat's toy") == 4
    assert length("一只 cat 猫") == 4
    assert is_in("123 !", "en") and is_in("", "zh")
    assert not is_in("这是一句话 with words", "en")


@pytest.mark.parametrize(
    ("text", "good"),
    [("[1]", True), ("1", True), ("NaN", False), ('{"a":1} ', True), ("", False),
     ("[" * 100_000, False), ("{'a': 1}", False)],
)  # fmt: skip
def test_only_json_is_json(text, good):
    assert is_json(text) is good


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (' "A cat." ', "A cat."),
        ('"A" and "B"', '"A" and "B"'),
        ("```json\n[1]\n```", "[1]"),
        ("“一只猫”", "一只猫"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_what_stands_around_an_answer_goes(answer, text):
    assert bare(answer) == text


SCHEMA = '{"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}'


def test_json_as_the_options_want_it():
    assert AnswerRules().and_json(None) == AnswerRules()
    for anything in ("", "{}", " {} "):
        rules = AnswerRules().and_json(anything)
        assert rules.problems("[1]") == () and rules.problems("no")
    rules = AnswerRules().and_json(SCHEMA)
    assert rules.problems('{"a": 1}') == ()
    assert rules.problems('{"a": "x"}') == (
        "The JSON must fit the schema, but ['a']: 'x' is not of type 'integer'.",
    )
    assert "one valid JSON value" in rules.problems("{")[0]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no object"),
        ('{"type": 3}', "cannot be used"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_what_is_no_schema_is_refused(schema, message):
    with pytest.raises(InputError, match=message):
        AnswerRules().and_json(schema)


def test_no_reference_of_a_schema_is_fetched(monkeypatch):
    import urllib.request

    def fetch(*_, **__):
        raise AssertionError("fetched")

    monkeypatch.setattr(urllib.request, "urlopen", fetch)
    rules = AnswerRules().and_json('{"$ref": "http://127.0.0.1:9/schema.json"}')
    with pytest.raises(InputError, match="refers to .*127.0.0.1"):
        rules.problems("{}")
