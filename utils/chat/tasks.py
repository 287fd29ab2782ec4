"""Prompts as data: the tasks of `tasks.yaml`, `enhancers.yaml` and a user's file as records."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..text.bounded_yaml import read_mapping
from .answer_rules import AnswerRules
from .generation_options import GenerationOptions

OWN_FILES = ("tasks.yaml", "enhancers.yaml")
# Groups whose menus a user may add to; the other nodes' tasks come with their parsers.
OPEN_GROUPS = ("caption", "refine", "enhance")
MAX_TASKS, MAX_TITLE, MAX_TEXT = 500, 80, 20_000
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")

PictureUse = Literal["", "optional", "required"]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to ask a model; `prompt` has a `{name}` for each name in `fields`.

    `system` is what the model is told before; `answer` what it has to keep to; `picture`
    whether an enhancer looks at one.
    """

    id: str
    title: str
    group: str
    prompt: str
    fields: tuple[str, ...] = ()
    min_pixels: int | None = None
    max_pixels: int | None = None
    system: str = ""
    answer: AnswerRules = AnswerRules()
    picture: PictureUse = ""

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
    """Every task of the pack by id, in the order of the files."""
    found: dict[str, Task] = {}
    for name in OWN_FILES:
        found |= read_tasks(Path(__file__).with_name(name).read_text(encoding="utf-8"), name)
    return found


def task(task_id: str) -> Task:
    """One task of the pack.

    Raises:
        InputError: no task has this id.
    """
    try:
        return all_tasks()[task_id]
    except KeyError:
        raise InputError(
            f"There is no task {task_id!r}.", f"Known are {', '.join(all_tasks())}."
        ) from None


def tasks_in(group: str, tasks: Mapping[str, Task] | None = None) -> tuple[Task, ...]:
    """The tasks of one node's menu, in order: of the pack, or of `tasks`."""
    known = all_tasks() if tasks is None else tasks
    return tuple(t for t in known.values() if t.group == group)


def merged(own: Mapping[str, Task], users: Mapping[str, Task], name: str) -> dict[str, Task]:
    """Ours with the user's laid over: the same id replaces one, another comes after them.

    Raises:
        InputError: a group whose menu is not open, other fields than the replaced task has, or
            a title that another task of the menu has.
    """
    for one in users.values():
        replaced = own.get(one.id)
        if replaced and (one.group, one.fields) != (replaced.group, replaced.fields):
            raise _wrong(
                name, one.id, f"replaces a task of group {replaced.group} with fields "
                f"{list(replaced.fields)}, and has others"
            )  # fmt: skip
        if not replaced and one.group not in OPEN_GROUPS:
            raise _wrong(name, one.id, f"has the group {one.group!r}, not {_either(OPEN_GROUPS)}")
    both = {**own, **users}
    titles: dict[tuple[str, str, str], str] = {}
    for one in both.values():
        key = (one.group, one.title, one.answer.language)
        if key in titles:
            raise _wrong(name, one.id, f"has the title {one.title!r} of {titles[key]}")
        titles[key] = one.id
    return both


def read_tasks(text: str, name: str) -> dict[str, Task]:
    """The tasks of a YAML file by id, in its order.

    Raises:
        InputError: naming the file, the entry and what is wrong with it.
    """
    entries = read_mapping(text, name)
    if len(entries) > MAX_TASKS:
        raise InputError(f"{name} has {len(entries)} tasks.", f"Keep at most {MAX_TASKS}.")
    return {str(key): _task(key, entry, name) for key, entry in entries.items()}


def _task(key: Any, entry: Any, name: str) -> Task:
    if not isinstance(key, str) or not _ID.fullmatch(key):
        raise _wrong(name, key, "is no id: small letters, digits and _, a letter first")
    if not isinstance(entry, dict):
        raise _wrong(name, key, "has no fields below it")
    known = [field.name for field in fields(Task) if field.name != "id"]
    if unknown := [str(field)[:40] for field in entry if field not in known]:
        raise _wrong(name, key, f"has {unknown[0]!r}, which is none of {', '.join(known)}")
    for field in ("title", "group", "prompt"):
        if not isinstance(entry.get(field), str) or not entry[field].strip():
            raise _wrong(name, key, f"has no {field}, or one that is no text")
    if len(entry["title"]) > MAX_TITLE or "\n" in entry["title"]:
        raise _wrong(name, key, f"has a title of more than {MAX_TITLE} characters or one line")
    if not isinstance(entry.get("system", ""), str):
        raise _wrong(name, key, "has a system that is no text")
    if len(entry["prompt"]) + len(entry.get("system", "")) > MAX_TEXT:
        raise _wrong(name, key, f"has more than {MAX_TEXT} characters")
    if entry.get("picture", "") not in ("", "optional", "required"):
        raise _wrong(name, key, "has a picture that is neither optional nor required")
    try:
        made = Task(
            id=key,
            **(
                entry
                | {"fields": _texts(entry.get("fields")), "answer": _rules(entry.get("answer"))}
            ),
        )
        _ = made.options  # checks its ranges
    except InputError as error:
        raise _wrong(name, key, f"cannot be used: {error.problem}") from error
    except TypeError as error:
        raise _wrong(name, key, f"has a value of a wrong kind ({str(error)[:80]})") from error
    if missing := [field for field in made.fields if f"{{{field}}}" not in made.prompt]:
        raise _wrong(name, key, f"has the field {missing[0]!r}, which its prompt does not name")
    return made


def _rules(entry: Any) -> AnswerRules:
    """What an entry asks of its answer.

    Raises:
        InputError: a name or a value that means nothing.
    """
    if entry is None:
        return AnswerRules()
    if not isinstance(entry, dict):
        raise InputError("answer has no fields below it.", "See tasks.yaml.")
    kinds = {field.name: type(getattr(AnswerRules(), field.name)) for field in fields(AnswerRules)}
    values = {}
    for field, value in entry.items():
        if field not in kinds:
            raise InputError(
                f"answer has {str(field)[:40]!r}, which is none of {', '.join(kinds)}.",
                "See tasks.yaml.",
            )
        values[field] = _texts(value) if kinds[field] is tuple else value
        if type(values[field]) is not kinds[field]:
            raise InputError(
                f"answer has a {field} that is no {kinds[field].__name__}.", "See tasks.yaml."
            )
    return AnswerRules(**values)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise InputError("A list of texts is something else.", "Write it as [one, two].")
    return tuple(value)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _wrong(name: str, key: Any, problem: str) -> InputError:
    return InputError(f"{name}: {str(key)[:64]} {problem}.", "Put the entry right.")
