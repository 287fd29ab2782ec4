"""Makes the pictures of the template browser: python examples/scripts/make_thumbnails.py [names].

Each template runs on a real ComfyUI as it is shipped; what is shown are its own pictures and the
demo's own answers. Four are not made here, for the demo cannot run them: `caption_on_server` and
`prompt_enhancer`, which show their nodes, `detect_3d_overlay` and `zoom`.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from hosting import ROOT, Server, error_of, find_comfyui
from PIL import Image, ImageDraw, ImageFont, ImageOps
from templates import TEMPLATES

EXAMPLES = ROOT / "examples"
SIZE_WH = (512, 384)
DARK, BRIGHT = (36, 37, 41), (225, 232, 225)
MARGIN = 10
QUALITY = 88
# The nodes whose pictures are shown, those whose texts are, and how: pictures above the text, or
# beside a long one.
CARDS = {
    "just_caption": ("2", "3", "above"),
    "caption_image": ("2", "3", "above"),
    "compare_pictures": ("2 3", "4", "above"),
    "chat": ("2 3", "6", "above"),
    "caption_folder": ("", "2", "above"),
    "folder_pieces": ("", "", "sheet"),
    "detect_and_draw": ("5", "", "above"),
    "detect_crop_caption": ("5", "6", "above"),
    "detect_mask_inpaint": ("3 13", "", "above"),
    "detect_to_sam3_masks": ("8", "", "above"),
    "point_to_sam3": ("8", "", "above"),
    "parse_text": ("5 7", "", "above"),
    "read_text": ("4", "3", "above"),
    "extract_fields": ("2", "3", "above"),
    "document_pdf": ("4", "3", "beside"),
    "document_folder": ("documents", "2", "beside"),
    "picture_to_code": ("2", "3", "beside"),
    "gui_action": ("4", "3", "above"),
    "video_describe": ("film", "4 5", "above"),
    "video_events": ("7", "4", "above"),
}


class Run:
    """One run of a prompt, and what its nodes showed."""

    def __init__(self, server: Server, prompt: dict[str, Any]):
        self._url = server.url
        entry = server.run(prompt)
        if error := error_of(entry):
            raise SystemExit(f"It failed: {error}")
        self._outputs = entry["outputs"]

    def texts(self, nodes: str) -> str:
        """What the nodes wrote, a chat turn by turn."""
        found = []
        for node in nodes.split():
            shown = self._outputs[node]
            turns = [turn["text"].split("] ")[-1] for turn in shown.get("chat", [])]
            found += turns or shown["text"]
        return "\n".join(found)

    def written(self, node: str) -> str:
        """The texts that a folder's node wrote, and its ledger."""
        shown = self._outputs[node]
        return "\n".join([*(one["text"] for one in shown["captions"]), shown["text"][0]])

    def pictures(self, nodes: str) -> list[Image.Image]:
        """What the nodes showed, in their order."""
        return [picture for node in nodes.split() for picture in self._images(node)]

    def _images(self, node: str) -> list[Image.Image]:
        made = []
        for place in self._outputs[node]["images"]:
            query = urllib.parse.urlencode(place)
            with urllib.request.urlopen(f"{self._url}/view?{query}") as answer:  # noqa: S310
                made.append(Image.open(io.BytesIO(answer.read())).convert("RGB"))
        return made


def card(name: str, server: Server) -> Image.Image:
    """The picture of one template."""
    nodes, texts, how = CARDS[name]
    prompt = json.loads((EXAMPLES / "api" / f"{name}.json").read_text("utf-8"))
    if how == "sheet":  # caption_folder has captioned the same folder before it
        prompt["2"]["inputs"]["only_without_caption"] = False
    run = Run(server, prompt)
    if how == "sheet":
        return sheet_of_captions(server, prompt["4"]["inputs"])
    if nodes == "film":
        clip = prompt["2"]["inputs"]["clip"]
        pictures = frames_of(clip)[::16]
    elif nodes == "documents":
        pictures = [first_page()]
    elif nodes:
        pictures = run.pictures(nodes)
    else:
        files = sorted((EXAMPLES / "images").glob("*_thing*.png"))
        pictures = [Image.open(file).convert("RGB") for file in files]
    said = run.written(texts) if nodes == "documents" else run.texts(texts)
    return (beside if how == "beside" else above)(pictures[:6], said)


