"""Makes the template pictures of the box and point workflows: python examples/make_thumbnails.py.

`python examples/make_thumbnails.py reading` makes those of the reading workflows alone.

Each workflow runs on a real ComfyUI, with the demo checkpoint, on a picture that is drawn here;
the boxes, points and captions shown are the model's own answers. Nodes that need other weights
are left out: where SAM3 or an inpainting model would go on, the picture shows what it is given.
`folder_pieces.jpg` is Caption Review's sheet of the captions that the workflow wrote.
`detect_3d_overlay.jpg` is not made here, for the demo knows no 3D, nor are the screenshots of the
caption workflows.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from hosting import ROOT, Server, error_of, find_comfyui
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFont, ImageOps

EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES / "demo_model"))

from shapes import outline, paint  # noqa: E402
from world import COLOURS  # noqa: E402

SIZE_WH = (512, 384)
GROUND = (198, 182, 208)
DARK = (36, 37, 41)
# colour, shape, middle, side, degrees; far enough apart that no crop shows a neighbour
THINGS = (
    ("green", "circle", (88, 200), 132, 0),
    ("red", "heart", (240, 96), 128, -3),
    ("orange", "star", (264, 290), 132, 5),
    ("cyan", "star", (424, 180), 136, -4),
)
QUALITY = 90
SHEET_WIDTH = 768


def picture() -> Image.Image:
    """What all the workflows are shown."""
    drawn = Image.new("RGB", SIZE_WH, GROUND)
    for colour, shape, middle, side, degrees in THINGS:
        paint(drawn, outline(shape, middle, side, degrees), COLOURS[colour])
    return drawn


class Runner:
    """Runs example workflows, as far as they go without other weights."""

    def __init__(self, server: Server, image: str):
        self._server, self._image = server, image

    def __call__(
        self, name: str, keep: str, more: dict[str, Any] | None = None, text: str = ""
    ) -> dict[str, Any]:
        """Outputs of the workflow's nodes `keep` (a digit each) and of the nodes `more`."""
        prompt = json.loads((EXAMPLES / "api" / f"{name}.json").read_text("utf-8"))
        prompt = {node: prompt[node] for node in keep} | (more or {})
        prompt["2"]["inputs"]["image"] = self._image
        if text:
            prompt["1"]["inputs"]["value"] = text
        entry = self._server.run(prompt)
        if error := error_of(entry):
            raise SystemExit(f"{name} failed: {error}")
        return entry["outputs"]

    def images(self, output: dict[str, Any]) -> list[Image.Image]:
        """The pictures that a node shows."""
        made = []
        for place in output["images"]:
            query = urllib.parse.urlencode(place)
            with urllib.request.urlopen(f"{self._server.url}/view?{query}") as answer:  # noqa: S310
                made.append(Image.open(io.BytesIO(answer.read())).convert("RGB"))
        return made


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node of a prompt."""
    return {"class_type": class_type, "inputs": inputs}


def with_captions(shown: Image.Image, crops: list[Image.Image], texts: list[str]) -> Image.Image:
    """The overlay above, and below it each crop with its caption."""
    made = Image.new("RGB", SIZE_WH, DARK)
    above = shown.resize((272, 204), Image.Resampling.LANCZOS)
    made.paste(above, ((SIZE_WH[0] - above.width) // 2, 8))
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(12)
    step = (SIZE_WH[0] - 8) // len(crops)
    for number, (crop, text) in enumerate(zip(crops, texts, strict=True)):
        side = min(step - 8, 118)
        left = 8 + number * step
        made.paste(crop.resize((side, side), Image.Resampling.LANCZOS), (left, 222))
        words, line = text.split(), ""
        top = 222 + side + 6
        for word in [*words, ""]:
            if not word or draw.textlength(f"{line} {word}", font) > step - 4:
                draw.text((left, top), line, (235, 235, 235), font)
                line, top = word, top + 16
            else:
                line = f"{line} {word}".strip()
    return made


def thumbnails(run: Runner) -> dict[str, Image.Image]:
    """Name of the workflow → its picture."""
    made = {}
    mask_of_boxes = {
        "mask": node(
            "Qwen3VLBoxesToMask", boxes=["3", 1], image=["2", 0], mode="union", shape="box"
        ),
        "shown": node("MaskPreview", mask=["mask", 0]),
    }  # fmt: skip
    out = run("detect_and_draw", "12345")
    made["detect_and_draw"] = run.images(out["5"])[0]
    answer = out["3"]["text"][0]

    out = run("detect_crop_caption", "123456")
    overlay = run.images(out["3"])[0]
    made["detect_crop_caption"] = with_captions(overlay, run.images(out["5"]), out["6"]["text"])

    out = run("detect_mask_inpaint", "1234", {"shown": node("MaskPreview", mask=["4", 0])})
    mask = run.images(out["shown"])[0].convert("L")
    drawn = lines_of(overlay)
    white = Image.new("RGB", SIZE_WH, (240, 240, 240))
    covered = Image.composite(white, picture(), mask.point(lambda value: value * 4 // 5))
    made["detect_mask_inpaint"] = Image.composite(overlay, covered, drawn)

    out = run("detect_to_sam3_masks", "123", mask_of_boxes)
    mask = run.images(out["shown"])[0].convert("L")
    dark = ImageEnhance.Brightness(picture()).enhance(0.25)
    made["detect_to_sam3_masks"] = Image.composite(overlay, dark, ImageChops.lighter(mask, drawn))

    out = run("point_to_sam3", "123")
    made["point_to_sam3"] = run.images(out["3"])[0]

    out = run("parse_text", "12345", text=answer)
    made["parse_text"] = beside(answer, run.images(out["5"])[0])
    return made


def sheet_of_captions(server: Server) -> Image.Image:
    """Caption Review of what the workflow `folder_pieces` makes of the example pictures."""
    prompt = json.loads((EXAMPLES / "api" / "folder_pieces.json").read_text("utf-8"))
    review = node(
        "Qwen3VLCaptionReview", folder=prompt["4"]["inputs"]["folder"], recursive=False,
        place=prompt["4"]["inputs"]["place"], first=0, count=6, columns=3,
        include="*_thing*, tall.png",
    )  # fmt: skip
    for one in (prompt, {"4": review}):
        entry = server.run(one)
        if error := error_of(entry):
            raise SystemExit(f"folder_pieces failed: {error}")
    (sheet,) = Runner(server, "").images(entry["outputs"]["4"])
    size_wh = (SHEET_WIDTH, round(sheet.height * SHEET_WIDTH / sheet.width))
    return sheet.resize(size_wh, Image.Resampling.LANCZOS)


def of_films(server: Server) -> dict[str, Image.Image]:
    """What the film workflows show: answers below frames, events above the boxes on frames."""
    run, outputs = Runner(server, ""), {}
    for name in ("video_describe", "video_events"):
        prompt = json.loads((EXAMPLES / "api" / f"{name}.json").read_text("utf-8"))
        entry = server.run(prompt)
        if error := error_of(entry):
            raise SystemExit(f"{name} failed: {error}")
        outputs[name] = entry["outputs"]
    (sheet,) = run.images(outputs["video_events"]["5"])
    frames = run.images(outputs["video_events"]["7"])
    film = [frame for k, frame in enumerate(frames_of("square_and_cross")) if k % 8 == 0]
    texts = [outputs["video_describe"][node]["text"][0] for node in ("4", "5")]
    return {
        "video_describe": over(film, ["Describe", "", texts[0], "", "At second 4", "", texts[1]]),
        "video_events": over(frames[::2], [], sheet),
    }


def frames_of(name: str) -> list[Image.Image]:
    """Every frame of an example film."""
    import av

    with av.open(str(EXAMPLES / "videos" / f"{name}.mp4")) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def over(
    frames: list[Image.Image], texts: list[str], sheet: Image.Image | None = None
) -> Image.Image:
    """Frames in two rows, and below them texts or the sheet."""
    made = Image.new("RGB", SIZE_WH, DARK)
    width = (SIZE_WH[0] - 8) // 4
    for number, frame in enumerate(frames[:8]):
        small = frame.resize((width - 8, (width - 8) * frame.height // frame.width))
        made.paste(small, (8 + number % 4 * width, 8 + number // 4 * (small.height + 8)))
    if sheet is not None:
        below = sheet.resize((SIZE_WH[0] - 16, (SIZE_WH[0] - 16) * sheet.height // sheet.width))
        made.paste(below, (8, 210))
    draw, font, top = ImageDraw.Draw(made), ImageFont.load_default(14), 214
    for text in texts:
        line = ""
        for word in [*text.split(), ""]:
            if not word or draw.textlength(f"{line} {word}", font) > SIZE_WH[0] - 24:
                draw.text((12, top), line, (235, 235, 235), font)
                line, top = word, top + 18
            else:
                line = f"{line} {word}".strip()
        top -= 0 if text else 8
    return made


def of_reading(server: Server) -> dict[str, Image.Image]:
    """Read Text, Document, Extract and Code on what the pack brings for them."""
    made = {}
    out = Runner(server, "images/words.png")("read_text", "1234")
    (shown,) = Runner(server, "").images(out["4"])
    made["read_text"] = beside(out["3"]["text"][0], shown)

    out = Runner(server, "images/card.png")("extract_fields", "1234")
    values = json.dumps(json.loads(out["3"]["text"][0]), indent=1)
    made["extract_fields"] = beside(values, Image.open(EXAMPLES / "images" / "card.png"))

    out = Runner(server, "images/page.png")("picture_to_code", "123")
    page = Image.open(EXAMPLES / "images" / "page.png")
    made["picture_to_code"] = beside(out["3"]["text"][0], page)

    prompt = json.loads((EXAMPLES / "api" / "document_pdf.json").read_text("utf-8"))
    entry = server.run(prompt)
    if error := error_of(entry):
        raise SystemExit(f"document_pdf failed: {error}")
    made["document_pdf"] = beside("\n\n".join(entry["outputs"]["3"]["text"]), first_page())
    return made


def first_page() -> Image.Image:
    """The first page of the example document."""
    import pypdfium2

    document = pypdfium2.PdfDocument(EXAMPLES / "documents" / "two_pages.pdf")
    return document[0].render(scale=1).to_pil().convert("RGB")


def lines_of(overlay: Image.Image) -> Image.Image:
    """A mask of the boxes' lines and labels."""
    apart = ImageChops.difference(overlay, picture()).convert("L")
    return apart.point(lambda value: 255 * (value > 8))


