"""Answers that did not fit: what counts in the end, and what is said of it."""

import pytest
from qwen3vl_nodes.utils.chat.answer_rules import AnswerRules
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.chat.second_asking import Checked, again, better, check_json, checked
from qwen3vl_nodes.utils.errors import ParseError

JSON = AnswerRules(json_only=True)


def reply(text):
    return Reply(text, "", "end", 3, 9, 1.0, 0.5)


def test_without_rules_an_answer_is_left_alone():
    assert checked(reply('"A cat."'), AnswerRules()) == Checked(reply('"A cat."'))


def test_the_follow_up_holds_the_answer_and_what_was_wrong():
    rules = AnswerRules(must=("cat",))
    request = Request((Message("user", ("what?",)),), seed=5)
    second = again(request, checked(reply("A dog."), rules))
    assert [m.role for m in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1].parts == ("A dog.",)
    assert "It must contain: cat." in second.messages[2].parts[0]
    assert second.seed == 5


def test_the_second_answer_counts_unless_it_is_worse():
    rules = AnswerRules(must=("a", "b"))
    first = checked(reply("x a"), rules)
    fits, worse, empty = (checked(reply(text), rules) for text in ("a b", "nothing", " "))
    assert better(first, fits).reply.text == "a b"
    assert better(first, fits).note == "asked for once more"
    assert better(first, worse).reply.text == "x a"
    assert "still not as wanted: It must contain: b." in better(first, worse).note
    assert better(first, empty).reply.text == "x a"


@pytest.mark.parametrize(
    ("answer", "text", "repaired"),
    [
        ('{"a": 1}', '{"a": 1}', False),
        ('```json\n{"a": 1}\n```', '{"a": 1}', False),
        ('Here it is: {"a": 1,}', '{"a": 1}', True),
        ("{'a': '猫'}", '{"a": "猫"}', True),
    ],
)
def test_json_that_can_be_read_is_written_strictly(answer, text, repaired):
    found = checked(reply(answer), JSON)
    assert (found.reply.text, found.repaired, found.problems) == (text, repaired, ())
    check_json(found, JSON, "Answer 1 of 1")


@pytest.mark.parametrize("answer", ["none", '{"a": [1, 2', "[1] [2]", "[" * 200, ""])
def test_json_that_is_none_is_an_error_in_the_end(answer):
    found = checked(reply(answer), JSON)
    assert found.problems
    with pytest.raises(ParseError, match="Answer 1 of 1 is no JSON"):
        check_json(found, JSON, "Answer 1 of 1")
