"""Builds requests out of pictures and words, the same way for every node that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import InputError
from ..images.picture import Clip, Picture
from .generation_options import GenerationOptions
from .messages import Message
from .placeholders import placed
from .requests import Request
from .tasks import Task, tasks_in

# The two ways to treat a batch. Stored in workflows: append only.
EACH, TOGETHER = "one answer per image", "one answer about all images"
MAX_SEED = 0xFFFF_FFFF_FFFF_FFFF
# In place of a preset: the user's own words alone. Stored in workflows.
CUSTOM = "Custom prompt"
# When pictures are numbered for the model. Stored in workflows: append only.
SEVERAL, ALWAYS, NEVER = "where there are several", "always", "never"
VISION_IDS = (SEVERAL, ALWAYS, NEVER)


def requests_for(
    pictures: Sequence[Picture],
    prompt: str,
    *,
    together: bool = False,
    system_prompt: str = "",
    options: GenerationOptions | None = None,
    task: Task | None = None,
    seed: int = 0,
    vision_ids: str = SEVERAL,
) -> list[Request]:
    """One request for each picture, seeded `seed`, `seed + 1`, ...; or one about all of them.

    Without pictures, one request of text alone. `{image1}` in the prompt is the first picture of
    its request; `vision_ids` says when pictures are numbered.

    Raises:
        InputError: the prompt names a picture that is not there.
    """
    groups = [tuple(pictures)] if together or not pictures else [(p,) for p in pictures]
    chosen = options or GenerationOptions()
    if task is not None:
        chosen = chosen.filled_from(task.options)
        system_prompt = system_prompt.strip() or task.system
    return [
        Request(
            messages_for(group, with_json(prompt, chosen), system_prompt),
            chosen,
            seed=(seed + number) & MAX_SEED,
            number_pictures=numbers_pictures(vision_ids, len(group)),
        )
        for number, group in enumerate(groups)
    ]


def messages_for(
    pictures: Sequence[Picture | Clip], prompt: str, system_prompt: str = ""
) -> tuple[Message, ...]:
    """The system message, if any, and the user's: pictures first, or where the words name them."""
    user = Message("user", placed(prompt, pictures))
    if not system_prompt.strip():
        return (user,)
    return (Message("system", (system_prompt.strip(),)), user)


def caption_presets(tasks: Mapping[str, Task] | None = None, refining: bool = False) -> list[str]:
    """The menu of caption presets, of the pack or of `tasks`; with `refining`, also those that
    rewrite what is written already.
    """
    more = [task.title for task in tasks_in("refine", tasks)] if refining else []
    return [*(task.title for task in tasks_in("caption", tasks)), CUSTOM, *more]


def caption_prompt(
    preset: str,
    instructions: str,
    tasks: Mapping[str, Task] | None = None,
    context: str = "",
) -> tuple[Task | None, str]:
    """The preset's task, if it is one, and the words to ask: its prompt, then the user's.

    Args:
        preset: a title of the menu.
        instructions: the user's words.
        tasks: those of the menu, where it has more than the pack's.
        context: what is written about the picture already.

    Raises:
        InputError: an unknown preset, the custom one without words, or one that rewrites and is
            given nothing to rewrite.
    """
    own = instructions.strip()
    for task in tasks_in("refine", tasks):
        if task.title == preset:
            return task, f"{task.fill(context=context)} {own}".strip()
    known = context_of(context)
    task = next((t for t in tasks_in("caption", tasks) if t.title == preset), None)
    if task is not None:
        return task, f"{known}{task.fill()} {own}".strip()
    if preset != CUSTOM:
        raise InputError(f"There is no preset {preset!r}.", "Choose one from the menu.")
    if not own:
        raise InputError("The custom prompt is empty.", "Write instructions, or choose a preset.")
    return None, f"{known}{own}"


def context_of(context: str) -> str:
    """What is said first of what is known of a picture; empty without any."""
    (task,) = tasks_in("context")
    return f"{task.fill(context=context)}\n" if context.strip() else ""


def numbers_pictures(vision_ids: str, count: int) -> bool:
    """Whether so many pictures are numbered."""
    return vision_ids == ALWAYS or (vision_ids != NEVER and count > 1)


def with_json(prompt: str, options: GenerationOptions) -> str:
    """The prompt, and that the answer is to be JSON where the options want that."""
    if options.json_schema is None:
        return prompt
    schema = options.json_schema.strip()
    fits = f" that fits this JSON schema: {schema}" if schema not in ("", "{}") else ""
    return f"{prompt}\nAnswer with one JSON value{fits}, and nothing else."
