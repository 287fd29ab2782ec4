"""Chats about printed text: reading, spotting, key-value cards, pages and buttons."""

from __future__ import annotations

import json
import random

from world.pages import Page
from world.printed import FIELDS, Line, Print

from talks import answers
from talks import wordings as say
from talks.lesson import Talk, one
from talks.phrasing import ask


def _text_items(lines: tuple[Line, ...], size_wh) -> list[dict]:
    return [
        {"bbox_2d": answers.scaled_box(line.box, size_wh), "text_content": line.text}
        for line in lines
    ]


def reading(rng: random.Random, picture: Print) -> list[Talk]:
    """Plain reading in two wordings and spotting."""
    text = answers.text_lines(picture.lines)
    spotted = answers.fenced_items(_text_items(picture.lines, picture.size_wh))
    talks = [
        one("ocr", ask(rng, say.READ, preset_id=rng.choice(("read_text", "read_plain"))), text),
        one("spotting", ask(rng, say.SPOT, preset_id="read_lines"), spotted),
    ]
    if rng.random() < 0.3:
        talks.append(_caption(rng, answers.print_caption(picture)))
    return talks


def _caption(rng: random.Random, text: str) -> Talk:
    return one("caption_text", ask(rng, say.SHORT, preset_id="caption_short"), text)


def card(rng: random.Random, picture: Print) -> list[Talk]:
    """Key-value extraction in the asked order, single fields, and reading; a missing key is ""."""
    given = dict(picture.fields)
    keys = rng.sample(list(given), rng.randint(1, len(given)))
    if rng.random() < 0.25:
        keys.insert(rng.randint(0, len(keys)), rng.choice([k for k in FIELDS if k not in given]))
    pattern = json.dumps(dict.fromkeys(keys, ""))
    talks = [
        one(
            "key_values",
            ask(rng, say.KEY_VALUES, pattern, preset_id="read_fields"),
            answers.fenced_fields({k: given.get(k, "") for k in keys}),
        )
    ]
    key, value = rng.choice(picture.fields)
    talks.append(one("field", ask(rng, say.FIELD, key), f"{value}"))
    return talks + reading(rng, picture)[: rng.randint(0, 2)]


def page(rng: random.Random, picture: Page) -> list[Talk]:
    """The two document prompts, and now and then a caption and plain reading."""
    talks = [
        one(
            "markdown",
            ask(rng, say.MARKDOWN, preset_id="document_markdown"),
            answers.markdown(picture),
        ),
        one("html", ask(rng, say.HTML, preset_id="document_html"), answers.html(picture)),
    ]
    if rng.random() < 0.3:
        talks.append(_caption(rng, answers.page_caption(picture)))
    lines = [line for block in picture.blocks if block.kind != "table" for line in block.lines]
    if rng.random() < 0.25 and not any(b.kind == "table" for b in picture.blocks):
        talks.append(one("ocr", ask(rng, say.READ), answers.text_lines(lines)))
    return talks
