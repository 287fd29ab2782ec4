"""How a question is put: the pack's own prompt from tasks.yaml, or a wording typed anyhow."""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

TASKS_FILE = Path(__file__).resolve().parents[3] / "utils" / "chat" / "tasks.yaml"


@functools.cache
def preset(task_id: str) -> str | None:
    """The pack's own prompt for a task, fields left in braces; None where it has none."""
    import yaml

    entries = yaml.safe_load(TASKS_FILE.read_text(encoding="utf-8")) if TASKS_FILE.exists() else {}
    return entries.get(task_id, {}).get("prompt")


def ask(rng: random.Random, wordings: tuple[str, ...], *values: str, preset_id: str = "") -> str:
    """One wording of a task with its values filled in; the pack's own prompt in half the cases."""
    own = preset(preset_id) if preset_id else None
    if own and rng.random() < 0.5:
        names = dict(zip(dict.fromkeys(re.findall(r"\{(\w+)\}", own)), values, strict=False))
        return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], own)
    if rng.random() < 0.35:
        return wordings[0].format(*values)
    return vary(rng, rng.choice(wordings).format(*values))


def vary(rng: random.Random, text: str) -> str:
    """The same request as hasty or polite people type it."""
    if rng.random() < 0.6 or "qwenvl" in text.lower():
        return text
    if rng.random() < 0.4:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.4:
        text = text.rstrip(".?")
    if rng.random() < 0.15:
        text = "Please " + text[0].lower() + text[1:]
    return text
