"""What a picture of a document shows: blocks in reading order, with their places and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..detection.boxes import Box, Detection, Detections
from .tables import Table

LayoutKind = Literal[
    "title", "heading", "paragraph", "list item", "table", "image", "chart", "formula", "code",
    "caption", "quote", "header", "footer", "footnote", "music", "chemistry", "rule",
]  # fmt: skip
# What is cut out of a page as a picture.
PICTURES: tuple[LayoutKind, ...] = ("image", "chart", "music", "chemistry")


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a page.

    Args:
        text: what it says, without markup.
        markdown: how it is written in Markdown, safe to show.
        box: where it is, None where the answer did not say.
        level: 1 to 6 of a heading, the depth of a list item from 0.
        caption: of a picture or table, where the answer has one.
        complete: False for a last block whose end was missing.
    """

    kind: LayoutKind
    text: str = ""
    markdown: str = ""
    box: Box | None = None
    level: int = 0
    table: Table | None = None
    caption: str = ""
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of one picture of `width` x `height` pixels, in the order of the answer.

    `html`: the page as HTML without places, safe to show; empty where the answer was Markdown.
    `truncated`: the answer was cut off. `repaired`: it had another form than was asked for.
    `notes` has a sentence for each value that was changed or left out.
    """

    width: int
    height: int
    blocks: tuple[Block, ...] = ()
    html: str = ""
    truncated: bool = False
    repaired: bool = False
    notes: tuple[str, ...] = ()

    @property
    def tables(self) -> list[Table]:
        """Every table, in order."""
        return [block.table for block in self.blocks if block.table is not None]

    @property
    def pictures(self) -> list[tuple[Block, Box]]:
        """Every picture, chart, score or structure that has a place, with it."""
        return [(b, b.box) for b in self.blocks if b.kind in PICTURES and b.box is not None]

    @property
    def text(self) -> str:
        """What the page says, without markup, a block a paragraph."""
        return "\n\n".join(block.text for block in self.blocks if block.text)

    def to_markdown(self) -> str:
        """The page as Markdown without places; items of a list stand on lines of their own."""
        return _joined((block, block.markdown) for block in self.blocks)

    def to_detections(self) -> Detections:
        """The blocks that have a place, labelled by their kind, their text as an attribute."""
        items = []
        for block in self.blocks:
            if block.box is not None:
                words = {"text": block.text} if block.text else {}
                words |= {"caption": block.caption} if block.caption else {}
                items.append(Detection(block.kind, block.box, words))
        return Detections(
            self.width, self.height, tuple(items), self.truncated, self.repaired, self.notes
        )


def _joined(parts: Iterable[tuple[Block, str]]) -> str:
    text, before = "", None
    for block, part in parts:
        if part:
            close = before == block.kind == "list item"
            text += ("\n" if close else "\n\n") * bool(text) + part
            before = block.kind
    return text
