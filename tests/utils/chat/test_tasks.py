"""Prompts are data, and the data is sound."""

import pytest
from qwen3vl_nodes.utils.chat.tasks import Task, all_tasks, task, tasks_in
from qwen3vl_nodes.utils.errors import InputError


def test_every_task_has_the_fields_its_prompt_names():
    for one in all_tasks().values():
        filled = one.fill(**dict.fromkeys(one.fields, "cat"))
        assert filled
        for name in one.fields:
            assert "{" + name + "}" in one.prompt, one.id


def test_titles_are_distinct_in_each_menu():
    for group in {t.group for t in all_tasks().values()}:
        titles = [(t.title, t.answer.language) for t in tasks_in(group)]
        assert len(set(titles)) == len(titles)


def test_titles_of_the_caption_menu_are_published():
    """They are stored in workflows: this list may grow at its end and change nowhere."""
    assert [t.title for t in tasks_in("caption")][:8] == [
        "Short caption", "Detailed caption", "Tags", "Prompt for image generation", "Alt text",
        "Training caption", "Style", "Count objects",
    ]  # fmt: skip


def test_braces_in_a_value_stay():
    one = Task("x", "X", "g", 'find {what} as {"a": 1}', ("what",))
    assert one.fill(what="{what}") == 'find {what} as {"a": 1}'
    two = Task("x", "X", "g", "find {what} with {how}", ("what", "how"))
    assert two.fill(what="{how}", how="\\1") == "find {how} with \\1"


@pytest.mark.parametrize("values", [{}, {"what": "  "}, {"what": "a", "other": "b"}])
def test_missing_empty_and_foreign_fields_are_refused(values):
    with pytest.raises(InputError, match="'X' needs what"):
        Task("x", "X", "g", "find {what}", ("what",)).fill(**values)


def test_an_unknown_task_is_named():
    with pytest.raises(InputError, match="'nope'"):
        task("nope")
