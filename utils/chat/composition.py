"""Builds requests out of pictures and words, the same way for every node that asks."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..images.picture import Clip, Picture
from .messages import Message
from .options import GenerationOptions
from .requests import Request
from .tasks import Task, tasks_in

# The two ways to treat a batch. Stored in workflows: append only.
EACH, TOGETHER = "one answer per image", "one answer about all images"
MAX_SEED = 0xFFFF_FFFF_FFFF_FFFF
# In place of a preset: the user's own words alone. Stored in workflows.
CUSTOM = "Custom prompt"


def requests_for(
    pictures: Sequence[Picture],
    prompt: str,
    *,
    together: bool = False,
    system_prompt: str = "",
    options: GenerationOptions | None = None,
    task: Task | None = None,
    seed: int = 0,
) -> list[Request]:
    """One request for each picture, seeded `seed`, `seed + 1`, ...; or one about all of them.

    Without pictures, one request of text alone.
    """
    groups = [tuple(pictures)] if together or not pictures else [(p,) for p in pictures]
    chosen = options or GenerationOptions()
    if task is not None:
        chosen = chosen.filled_from(task.options)
    return [
        Request(
            messages_for(group, prompt, system_prompt),
            chosen,
            seed=(seed + number) & MAX_SEED,
            number_pictures=len(group) > 1,
        )
        for number, group in enumerate(groups)
    ]


def messages_for(
    pictures: Sequence[Picture | Clip], prompt: str, system_prompt: str = ""
) -> tuple[Message, ...]:
    """The system message, if any, and the user's: pictures first, then the words."""
    user = Message("user", (*pictures, prompt))
    if not system_prompt.strip():
        return (user,)
    return (Message("system", (system_prompt.strip(),)), user)


def caption_presets() -> list[str]:
    """The menu of caption presets."""
    return [*(task.title for task in tasks_in("caption")), CUSTOM]


def caption_prompt(preset: str, instructions: str) -> tuple[Task | None, str]:
    """The preset's task, if it is one, and the words to ask: its prompt, then the user's.

    Raises:
        InputError: an unknown preset, or the custom one without words.
    """
    own = instructions.strip()
    task = next((t for t in tasks_in("caption") if t.title == preset), None)
    if task is not None:
        return task, f"{task.fill()} {own}".strip()
    if preset != CUSTOM:
        raise InputError(f"There is no preset {preset!r}.", "Choose one from the menu.")
    if not own:
        raise InputError("The custom prompt is empty.", "Write instructions, or choose a preset.")
    return None, own
