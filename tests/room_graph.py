"""The house as a graph: its rooms, the arrows between them, and the floors they need.

`python tests/room_graph.py` prints it; `python tests/room_graph.py modules` for single files.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOUSES = ("nodes", "loaders", "utils")


def modules() -> list[Path]:
    """Every module of the pack's rooms, in order."""
    return sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))


def name_of(path: Path) -> str:
    """`utils/chat/generation_options.py` as `utils.chat.options`; a room's own file as the room."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports_of(path: Path) -> list[tuple[int, str]]:
    """(relative level, dotted name) of every import in a file, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found += [(node.level, f"{base}.{alias.name}".strip(".")) for alias in node.names]
    return found


def arrows(known: dict[str, Path]) -> dict[str, set[str]]:
    """For each module, the modules of the house that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        package = path.relative_to(ROOT).parts[:-1]
        reached = set()
        for level, said in imports_of(path):
            if level:
                whole = ".".join((*package[: len(package) - level + 1], *said.split(".")))
                target = whole if whole in known else whole.rpartition(".")[0]
                if target in known and target != name:
                    reached.add(target)
        found[name] = reached
    return found


def room_of(name: str) -> str:
    """The room that a module lies in; a file beside the rooms is a room of its own."""
    path = ROOT / name.replace(".", "/")
    return name if path.is_dir() else _room_of_file(name)


def _room_of_file(name: str) -> str:
    parent = name.rpartition(".")[0]
    holds_rooms = any(
        child.is_dir() and (child / "__init__.py").exists()
        for child in (ROOT / parent.replace(".", "/")).iterdir()
    )
    return name if holds_rooms else parent


def room_arrows() -> dict[str, set[str]]:
    """For each room, the rooms that it imports."""
    known = {name_of(path): path for path in modules()}
    found: dict[str, set[str]] = defaultdict(set)
    for name, reached in arrows(known).items():
        found[room_of(name)] |= {room_of(one) for one in reached} - {room_of(name)}
    return dict(found)


def floors(graph: dict[str, set[str]]) -> int:
    """How many steps the longest way down takes; a circle counts once."""
    depth: dict[str, int] = {}

    def down(name: str, above: tuple[str, ...]) -> int:
        if name not in depth:
            below = [down(one, (*above, name)) for one in graph.get(name, ()) if one not in above]
            depth[name] = 1 + max(below, default=0)
        return depth[name]

    return max(down(name, ()) for name in graph)


def report(graph: dict[str, set[str]]) -> str:
    """A line for each room with what it imports, and the sums for each house."""
    lines = [f"{name:32} -> {', '.join(sorted(to)) or 'nothing'}" for name, to in graph.items()]
    for house in HOUSES:
        inside = {
            n: {t for t in to if t.startswith(house)}
            for n, to in graph.items()
            if n.startswith(house)
        }
        count = sum(map(len, inside.values()))
        lines.append(f"{house}: {len(inside)} boxes, {count} arrows, {floors(inside)} floors")
    return "\n".join(lines)


if __name__ == "__main__":
    whole = {name_of(path): path for path in modules()}
    print(report(arrows(whole) if "modules" in sys.argv[1:] else room_arrows()))  # noqa: T201
