"""One word, one meaning: a class, or a constant that travels, has its name to itself."""

import ast
from collections import defaultdict

from room_graph import modules, name_of

# A socket is called as what it carries, and always said with its module: `sockets.Box`.
SOCKETS = "nodes.forms.sockets"


def defined(tree):
    """(name, whether it is a class) of all that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, True
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Name):
                    yield one.id, False


def imported(trees):
    """Every name that a module of the house takes from another one."""
    return {
        alias.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }


def said_twice(trees):
    """Public names with two definitions, where one is a class or is imported anywhere."""
    places, classes = defaultdict(list), set()
    for module, tree in trees.items():
        for name, is_class in defined(tree) if module != SOCKETS else ():
            places[name].append(module)
            classes |= {name} if is_class else set()
    travel = classes | imported(trees.values())
    return {
        name: found
        for name, found in places.items()
        if len(found) > 1 and name in travel and not name.startswith("_")
    }


def test_a_name_is_defined_once():
    trees = {name_of(path): ast.parse(path.read_text("utf-8")) for path in modules()}
    assert len(trees) > 100
    assert said_twice(trees) == {}


def test_the_check_sees_a_second_meaning():
    trees = {
        "one": ast.parse("LIMIT = 1\nOWN = 2\nclass Box: ...\nclass _Reader: ..."),
        "other": ast.parse("A, LIMIT = 1, 2\nOWN = 3\nclass Box: ...\nclass _Reader: ..."),
        "third": ast.parse("from .one import LIMIT"),
    }
    assert said_twice(trees) == {"LIMIT": ["one", "other"], "Box": ["one", "other"]}
