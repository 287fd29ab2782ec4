"""The example workflows can be read as they open: nothing lies on anything, no note is blank."""

import json
from itertools import combinations

import pytest
from templates import TEMPLATES

TITLE = 30  # LiteGraph draws a node's title above its position
GAP = 15  # room for the frame of a node with an error and for the badge above a title


def nodes_of(name):
    return json.loads(TEMPLATES[name].read_text("utf-8"))["nodes"]


def rectangle(node):
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE, x + width, y + height


def gap(a, b):
    """Pixels between two rectangles across or down, whichever is more; negative: they overlap."""
    return max(max(a[axis], b[axis]) - min(a[axis + 2], b[axis + 2]) for axis in (0, 1))


def test_the_gap_is_negative_for_an_overlap():
    assert gap((0, 0, 10, 10), (5, 5, 20, 20)) == -5
    assert gap((0, 0, 10, 10), (5, 12, 20, 20)) == 2
    assert gap((30, 0, 40, 10), (5, 0, 20, 20)) == 10


@pytest.mark.parametrize("name", TEMPLATES)
def test_nodes_lie_apart(name):
    close = [
        (one["type"], other["type"], gap(rectangle(one), rectangle(other)))
        for one, other in combinations(nodes_of(name), 2)
        if gap(rectangle(one), rectangle(other)) < GAP
    ]
    assert not close


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_note_has_no_inline_code(name):
    """Nodes 2.0 draws it blue on blue, which nobody can read; bold is readable in both."""
    notes = [node for node in nodes_of(name) if node["type"] == "MarkdownNote"]
    assert notes
    assert not any("`" in text for node in notes for text in node["widgets_values"])


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_note_says_it_in_chinese_too(name):
    """ComfyUI translates the titles of its own templates alone, and no note."""
    (note,) = (node for node in nodes_of(name) if node["type"] == "MarkdownNote")
    english, chinese = note["widgets_values"][0].split("\n\n---\n\n")
    assert english.isascii()
    assert chinese.startswith("**") and not chinese.isascii()
