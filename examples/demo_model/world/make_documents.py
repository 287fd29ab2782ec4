"""Draws the example document: python -m world.make_documents writes two_pages.pdf."""

from __future__ import annotations

import random
from pathlib import Path

from world.pages import random_page

SEEDS = (2000207, 2000242)
SIZE_WH = (595, 760)
FOLDER = Path(__file__).resolve().parents[2] / "documents"


def main() -> None:
    """Write the PDF: a page for each seed, one pixel a point."""
    first, *rest = [random_page(random.Random(seed), SIZE_WH).draw() for seed in SEEDS]
    FOLDER.mkdir(exist_ok=True)
    first.save(FOLDER / "two_pages.pdf", save_all=True, append_images=rest, quality=92)


if __name__ == "__main__":
    main()