def above(pictures: list[Image.Image], text: str) -> Image.Image:
    """The pictures in one or two rows, the end of the text below them."""
    made = Image.new("RGB", SIZE_WH, DARK)
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(17)
    lines = wrapped(draw, font, text, SIZE_WH[0] - 2 * MARGIN)[-6:]
    height = SIZE_WH[1] - MARGIN - (22 * len(lines) + 2 * MARGIN if lines else 0)
    rows = 1 if len(pictures) < 4 else 2
    columns = -(-len(pictures) // rows)
    tile = ((SIZE_WH[0] - MARGIN) // columns - MARGIN, (height - MARGIN) // rows)
    for number, picture in enumerate(pictures):
        small = ImageOps.contain(picture, tile, Image.Resampling.LANCZOS)
        left = MARGIN + (tile[0] + MARGIN) * (number % columns) + (tile[0] - small.width) // 2
        top = MARGIN + (tile[1] + 4) * (number // columns) + (tile[1] - small.height) // 2
        made.paste(small, (left, top))
    for number, line in enumerate(lines):
        draw.text((MARGIN, height + MARGIN + 22 * number), line, BRIGHT, font)
    return made


def beside(pictures: list[Image.Image], text: str) -> Image.Image:
    """The text on the left, the first picture on the right."""
    made = Image.new("RGB", SIZE_WH, DARK)
    picture = ImageOps.contain(pictures[0], (250, SIZE_WH[1] - 2 * MARGIN))
    made.paste(picture, (SIZE_WH[0] - picture.width - MARGIN, MARGIN))
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(13)
    for number, line in enumerate(wrapped(draw, font, text, SIZE_WH[0] - picture.width - 30)):
        draw.text((MARGIN, MARGIN + 17 * number), line, BRIGHT, font)
    return made


def wrapped(draw: ImageDraw.ImageDraw, font: Any, text: str, width: int) -> list[str]:
    """The text in lines that fit."""
    lines = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            if line and draw.textlength(f"{line} {word}", font) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return lines


def sheet_of_captions(server: Server, saved: dict[str, Any]) -> Image.Image:
    """Caption Review of what a template has saved."""
    inputs = {
        "folder": saved["folder"], "recursive": False, "place": saved["place"], "first": 0,
        "count": 6, "columns": 3, "include": "*_thing*, tall.png",
    }  # fmt: skip
    review = Run(server, {"1": {"class_type": "Qwen3VLCaptionReview", "inputs": inputs}})
    return ImageOps.contain(review.pictures("1")[0], (768, 768), Image.Resampling.LANCZOS)


def first_page() -> Image.Image:
    """Of the example document."""
    import pypdfium2

    with pypdfium2.PdfDocument(EXAMPLES / "documents" / "two_pages.pdf") as document:
        return document[0].render().to_pil().convert("RGB")


def frames_of(name: str) -> list[Image.Image]:
    """Every frame of an example clip."""
    import av

    with av.open(str(EXAMPLES / "videos" / name)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def main() -> None:
    """Write the pictures beside their templates."""
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("No ComfyUI was found. Set COMFYUI_PATH to a checkout.")
    names = sys.argv[1:] or list(CARDS)
    with tempfile.TemporaryDirectory() as folder, Server(comfyui, Path(folder)) as server:
        for name in names:
            picture = TEMPLATES[name].with_suffix(".jpg")
            card(name, server).save(picture, quality=QUALITY, optimize=True)
            print(name)


if __name__ == "__main__":
    main()
