"""Texts that try to slow a reader down or to break it, and a deterministic fuzzer."""

import random
from collections.abc import Iterator

ITEM = '{"bbox_2d": [123, 456, 789, 999], "label": "person", "color": "red"}, '
PIECES = [
    "[", "]", "{", "}", ",", ":", '"', "'", "\\", "\n", " ", "```", "```json\n", "<think>",
    "</think>", "bbox_2d", '"bbox_2d": ', '"point_2d": ', '"label": ', '"cat"', "'dog'", "null",
    "NaN", "1e999", "-", ".", "0", "7", "999", "[1, 2, 3, 4]",
    '{"bbox_2d": [1, 2, 3, 4], "label": "a"}',
    "\u201c", "\u201d", "\uff1a", "\uff0c", "//", "\ud800", "\x00", "猫", "{'a': 1}", "bbox_3d",
    '"bbox_3d": [0, 0, 2, 1, 1, 1, 0, 0, 0]', "\\u12", "\\ud83d", "true", "...", "<|im_end|>",
]  # fmt: skip

# Markup that is slow to read, of about 200,000 characters.
SLOW_MARKUP = {
    "open divs": "<div>" * 100_000,
    "attributes": "<p " + " ".join(f"a{n}=b" for n in range(60_000)) + ">",
    "places": '<p data-bbox="' + "1 " * 100_000 + '">x</p>',
    "paragraphs": "<p>" * 60_000,
    "emphasis and paragraphs": "<b><i><u>" * 60 + "<p>" * 60_000,
    "tables": "<table><tr><td>" * 20_000,
    "open comments": "<!--" * 50_000,
    "spaces in comments": "<!-- " + " " * 200_000,
    "tabulars": "\\begin{tabular}{c}" * 12_000,
    "rows": "\\begin{tabular}{c}" + "x\\\\" * 60_000,
    "multirows": "\\begin{tabular}{c}" + "\\multirow{9999}{*}{x} & " * 900 + "\\\\" * 400,
    "braces": "\\begin{tabular}{c}" + "{" * 200_000,
    "multicolumns": "\\begin{tabular}{c}" + "\\multicolumn{2}{c}{" * 12_000,
    "dollars": "$" * 200_000,
    "formulas": "\\begin{tabular}{c}" + "\\(" * 100_000,
    "pipes": "|" * 200_000 + "\n|-|",
    "pipe rules": "a|b\n" + "-" * 100_000 + " " * 100_000 + "x|",
    "headings": "# " + " #" * 100_000 + "x",
    "spaces": "x" + " " * 200_000 + "x",
    "list marks": "- " * 100_000,
    "fences": "```\n" * 50_000,
    "fences and tables": "```python\n\\begin{tabular}{c}x\\end{tabular}\n```\n" * 4000,
    "picture links": "![" * 100_000,
    "links": "[x](" * 50_000,
    "quotes": '<p x="' * 30_000,
    "entities": "&#x" * 60_000,
    "page marks": "<!-- Page 1 -->\n" * 12_000,
    "backticks": "`" * 200_000,
}

# Pieces that are slow to read as events when they are repeated.
SLOW_EVENTS = {
    "spans": "00:01 - 00:02 ",
    "spans on lines": "00:01 - 00:02\n",
    "digits": "1",
    "colons": "1:",
    "spaces": " ",
    "dashes": "- ",
    "brackets": "<[(",
    "items": '{"start": 1, "end": 2, "text": "A"},',
    "open items": '{"start": ',
    "quotes": '"\\',
    "lines": "\n",
    "bullets": "* 1. (",
}

# Pieces that are slow to read as calls when they are repeated.
SLOW_CALLS = [
    "<tool_call>{", "x</tool_call>{", '<tool_call>"</tool_call>', "Thought: a\n",
    '<tool_call>{"a":"</tool_call>', "Action: a\nAction Input: ", "<function=a><parameter=b>",
    '{"name":"a","arguments":{', '{"name":"a","arguments":1}', "<tool_call>{}{}{}", "Action: a\n",
]  # fmt: skip


def slow_texts(size: int) -> dict[str, str]:
    """Texts of about `size` characters, each aimed at another way to be slow."""
    items = ITEM * (size // len(ITEM))
    repeated = {
        "openers after prose": "x [",
        "objects opened": '{"a":',
        "empty lists": "[],",
        "lists in a list": "[[],",
        "short objects": '{"a":1}',
        "objects of numbers": "{a:[1,1,2,2]}",
        "objects of a place": '{"x":1,"y":2}',
        "keys without an end": '{"a":"',
        "broken objects": "{'a\": 1} ",
        "quotes": '"',
        "list and quote": '["',
        "list and apostrophe": "['",
        "backslashes": "\\",
        "openers and spaces": "[ ",
        "apostrophes and spaces": "'          ",
        "fences": "```\n",
        "fences with lists": "```[\n",
        "backticks": "`",
        "words": "{a",
        "nested numbers": "[[[[[1,2],[3]]]]],",
        "comments": "[//",
        "minus": "[-",
        "spaces": " ",
        "closers": "]}",
        "colons": ":",
    }
    texts = {name: piece * (size // len(piece)) for name, piece in repeated.items()}
    for name, start in (("list", "["), ("object", '{"'), ("string", '["'), ("numbers", "[1,")):
        for piece in ("1,", "a,", "1 ", "\\", " ", '"a",', ":", "}", '"a":1,', "'"):
            texts[f"{name} then {piece}"] = start + piece * (size // len(piece))
    texts["several long lists"] = ("[" + "1," * 90_000 + "1x] ") * max(1, size // 180_000)
    texts["deep behind closers"] = "[" * 60 + "}" * size
    texts["good"] = f"[{items}1]"
    texts["good in prose"] = f"Here: [{items}1] ok"
    texts["good but cut off"] = "[" + items
    texts["single quotes"] = ("[" + items).replace('"', "'") + "1]"
    return texts


def fuzzed(count: int, seed: int, answers: list[str]) -> Iterator[str]:
    """Random mixtures of JSON pieces, and answers with random damage; the same every time."""
    dice = random.Random(seed)
    for number in range(count):
        if number % 2:
            yield "".join(dice.choices(PIECES, k=dice.randint(1, 40)))
            continue
        text = list(dice.choice(answers))
        for _ in range(dice.randint(1, 6)):
            place = dice.randrange(len(text) + 1)
            action = dice.randrange(3)
            if action == 0:
                text.insert(place, dice.choice(PIECES))
            elif action == 1:
                del text[place : place + dice.randint(1, 5)]
            else:
                text[place:place] = text[: dice.randint(0, 30)]
        yield "".join(text)