def beside(text: str, shown: Image.Image) -> Image.Image:
    """The text on the left, what was read from it on the right."""
    made = Image.new("RGB", SIZE_WH, DARK)
    right = ImageOps.contain(shown.convert("RGB"), (272, SIZE_WH[1] - 24))
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(11)
    lines = []
    for line in text.expandtabs(1).splitlines():
        lines += line.replace(', "label"', ',\n     "label"').splitlines() or [""]
    top = max(10, (SIZE_WH[1] - 16 * len(lines)) // 2)
    for number, line in enumerate(lines):
        draw.text((10, top + 16 * number), line, (210, 225, 210), font)
    made.paste(right, (SIZE_WH[0] - right.width - 8, (SIZE_WH[1] - right.height) // 2))
    return made


def main() -> None:
    """Write the pictures beside their workflows."""
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("No ComfyUI was found. Set COMFYUI_PATH to a checkout.")
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "input"
        pictures.mkdir()
        picture().save(pictures / "shapes.png")
        shutil.copytree(EXAMPLES / "images", pictures / "images")
        for film in (EXAMPLES / "videos").iterdir():
            shutil.copy(film, pictures)
        shutil.copy(EXAMPLES / "documents" / "two_pages.pdf", pictures)
        with Server(comfyui, Path(folder), input_folder=pictures) as server:
            made_of = of_reading(server)
            if "reading" not in sys.argv[1:]:
                made_of |= thumbnails(Runner(server, "shapes.png"))
                made_of |= {"folder_pieces": sheet_of_captions(server)} | of_films(server)
            for name, made in made_of.items():
                made.save(EXAMPLES / f"{name}.jpg", quality=QUALITY, optimize=True)
                print(name)


if __name__ == "__main__":
    main()
