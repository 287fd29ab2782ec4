"""Our boxes, points, segments and masks through the real nodes of other packs.

    python tests/soak/neighbours.py http://127.0.0.1:8188

wants a running ComfyUI with this pack and the neighbours in `custom_nodes/`: Impact Pack, KJNodes.
A node that is not there is said and left out. Nothing here needs a model: a text is parsed into
two boxes and a point of a picture of 200 x 100, and what each node makes of them is compared with
what was meant. Exits with 1 where a node reads something else.

What was seen with Impact Pack of October 2024 (its detector package left out), KJNodes of August
2026 and ComfyUI 0.33.0: all of the below right.
SAM2's node reads `BBOX` as a list for each image of [x1, y1, x2, y2], which is what Boxes to SAM2
gives, and uses the last image's; it was read, not run, as it needs a model.
"""

from __future__ import annotations

import io
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

TEXT = json.dumps([
    {"bbox_2d": [100, 200, 300, 400], "label": "cat"},
    {"bbox_2d": [500, 500, 900, 1000], "label": "dog"},
    {"point_2d": [250, 500], "label": "eye"},
])  # fmt: skip
CAT, DOG = (20, 20, 60, 40), (100, 50, 180, 100)  # left, top, right, bottom
WIDTH, HEIGHT = 200, 100
BOXES, POINTS, IMAGE = ["parse", 0], ["coordinates", 0], ["picture", 0]


