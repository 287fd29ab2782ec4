"""Simple document pages: title, paragraph, figure and table, with the box of every block."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from world import backgrounds
from world.letters import ink, random_cut
from world.nouns import SHAPES, random_number, random_word
from world.printed import Line, print_line, set_line
from world.scenes import jittered, visible_colours
from world.shapes import Box, outline, paint


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a page: kind is title, paragraph, figure or table; boxes are in pixels."""

    kind: str
    box: Box
    lines: tuple[Line, ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()
    ruling: tuple[Box, ...] = ()
    figure: tuple | None = None  # (ground rgb, outline points, shape rgb)

    @property
    def text(self) -> str:
        """The lines as one text."""
        return " ".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Page:
    """Blocks from top to bottom on paper."""

    size_wh: tuple[int, int]
    paper: tuple[int, int, int]
    rgb: tuple[int, int, int]
    blocks: tuple[Block, ...]

    def draw(self) -> Image.Image:
        """The page as a picture."""
        picture = Image.new("RGB", self.size_wh, self.paper)
        pen = ImageDraw.Draw(picture)
        for block in self.blocks:
            for box in block.ruling:
                pen.rectangle(box, outline=self.rgb)
            if block.figure:
                ground, points, rgb = block.figure
                pen.rectangle(block.box, fill=ground)
                paint(picture, list(points), rgb)
            for line in block.lines:
                print_line(picture, line)
        return picture


def random_page(rng: random.Random, size_wh: tuple[int, int]) -> Page:
    """A page with a title and one to three further blocks in any order."""
    width, height = size_wh
    dark = rng.randint(0, 60)
    page = _Setter(
        rng, size_wh, rng.randint(8, max(9, width // 12)), (dark, dark, rng.randint(0, 70))
    )
    kinds = ["paragraph", "figure", "table", "paragraph"]
    rng.shuffle(kinds)
    page.title()
    for kind in kinds[: rng.randint(1, 3)]:
        getattr(page, kind)()
    paper = rng.randint(236, 255), rng.randint(236, 255), rng.randint(236, 255)
    return Page(size_wh, paper, page.rgb, tuple(page.blocks))


class _Setter:
    """Sets blocks one under the other until the page is full."""

    def __init__(self, rng: random.Random, size_wh, margin: int, rgb):
        self.rng, self.size_wh, self.margin, self.rgb = rng, size_wh, margin, rgb
        self.blocks: list[Block] = []
        self.y = margin + rng.randint(0, 10)
        self.body = max(19, round(min(size_wh) * rng.uniform(0.04, 0.055)))
        self.cut = random_cut(rng)

    @property
    def right(self) -> int:
        return self.size_wh[0] - self.margin

    def _add(self, block: Block) -> None:
        if block.box[3] <= self.size_wh[1] - 4:
            self.blocks.append(block)
            self.y = int(block.box[3]) + self.rng.randint(self.body // 2 + 4, 2 * self.body)

    def _line(self, words, height: int, cut: str, y: int, centred: bool = False) -> Line:
        """As many of the words as fit in one line."""
        for k in range(len(words), 0, -1):
            line = set_line(" ".join(words[:k]), height, cut, self.rgb, (self.margin, y))
            if line.box[2] <= self.right:
                shift = int(self.right - line.box[2]) // 2 if centred else 0
                return set_line(line.text, height, cut, self.rgb, (self.margin + shift, y))
        return set_line(words[0][:4], height, cut, self.rgb, (self.margin, y))

    def title(self) -> None:
        words = [random_word(self.rng).capitalize() for _ in range(self.rng.randint(1, 3))]
        height = round(self.body * self.rng.uniform(1.4, 1.9))
        line = self._line(
            words, height, self.rng.choice((self.cut, "bold")), self.y, self.rng.random() < 0.4
        )
        self._add(Block("title", line.box, (line,)))

    def paragraph(self) -> None:
        lines, y = [], self.y
        for k in range(self.rng.randint(1, 2)):
            words = [random_word(self.rng) for _ in range(self.rng.randint(3, 6))]
            if k == 0:
                words[0] = words[0].capitalize()
            lines.append(self._line(words, self.body, self.cut, y))
            y = int(lines[-1].box[3]) + self.body // 2
        last = lines[-1]
        lines[-1] = set_line(last.text + ".", self.body, self.cut, self.rgb, last.corner)
        box = (
            min(line.box[0] for line in lines),
            lines[0].box[1],
            max(line.box[2] for line in lines),
            lines[-1].box[3],
        )
        self._add(Block("paragraph", box, tuple(lines)))

    def figure(self) -> None:
        width = self.rng.randint(self.size_wh[0] // 3, self.size_wh[0] - 2 * self.margin)
        tall = self.rng.randint(self.size_wh[1] // 7, self.size_wh[1] // 4)
        x = self.margin + self.rng.randint(0, self.size_wh[0] - 2 * self.margin - width)
        box = (x, self.y, x + width, self.y + tall)
        ground = backgrounds.near((170, 190, 205), self.rng, 45)
        colour = self.rng.choice(visible_colours((ground,)))
        points = outline(
            self.rng.choice(SHAPES), (x + width / 2, self.y + tall / 2), min(width, tall) * 0.7, 0
        )
        self._add(Block("figure", box, figure=(ground, tuple(points), jittered(self.rng, colour))))

    def table(self) -> None:
        rows, columns = self.rng.randint(2, 3), self.rng.randint(2, 3)
        head = tuple(random_word(self.rng).capitalize() for _ in range(columns))
        body = [
            tuple(
                random_number(self.rng) if self.rng.random() < 0.6 else random_word(self.rng)
                for _ in range(columns)
            )
            for _ in range(rows - 1)
        ]
        cells = (head, *body)
        pad, tall = 7, round(self.body * 1.9)
        widths = [
            max(ink(row[c], self.body, self.cut).width for row in cells) + 2 * pad
            for c in range(columns)
        ]
        if sum(widths) > self.size_wh[0] - 2 * self.margin:
            return
        ruling, lines = [], []
        for r, row in enumerate(cells):
            x = self.margin
            for c, text in enumerate(row):
                top = self.y + r * tall
                ruling.append((x, top, x + widths[c], top + tall))
                mask = ink(text, self.body, self.cut)
                lines.append(
                    set_line(
                        text,
                        self.body,
                        self.cut,
                        self.rgb,
                        (x + pad, top + (tall - mask.height) // 2),
                    )
                )
                x += widths[c]
        box = (self.margin, self.y, self.margin + sum(widths), self.y + rows * tall)
        self._add(Block("table", box, tuple(lines), cells, tuple(ruling)))
