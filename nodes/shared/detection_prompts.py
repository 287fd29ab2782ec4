"""What the detecting nodes ask for: menus of ways to find things, and the words of each."""

from __future__ import annotations

import json
import re

from ...utils.chat.tasks import Task, task, tasks_in
from ...utils.errors import InputError

# Stored in workflows: append only.
CATEGORIES, DESCRIPTION = "categories, comma between", "a description"

# What people put between things beside commas.
_BREAKS = re.compile(r"[\n\r;\uff1b]+")


def find_choices() -> list[str]:
    """The menu of ways to say what to find."""
    return [CATEGORIES, DESCRIPTION, *(task.title for task in tasks_in("recognize"))]


def detect_prompt(find: str, find_by: str, attributes: str) -> tuple[Task, str]:
    """The task and the words that ask for boxes.

    Raises:
        InputError: nothing to find, or attributes of a description or of names.
    """
    named = next((t for t in tasks_in("recognize") if t.title == find_by), None)
    if named is not None and attributes.strip(" ,"):
        raise InputError("Attributes cannot be asked together with names.", "Empty attributes.")
    if named is not None and not named.fields:
        only = f" Only: {find.strip()}." if find.strip(" ,\n") else ""
        return named, named.fill() + only
    find = check_find(find, find_by == DESCRIPTION)
    if named is not None:
        return named, named.fill(things=find)
    names = [name.strip() for name in attributes.split(",") if name.strip()]
    if not names:
        chosen = task("ground_phrase" if find_by == DESCRIPTION else "ground_boxes")
        return chosen, chosen.fill(things=find)
    if find_by == DESCRIPTION:
        raise InputError(
            "Attributes can be asked of categories only.", "Empty attributes, or name categories."
        )
    chosen = task("ground_attributes")
    example = {"bbox_2d": "PLACE", "label": find.strip()} | dict.fromkeys(names, "...")
    shape = json.dumps(example, ensure_ascii=False).replace('"PLACE"', "[x1, y1, x2, y2]", 1)
    return chosen, chosen.fill(things=find, attributes=" and ".join(names), example=shape)


def check_find(find: str, description: bool = False) -> str:
    """What to find on one line, as the prompts have it: line breaks and semicolons part things
    as commas do, but are as good as spaces within a description.

    Raises:
        InputError: nothing to find; commas alone name nothing.
    """
    if not find.replace(",", "").strip():
        raise InputError("There is nothing to find.", "Write what to look for, e.g. cat, dog.")
    if description:
        return " ".join(find.splitlines()) if "\n" in find else find
    if not _BREAKS.search(find):
        return find
    things = (thing.strip().strip(",\uff0c").strip() for thing in _BREAKS.split(find))
    return ", ".join(filter(None, things))


def point_tasks() -> tuple[Task, ...]:
    """The menu of what points are asked for."""
    return (*tasks_in("ground_points"), *tasks_in("spatial_points"))


def point_task(title: str | None) -> Task:
    """What points are asked for: a title of the menu, the first one without a choice.

    Raises:
        InputError: no such title.
    """
    if title is None:
        return point_tasks()[0]
    chosen = next((t for t in point_tasks() if t.title == title), None)
    if chosen is None:
        raise InputError(f"Points of {title!r} cannot be asked for.", "Choose from the menu.")
    return chosen


def prompt_3d(find: str, find_by: str) -> tuple[Task, str]:
    """The task and the words that ask for 3D boxes: of a category, of several, or of one thing.

    Raises:
        InputError: nothing to find.
    """
    find = check_find(find, find_by == DESCRIPTION)
    names = [name.strip() for name in find.replace("\uff0c", ",").split(",") if name.strip()]
    if find_by == DESCRIPTION:
        chosen, things = task("ground_3d_phrase"), find
    elif len(names) > 1:
        chosen, things = task("ground_3d_several"), ", ".join(names)
    else:
        chosen, things = task("ground_3d"), find
    return chosen, chosen.fill(things=things)
