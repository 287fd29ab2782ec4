"""What each visual token covers: extra truth that teaches the vision tower directly.

A caption tells the tower little per picture; the object or letters under every 32x32 cell tell it
much. The heads that learn this are thrown away after training.
"""

from __future__ import annotations

import string

import numpy as np

from world.letters import CUTS, advance
from world.nouns import COLOURS, SHAPES, SIZES
from world.printed import Line
from world.scenes import Thing

LETTERS = string.ascii_letters + string.digits + string.punctuation
SLOTS = 8  # letters told apart in one cell, in reading order
# Columns of a cell: colour, shape, size (0 = none, -1 = not told), box in 0-1000, then the letters.
OBJECT, BOX, TEXT = slice(0, 3), slice(3, 7), slice(7, 7 + SLOTS)
COLUMNS = 7 + SLOTS
CLASSES = (len(COLOURS) + 1, len(SHAPES) + 1, len(SIZES) + 1)


def untold(grid_wh: tuple[int, int], column: slice | None = None) -> np.ndarray:
    """Cells [rows, columns, COLUMNS] that cover nothing; the columns of `column` are not told."""
    cells = np.zeros((grid_wh[1] // 32, grid_wh[0] // 32, COLUMNS), np.int16)
    cells[..., BOX] = -1
    if column is not None:
        cells[..., column] = -1
    return cells


def of_things(boxed: list[tuple[Thing, tuple]], size_wh, grid_wh) -> np.ndarray:
    """Cells of a picture of shapes; `boxed`: each thing with its box in pixels."""
    cells = untold(grid_wh)
    rows, columns = cells.shape[:2]
    for thing, box in sorted(boxed, key=lambda pair: -pair[0].area):
        x1, y1, x2, y2 = (v / size_wh[k % 2] for k, v in enumerate(box))
        values = [
            _number(COLOURS, thing.colour),
            _number(SHAPES, thing.shape),
            _number(SIZES, thing.size),
            *(round(v * 1000) for v in (x1, y1, x2, y2)),
        ]
        # The cells whose middle the box covers, and always the one under its own middle.
        left, right = round(x1 * columns), round(x2 * columns)
        top, bottom = round(y1 * rows), round(y2 * rows)
        middle_x, middle_y = int((x1 + x2) / 2 * columns), int((y1 + y2) / 2 * rows)
        cells[top:bottom, left:right, :7] = values
        cells[min(middle_y, rows - 1), min(middle_x, columns - 1), :7] = values
    return cells


def _number(names, name: str) -> int:
    return 1 + list(names).index(name)


def of_lines(lines: list[Line], size_wh, grid_wh) -> np.ndarray:
    """Cells of a picture of print: the letters whose middles lie in each."""
    cells = untold(grid_wh, OBJECT)
    rows, columns = cells.shape[:2]
    used = np.zeros((rows, columns), np.int16)
    for line in lines:
        x1, y1, x2, y2 = line.box
        row = min(rows - 1, int((y1 + y2) / 2 / size_wh[1] * rows))
        ends = np.cumsum([advance(c, CUTS[line.cut][0]) for c in line.text])
        middles = (ends - np.diff(ends, prepend=0) / 2) / ends[-1]
        for letter, share in zip(line.text, middles, strict=False):
            column = min(columns - 1, int((x1 + share * (x2 - x1)) / size_wh[0] * columns))
            slot = used[row, column]
            if letter != " " and slot < SLOTS:
                cells[row, column, 7 + slot] = 1 + LETTERS.index(letter)
                used[row, column] += 1
    return cells
