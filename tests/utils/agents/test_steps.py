"""The steps of a task as text."""

from qwen3vl_nodes.utils.agents.steps import MAX_STEPS, progress, step_words, steps_in, with_steps


def test_steps_are_numbered_and_read_back():
    history = with_steps("", ["Open the app.", "Tap\n the  bar."])
    assert history == "Step 1: Open the app.\nStep 2: Tap the bar."
    assert steps_in(history) == ["Open the app.", "Tap the bar."]
    assert with_steps(history, ["Type."]).splitlines()[-1] == "Step 3: Type."


def test_what_people_type_is_read_too():
    typed = "1. first\n\n 2) second\nstep 7: third\nfourth\n"
    assert steps_in(typed) == ["first", "second", "third", "fourth"]
    assert steps_in("3 apples bought") == ["3 apples bought"]


def test_an_empty_step_is_none():
    assert with_steps("", ["", "  "]) == ""
    assert progress("") == ""


def test_the_model_is_told_in_one_line():
    assert progress('Tap "Save".\nWait.') == "Step 1: Tap Save; Step 2: Wait"


def test_a_long_history_keeps_its_end():
    history = "\n".join(f"did {n}" for n in range(MAX_STEPS + 50))
    assert steps_in(history)[-1] == f"did {MAX_STEPS + 49}"
    assert len(steps_in(history)) == MAX_STEPS
    assert len(steps_in("x" * 10_000)[0]) == 400


def test_the_task_and_what_has_been_done():
    assert step_words(" Save it. ", "") == "The user query: Save it.\n"
    assert step_words("保存。", "1. Open") == (
        "The user query: 保存.\nTask progress (You have done the following operation on the "
        "current device): Step 1: Open.\n"
    )
