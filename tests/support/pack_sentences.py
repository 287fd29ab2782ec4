"""The sentences that the pack says, out of its source: `{}` is what differs from run to run."""

import ast
import builtins
import re
from itertools import chain

from qwen3vl_pack import ROOT

ROOMS = ("nodes", "loaders", "utils")
# A pattern of fewer words fits anything and is left out.
FEWEST_WORDS = 2


def trees():
    files = chain.from_iterable((ROOT / room).rglob("*.py") for room in ROOMS)
    return [ast.parse(path.read_text("utf-8")) for path in sorted(files)]


def pattern(node, known):
    """The text of an expression; `{}` for what only a run knows."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            pattern(one, known) if isinstance(one, ast.Constant) else "{}" for one in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return pattern(node.left, known) + pattern(node.right, known)
    return known.get(node.id, "{}") if isinstance(node, ast.Name) else "{}"


def names_in(tree):
    """Texts that a module gives a name and then uses."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = pattern(node.value, {})
    return found


def errors():
    """(problem, remedy) of every error that is made with both in its place."""
    found = []
    for tree in trees():
        known = names_in(tree)
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or len(call.args) < 2:
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name.endswith("Error") and not hasattr(builtins, name):
                found.append((pattern(call.args[0], known), pattern(call.args[1], known)))
    return found


def says_something(sentence):
    return len(re.findall(r"[A-Za-z]{2,}", sentence)) >= FEWEST_WORDS


def texts():
    """Every string of the source, as a pattern."""
    nodes = chain.from_iterable(map(ast.walk, trees()))
    kinds = (ast.Constant, ast.JoinedStr, ast.BinOp)
    return {pattern(node, {}) for node in nodes if isinstance(node, kinds)}
