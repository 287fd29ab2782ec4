"""Prompts as data: the tasks of `tasks.yaml` as frozen records."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .messages import GenerationOptions


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to ask a model; `prompt` has a `{name}` for each name in `fields`."""

    id: str
    title: str
    group: str
    prompt: str
    fields: tuple[str, ...] = ()
    min_pixels: int | None = None
    max_pixels: int | None = None

    def fill(self, **values: str) -> str:
        """The prompt with its fields filled in; braces in a value stay as they are.

        Raises:
            InputError: a field is missing or empty, or one is not in the prompt.
        """
        given = {name: value.strip() for name, value in values.items()}
        if set(given) != set(self.fields) or not all(given.values()):
            raise InputError(
                f"The task {self.title!r} needs {', '.join(self.fields) or 'no text'}.",
                "Fill in every field.",
            )
        # In one pass: a field's name in braces, in a value, is the user's own text.
        names = re.compile("{(" + "|".join(map(re.escape, self.fields)) + ")}")
        return names.sub(lambda place: given[place[1]], self.prompt) if given else self.prompt

    @property
    def options(self) -> GenerationOptions:
        """The picture size this task needs, for options that leave it open."""
        return GenerationOptions(min_pixels=self.min_pixels, max_pixels=self.max_pixels)


@functools.cache
def all_tasks() -> dict[str, Task]:
    """Every task by id, in the order of the file."""
    import yaml

    text = Path(__file__).with_name("tasks.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text)
    return {
        key: Task(id=key, **(entry | {"fields": tuple(entry.get("fields", ()))}))
        for key, entry in entries.items()
    }


def task(task_id: str) -> Task:
    """One task.

    Raises:
        InputError: no task has this id.
    """
    try:
        return all_tasks()[task_id]
    except KeyError:
        raise InputError(
            f"There is no task {task_id!r}.", f"Known are {', '.join(all_tasks())}."
        ) from None


def tasks_in(group: str) -> tuple[Task, ...]:
    """The tasks of one node's menu, in order."""
    return tuple(t for t in all_tasks().values() if t.group == group)
