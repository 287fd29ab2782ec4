"""The steps of a task so far, as text that people can read, edit and hand to the next step."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..chat.tasks import task
from ..errors import InputError

MAX_STEPS = 200
MAX_STEP_CHARACTERS = 400
_NUMBER = re.compile(r"^\s*(?:Step\s+)?\d{1,4}\s*[:.)]\s*", re.IGNORECASE)


def steps_in(history: str) -> list[str]:
    """The steps of a history, one a line; numbers before them do not matter.

    Only the last MAX_STEPS are kept: what happened long ago does not help the next step.
    """
    lines = (" ".join(_NUMBER.sub("", line).split()) for line in history.splitlines())
    return [line[:MAX_STEP_CHARACTERS] for line in lines if line][-MAX_STEPS:]


def with_steps(history: str, sentences: Sequence[str]) -> str:
    """The history with more steps, numbered anew."""
    steps = [*steps_in(history), *(" ".join(s.split())[:MAX_STEP_CHARACTERS] for s in sentences)]
    return "\n".join(f"Step {n}: {step}" for n, step in enumerate(filter(None, steps), 1))


def progress(history: str) -> str:
    """The steps in one line, as Qwen3-VL's cookbook "mobile_agent" tells them to the model."""
    # Quotation marks are taken out there too: the line stands within a sentence.
    steps = (step.replace('"', "").rstrip(".; ") for step in steps_in(history))
    return "; ".join(f"Step {n}: {step}" for n, step in enumerate(steps, 1))


def step_words(instruction: str, history: str) -> str:
    """What the model is asked: the task, and what has been done for it.

    Raises:
        InputError: no task.
    """
    wanted = instruction.strip().rstrip(".\u3002")
    if not wanted:
        raise InputError("There is no instruction.", "Write what is to be done on the screen.")
    done = progress(history)
    if not done:
        return task("agent_first_step").fill(instruction=wanted)
    return task("agent_next_step").fill(instruction=wanted, steps=done)
