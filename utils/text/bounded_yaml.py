"""Reads a YAML file that somebody else wrote: plain values only, bounded in size and depth."""

from __future__ import annotations

from typing import Any

from ..errors import InputError

MAX_CHARACTERS = 400_000
MAX_DEPTH, MAX_EVENTS = 8, 40_000


def read_mapping(text: str, name: str) -> dict[Any, Any]:
    """The mapping that a YAML text is; an empty text is an empty one.

    Anchors, aliases and tags are refused: the first two can make a small file large, the last
    can name types.

    Raises:
        InputError: naming the file and the line.
    """
    import yaml

    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"{name} has {len(text):,} characters.", f"Keep it below {MAX_CHARACTERS:,}."
        )
    try:
        _check(yaml.parse(text, Loader=yaml.SafeLoader), name)
        found = yaml.load(text, Loader=_strict_loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(
            f"{name} is no YAML: {line}{str(problem)[:200]}.", "Put the line right."
        ) from None
    # Impossible dates and numbers of a hundred thousand digits.
    except (ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{name} is no YAML: {str(error)[:200]}.", "Put it right.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{name} is no list of named entries.", "Begin a line with `name:`.")
    return found


def _check(events: Any, name: str) -> None:
    """Refuse what is too deep, too much, or not plain, before any value is made."""
    import yaml

    depth = 0
    for number, event in enumerate(events):
        line = event.start_mark.line + 1
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if depth > MAX_DEPTH or number > MAX_EVENTS:
            what = "is nested too deep" if depth > MAX_DEPTH else "has too many values"
            raise InputError(f"{name} {what} at line {line}.", "Make it simpler.")
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
            raise InputError(
                f"{name} has an anchor, an alias or a tag at line {line}.",
                "Write the value out.",
            )


def _strict_loader() -> type:
    """A SafeLoader for which a key that comes twice is an error and not the last one's value."""
    import yaml

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            made = super().construct_mapping(node, deep=deep)
            if len(made) != len(node.value):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key that comes twice", node.start_mark
                )
            return made

    return Strict
