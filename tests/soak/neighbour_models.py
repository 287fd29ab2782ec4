"""Our boxes, points and segments in neighbours' nodes that want a model: SAM3, SAM2, a Detailer.

    python tests/soak/random_models.py COMFYUI MODELS SAM2_PACK
    python tests/soak/neighbour_models.py http://127.0.0.1:8188

on a running ComfyUI that has Impact Pack, KJNodes, the SAM2 pack and those random models. What a
random model answers means nothing; but a box of ours must give it what the same box gives when it
is typed into core's own node, another box must give something else (or the model hears nothing),
and a Detailer may change pixels only where our segments are. Exits with 1 where one does not.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from neighbours import BOXES, CAT, DOG, HEIGHT, IMAGE, WIDTH, ComfyUI, base

COORDINATES = ["parse", 2]
TYPED_POINT, OTHER_POINT = '[{"x": 50, "y": 50}]', '[{"x": 150, "y": 20}]'
TYPED_BOX = '[{"startX": 20, "startY": 20, "endX": 60, "endY": 40}]'
OTHER_BOX = '[{"startX":5,"startY":60,"endX":30,"endY":90}]'


def sides(box: tuple[int, int, int, int]) -> dict[str, int]:
    left, top, right, bottom = box
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def models(at: ComfyUI) -> dict[str, Any]:
    """A picture with something on it, what is found there, and the random models."""
    points = {"coordinates": TYPED_POINT, "neg_coordinates": "[]", "points_store": "{}",
              "bbox_store": "{}", "bbox_format": "xyxy", "width": WIDTH, "height": HEIGHT,
              "normalize": False}  # fmt: skip
    return base(at) | {
        "photo": at.node("Qwen3VLExamplePicture", picture="four_things.png"),
        "picture": at.node("ImageScale", image=["photo", 0], width=WIDTH, height=HEIGHT),
        "sam3": at.node("UNETLoader", unet_name="random_sam3.safetensors"),
        "sam2model": at.node(
            "DownloadAndLoadSAM2Model", model="sam2.1_hiera_tiny.safetensors",
            segmentor="single_image", device="cpu", precision="fp32",
        ),
        "unet": at.node("UNETLoader", unet_name="random_unet.safetensors"),
        "clip": at.node("CLIPLoader", clip_name="random_clip.safetensors", type="stable_diffusion"),
        "vae": at.node("VAELoader", vae_name="random_vae.safetensors"),
        "words": at.node("CLIPTextEncode", clip=["clip", 0], text="a star"),
        "sam2one": at.node("Qwen3VLBoxesToSAM2", boxes=["pick", 0], image=IMAGE),
        "cat": at.node("PrimitiveBoundingBox", **sides(CAT)),
        "dog": at.node("PrimitiveBoundingBox", **sides(DOG)),
        "typed": at.node("PointsEditor", **points, bboxes=TYPED_BOX),
        "elsewhere": at.node("PointsEditor", **points, bboxes=OTHER_BOX),
    }  # fmt: skip


def shown(at: ComfyUI, node: str, output: int = 0, **inputs: Any) -> list[np.ndarray]:
    """The pictures or masks that a node makes behind the models."""
    kind = at.info[node]["output"][output]
    seen = models(at) | {"it": at.node(node, **inputs), "end": at.node("PreviewImage")}
    place: list[Any] = ["it", output]
    if kind == "MASK":
        seen["image"] = at.node("MaskToImage", mask=place)
        place = ["image", 0]
    seen["end"]["inputs"]["images"] = place
    return [at.picture(one) for one in at.run(seen)["end"]["images"]]


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def sam3(at: ComfyUI) -> dict[str, bool]:
    """Core's SAM3 Detect."""

    def asked(**inputs: Any) -> list[np.ndarray]:
        return shown(at, "SAM3_Detect", model=["sam3", 0], image=IMAGE,
                     refine_iterations=1, individual_masks=True, **inputs)  # fmt: skip

    cat, dog = asked(bboxes=["cat", 0]), asked(bboxes=["dog", 0])
    point = asked(positive_coords=COORDINATES)
    return {
        "SAM3 hears which box": not same(cat, dog),
        "SAM3: boxes found are boxes typed, in order": same(asked(bboxes=BOXES), cat + dog),
        "SAM3: a box picked is the box typed": same(asked(bboxes=["pick", 0]), cat),
        "SAM3 hears which point": not same(point, asked(positive_coords=OTHER_POINT)),
        "SAM3: a point found is the point typed": same(point, asked(positive_coords=TYPED_POINT)),
    }


def sam2(at: ComfyUI) -> dict[str, bool]:
    """The SAM2 pack's segmentation."""

    def asked(**inputs: Any) -> list[np.ndarray]:
        return shown(at, "Sam2Segmentation", sam2_model=["sam2model", 0], image=IMAGE,
                     **inputs)  # fmt: skip

    # Of several boxes it makes one mask of nine, of one box the best of three: one is compared.
    box, point = asked(bboxes=["sam2one", 0]), asked(coordinates_positive=COORDINATES)
    return {
        "SAM2 takes several boxes": len(asked(bboxes=["sam2", 0])) == 1,
        "SAM2 hears which box": not same(box, asked(bboxes=["elsewhere", 2])),
        "SAM2: a box found is the box typed": same(box, asked(bboxes=["typed", 2])),
        "SAM2 hears which point": not same(point, asked(coordinates_positive=OTHER_POINT)),
        "SAM2: a point found is the point typed": same(
            point, asked(coordinates_positive=TYPED_POINT)
        ),
    }


def detailer(at: ComfyUI) -> dict[str, bool]:
    """Impact Pack's Detailer, with its sampler."""
    before = shown(at, "ImageScale", image=["photo", 0], width=WIDTH, height=HEIGHT)[0]
    after = shown(
        at, "DetailerForEach", image=IMAGE, segs=["segs", 0], model=["unet", 0],
        clip=["clip", 0], vae=["vae", 0], positive=["words", 0], negative=["words", 0],
        guide_size=64, max_size=64, steps=1, cfg=1.0, denoise=1.0, feather=0, wildcard="",
    )[0]  # fmt: skip
    changed = before.astype(int) != after
    inside = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, right, bottom in (CAT, DOG):
        inside[top:bottom, left:right] = True
    return {
        "Detailer: outside our segments nothing is changed": not changed[~inside].any(),
        "Detailer: each of them is": all(
            changed[top:bottom, left:right].mean() > 0.5 for left, top, right, bottom in (CAT, DOG)
        ),
    }


def main() -> None:
    at = ComfyUI(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8188")
    wrong = 0
    for neighbour in (detailer, sam2, sam3):
        for what, right in neighbour(at).items():
            print("right" if right else "WRONG", "", what, flush=True)
            wrong += not right
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
