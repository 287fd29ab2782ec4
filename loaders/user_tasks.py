"""The tasks of the menus: the pack's own with the user's file laid over them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..utils.chat.tasks import Task, all_tasks, merged, read_tasks
from ..utils.errors import InputError
from .host.port import host

log = logging.getLogger(__name__)

FILE = "qwen3vl_tasks.yaml"
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class KnownTasks:
    """Tasks by id; `problem` is why the user's are missing."""

    tasks: Mapping[str, Task]
    problem: InputError | None = None


def known_tasks() -> KnownTasks:
    """Ours, and those of `qwen3vl_tasks.yaml` in ComfyUI's user folder as it is now.

    A file that cannot be read costs no menu: it is logged, and said when a task of it is missing.
    """
    path = host().user_folder() / FILE
    try:
        facts = path.stat()
    except OSError:
        return KnownTasks(all_tasks())
    return _read(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _read(path: Path, size: int, changed: int) -> KnownTasks:
    try:
        if not path.is_file() or size > MAX_BYTES:
            raise InputError(
                f"{FILE} is no ordinary file of at most {MAX_BYTES:,} bytes.", "Replace it."
            )
        users = read_tasks(path.read_text(encoding="utf-8"), FILE)
        return KnownTasks(merged(all_tasks(), users, FILE))
    except (OSError, UnicodeDecodeError) as error:
        problem = InputError(f"{FILE} cannot be read ({error}).", "Save it as UTF-8 text.")
    except InputError as error:
        problem = error
    log.warning("%s", problem)
    return KnownTasks(all_tasks(), problem)