class ComfyUI:
    """The server at `url`."""

    def __init__(self, url: str):
        self._url = url.rstrip("/")
        self.info = self._json("/object_info")

    def _json(self, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 - an address of the user's own
            self._url + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def node(self, name: str, **inputs: Any) -> dict[str, Any]:
        """A node of a prompt, its form's own values where nothing is said."""
        own = {}
        for key, spec in self.info[name]["input"].get("required", {}).items():
            kind, more = (*spec, {})[:2]
            options = kind if isinstance(kind, list) else more.get("options", [])
            own[key] = more.get("default", options[0] if options else None)
        return {
            "class_type": name,
            "inputs": {k: v for k, v in (own | inputs).items() if v is not None},
        }

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a prompt.

        Raises:
            RuntimeError: it failed, with the node's words.
        """
        number = self._json("/prompt", {"prompt": prompt})["prompt_id"]
        while number not in (history := self._json(f"/history/{number}")):
            time.sleep(0.05)
        for kind, said in history[number]["status"]["messages"]:
            if kind == "execution_error":
                raise RuntimeError(f"{said['node_type']}: {said['exception_message'].strip()}")
        return history[number]["outputs"]

    def picture(self, entry: dict[str, str]) -> np.ndarray:
        """A preview's pixels, [height, width]."""
        place = "&".join(f"{key}={entry[key]}" for key in ("filename", "subfolder", "type"))
        with urllib.request.urlopen(f"{self._url}/view?{place}", timeout=60) as answer:  # noqa: S310
            return np.asarray(Image.open(io.BytesIO(answer.read())).convert("L"))


def base(at: ComfyUI) -> dict[str, Any]:
    """A grey picture, and what the text says of it."""
    return {
        "picture": at.node("EmptyImage", width=WIDTH, height=HEIGHT, color=0x202020),
        "parse": at.node("Qwen3VLParseDetections", text=TEXT, image=IMAGE),
        "coordinates": at.node("PreviewAny", source=["parse", 2]),
        "segs": at.node("Qwen3VLBoxesToSEGS", boxes=BOXES, image=IMAGE),
        "sam2": at.node("Qwen3VLBoxesToSAM2", boxes=BOXES, image=IMAGE),
        "mask": at.node("Qwen3VLBoxesToMask", boxes=BOXES, image=IMAGE),
        "pick": at.node("Qwen3VLPickBox", boxes=BOXES),
    }


def edges(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is lit."""
    rows, columns = np.nonzero(pixels > 127)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def lit(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with these boxes."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


SEGS = {"segs": ["segs", 0]}
# (what, node, inputs, which output, what it must be): a mask, a text, or the sizes of pictures.
CASES: list[tuple[str, str, dict[str, Any], int, Any]] = [
    ("the whole mask", "SegsToCombinedMask", SEGS, 0, lit(CAT, DOG)),
    ("how many", "ImpactCount_Elts_in_SEGS", SEGS, 0, "2"),
    ("not empty", "ImpactIsNotEmptySEGS", SEGS, 0, "True"),
    ("one label", "ImpactSEGSLabelFilter", SEGS | {"labels": "cat"}, 0, lit(CAT)),
    ("the other label", "ImpactSEGSLabelFilter", SEGS | {"labels": "cat"}, 1, lit(DOG)),
    ("the largest", "ImpactSEGSOrderedFilter", SEGS | {"take_count": 1}, 0, lit(DOG)),
    ("by size", "ImpactSEGSRangeFilter", SEGS | {"min_value": 10_000, "max_value": 1 << 26}, 0,
     lit(DOG)),
    ("by number", "ImpactSEGSPicker", SEGS | {"picks": "1", "fallback_image_opt": IMAGE}, 0,
     lit(CAT)),
    ("joined", "ImpactSEGSConcat", {"segs1": ["segs", 0]}, 0, lit(CAT, DOG)),
    ("within a mask", "ImpactSegsAndMask", SEGS | {"mask": ["mask", 0]}, 0, lit(CAT, DOG)),
    ("without pictures", "RemoveImageFromSEGS", SEGS, 0, lit(CAT, DOG)),
    ("with a picture", "SetDefaultImageForSEGS", SEGS | {"image": IMAGE, "override": True}, 0,
     lit(CAT, DOG)),
    ("a mask as segments", "MaskToSEGS", {"mask": ["mask", 0], "crop_factor": 1.0}, 0,
     lit(CAT, DOG)),
    ("a box by number, nested", "BboxToInt", {"bboxes": BOXES, "index": 1}, 0, "100"),
    ("its width", "BboxToInt", {"bboxes": BOXES, "index": 1}, 2, "80"),
    ("a box of ours as core's", "BBOXToBoundingBoxKJ",
     {"bbox": ["sam2", 0], "bbox_format": "xyxy", "index": 0}, 0,
     {"x": 20, "y": 20, "width": 40, "height": 20}),
    ("boxes parted", "SplitBboxes", {"bboxes": BOXES, "index": 1}, 1, [[100, 50, 80, 50]]),
    ("a circle at the point", "CreateShapeMaskOnPath",
     {"shape": "circle", "coordinates": ["parse", 2], "frame_width": WIDTH, "frame_height": HEIGHT,
      "shape_width": 20, "shape_height": 20}, 0, "around 50, 50"),
    ("core draws them", "DrawBBoxes", {"bboxes": BOXES, "image": IMAGE}, 0, (WIDTH, HEIGHT)),
    ("core cuts all out", "CropByBBoxes", {"bboxes": BOXES, "image": IMAGE}, 0, None),
    ("core cuts one out", "ImageCropV2", {"crop_region": ["pick", 0], "image": IMAGE}, 0, (40, 20)),
    ("core's layout", "CreateBoundingBoxes",
     {"width": WIDTH, "height": HEIGHT, "bboxes": BOXES, "editor_state": {"__value__": []}}, 1,
     None),
]  # fmt: skip


def shown(
    at: ComfyUI, node: dict[str, Any], output: int
) -> tuple[dict[str, Any], Callable[[dict], Any]]:
    """The nodes that show an output, and what reads them."""
    kind = at.info[node["class_type"]]["output"][output]
    seen: dict[str, Any] = {"it": node}
    place: list[Any] = ["it", output]
    if kind == "SEGS":
        seen["whole"] = at.node("SegsToCombinedMask", segs=place)
        kind, place = "MASK", ["whole", 0]
    if kind == "MASK":
        seen["image"] = at.node("MaskToImage", mask=place)
        kind, place = "IMAGE", ["image", 0]
    if kind == "IMAGE":
        seen["end"] = at.node("PreviewImage", images=place)
        return seen, lambda outputs: [at.picture(one) for one in outputs["end"]["images"]]
    seen["end"] = at.node("PreviewAny", source=place)
    return seen, lambda outputs: outputs["end"]["text"][0]


def fits(found: Any, wanted: Any) -> bool:
    """Whether a node read what was meant."""
    if wanted is None:
        return True
    if isinstance(wanted, np.ndarray):
        return len(found) == 1 and bool(np.array_equal(found[0] > 127, wanted))
    if isinstance(wanted, tuple):
        return found[0].shape[::-1] == wanted
    if wanted == "around 50, 50":
        left, top, right, bottom = edges(found[0])
        return abs((left + right) / 2 - 50) <= 1 and abs((top + bottom) / 2 - 50) <= 1
    return found == wanted if isinstance(wanted, str) else json.loads(found) == wanted


def main() -> None:
    at = ComfyUI(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8188")
    wrong = 0
    for what, name, inputs, output, wanted in CASES:
        if name not in at.info:
            print(f"left out  {name}: not there ({what})")
            continue
        seen, read = shown(at, at.node(name, **inputs), output)
        try:
            found = read(at.run(base(at) | seen))
            good = fits(found, wanted)
        except (RuntimeError, KeyError, urllib.error.HTTPError) as error:
            found, good = error, False
        wrong += not good
        said = "" if good else f" -> {str(found)[:300]}"
        print(f"{'right' if good else 'WRONG':9} {name}: {what}{said}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
