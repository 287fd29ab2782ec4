"""Prompts as data: the pack's own, a user's over them, and files that are wrong."""

import pytest
from qwen3vl_nodes.utils.chat.answer_rules import AnswerRules
from qwen3vl_nodes.utils.chat.tasks import all_tasks, merged, read_tasks, task, tasks_in
from qwen3vl_nodes.utils.errors import InputError

ENTRY = "mine:\n  title: Mine\n  group: caption\n  prompt: Say it.\n"


def users(text):
    return merged(all_tasks(), read_tasks(text, "own.yaml"), "own.yaml")


def test_a_users_task_comes_after_ours_and_replaces_one_of_the_same_id():
    both = users(ENTRY + "caption_short: {title: Kurz, group: caption, prompt: Ein Satz.}\n")
    titles = [one.title for one in tasks_in("caption", both)]
    assert titles[0] == "Kurz" and titles[-1] == "Mine"
    assert len(titles) == len(tasks_in("caption")) + 1
    assert "mine" not in all_tasks()
    assert users("") == all_tasks()


def test_every_field_of_an_entry():
    text = (
        "mine:\n  title: Mine\n  group: enhance\n  prompt: 'About {prompt}'\n  fields: [prompt]\n"
        "  min_pixels: 2048\n  max_pixels: 4096\n  system: Be brief.\n  picture: optional\n"
        "  answer: {must: [a], max_words: 9, language: en, json_only: true}\n"
    )
    made = read_tasks(text, "own.yaml")["mine"]
    assert made.fill(prompt="x") == "About x"
    assert made.options.max_pixels == 4096
    assert (made.system, made.picture) == ("Be brief.", "optional")
    assert made.answer == AnswerRules(("a",), max_words=9, language="en", json_only=True)


WRONG = [
    ("mine", "is no list of named entries"),
    ("[1, 2]", "is no list of named entries"),
    ("mine: 3", "mine has no fields below it"),
    ("Mine!: {title: a, group: caption, prompt: b}", "Mine! is no id"),
    ("1: {title: a, group: caption, prompt: b}", "1 is no id"),
    (ENTRY + "  colour: red\n", "mine has 'colour', which is none of title, group"),
    ("mine: {group: caption, prompt: b}", "mine has no title"),
    ("mine: {title: [a], group: caption, prompt: b}", "mine has no title"),
    ("mine: {title: a, group: caption, prompt: ''}", "mine has no prompt"),
    ("mine: {title: a, group: ground_boxes, prompt: b}", "the group 'ground_boxes', not caption"),
    ("ground_boxes: {title: a, group: ground_boxes, prompt: b}", "replaces a task of group ground"),
    (
        "mine: {title: Short caption, group: caption, prompt: b}",
        "the title 'Short caption' of",
    ),
    (ENTRY + "  min_pixels: many\n", "mine has a value of a wrong kind"),
    (ENTRY + "  min_pixels: -3\n", "mine cannot be used: min_pixels is -3"),
    (ENTRY + "  fields: things\n", "A list of texts is something else"),
    (ENTRY + "  fields: [things]\n", "the field 'things', which its prompt does not name"),
    (ENTRY + "  system: 3\n", "a system that is no text"),
    (ENTRY + "  picture: maybe\n", "neither optional nor required"),
    (ENTRY + "  answer: short\n", "answer has no fields below it"),
    (ENTRY + "  answer: {words: 3}\n", "answer has 'words'"),
    (ENTRY + "  answer: {max_words: ten}\n", "max_words that is no int"),
    (ENTRY + "  answer: {max_words: true}\n", "max_words that is no int"),
    (ENTRY + "  answer: {language: fr}\n", "'fr' is no language"),
    ("mine: {title: a, group: caption, prompt: " + "b" * 20_001 + "}", "more than 20000 char"),
    ("mine: {title: " + "a" * 81 + ", group: caption, prompt: b}", "a title of more than 80"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_entry_is_named(text, message):
    with pytest.raises(InputError, match=message):
        users(text)


def test_too_many_tasks_are_refused():
    many = "".join(f"m{n}: {{title: t{n}, group: caption, prompt: p}}\n" for n in range(501))
    with pytest.raises(InputError, match="501 tasks"):
        read_tasks(many, "own.yaml")


def test_every_enhancer_is_there_in_both_languages_with_rules():
    found = {}
    for one in tasks_in("enhance"):
        found.setdefault(one.title, {})[one.answer.language] = one
        assert one.fields == ("prompt",) and one.system and one.answer.max_words
        assert one.id.endswith(f"_{one.answer.language}")
        assert one.fill(prompt="{prompt} x").endswith("{prompt} x")
    assert all(set(by_language) == {"en", "zh"} for by_language in found.values())
    names = " ".join(found)
    for model in ("Qwen-Image", "Qwen-Image-Edit", "Wan", "LTX", "Flux", "Krea"):
        assert model in names
    for by_language in found.values():
        assert by_language["en"].picture == by_language["zh"].picture


def test_system_prompts_are_in_the_language_they_ask_for():
    for one in tasks_in("enhance"):
        rules = AnswerRules(language=one.answer.language)
        assert rules.problems(one.system) == (), one.id


def test_an_unknown_task():
    with pytest.raises(InputError, match="no task 'x'"):
        task("x")
