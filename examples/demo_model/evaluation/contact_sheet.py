"""The demo's answers about unseen scenes on one sheet: python -m evaluation.contact_sheet.

Twelve pictures with the caption or the words that the model reads, and the boxes that it finds.
To check by eye.
"""

from __future__ import annotations

import random
import sys

import numpy as np
from checkpoint.checkpoint_files import DEMO_MODEL
from PIL import Image, ImageDraw, ImageFont
from world import printed, scenes

SHEET = DEMO_MODEL / "contact_sheet.jpg"
CELL_WH, ROOM, COLUMNS = (340, 300), 84, 4
SEED = 3_000_000
BOXES = (
    'locate every instance that belongs to the following categories: "object". '
    "Report bbox coordinates in JSON format."
)
LINES = (
    "Spotting all the text in the image with line-level, and output in JSON format as "
    "[{'bbox_2d': [x1, y1, x2, y2], 'text_content': 'text'}, ...]."
)


def unseen() -> list[tuple[Image.Image, str, str]]:
    """(picture, question for words, question for boxes) of twelve scenes."""
    made = []
    for number in range(12):
        rng = random.Random(SEED + number)
        if number < 8:
            scene = scenes.random_scene(rng, scenes.random_size(rng, 200, 480))
            made.append((scene.draw(), "Describe this image in one sentence.", BOXES))
        else:
            make = printed.random_card if number == 11 else printed.random_print
            made.append((make(rng, (400, 300)).draw(), "Read all the text in the image.", LINES))
    return made


def main() -> None:
    """Ask, draw, save."""
    sys.path.insert(0, str(DEMO_MODEL.parents[1] / "tests"))
    from qwen3vl_pack import load_pack

    load_pack()
    from qwen3vl_nodes.loaders.hub.official import DEMO_NAME
    from qwen3vl_nodes.loaders.local_model import LocalModel
    from qwen3vl_nodes.loaders.settings import LoadSettings
    from qwen3vl_nodes.utils.chat import messages
    from qwen3vl_nodes.utils.drawing.annotate import draw_detections
    from qwen3vl_nodes.utils.parsing.detections import parse_detections

    options = messages.GenerationOptions(temperature=0.0, presence_penalty=0.0, max_new_tokens=400)
    cells = unseen()
    asked = [
        messages.Request(
            (messages.Message("user", (messages.Picture(np.asarray(p)), words)),), options
        )
        for p, *questions in cells
        for words in questions
    ]
    answers: dict[int, str] = {}
    with LocalModel(LoadSettings(model=DEMO_NAME)).open() as engine:
        for index, reply in engine.generate(iter(asked)):
            if isinstance(reply, Exception):
                raise reply
            answers[index] = reply.text
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL_WH[0], rows * (CELL_WH[1] + ROOM)), "white")
    for number, (picture, *_) in enumerate(cells):
        shown = messages.Picture(np.asarray(picture))
        found = parse_detections(answers[2 * number + 1], *picture.size)
        drawn = Image.fromarray(draw_detections(shown, found).pixels)
        corner = (number % COLUMNS * CELL_WH[0], number // COLUMNS * (CELL_WH[1] + ROOM))
        _place(sheet, drawn, answers[2 * number], corner)
    sheet.save(SHEET, quality=88)
    print(SHEET)


def _place(sheet: Image.Image, picture: Image.Image, words: str, corner: tuple[int, int]) -> None:
    picture.thumbnail((CELL_WH[0] - 10, CELL_WH[1] - 10))
    sheet.paste(picture, (corner[0] + 5, corner[1] + 5))
    lines = [""]
    for word in words.replace("\n", " / ").split():
        if len(lines[-1]) + len(word) > 52:
            lines.append("")
        lines[-1] += word + " "
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.multiline_text((corner[0] + 5, corner[1] + CELL_WH[1]), "\n".join(lines[:5]), "black", font)


if __name__ == "__main__":
    main()
