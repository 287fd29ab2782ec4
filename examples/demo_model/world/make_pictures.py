"""Draw the pictures of examples/images and examples/videos: python -m world.make_pictures."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from world import clips, pages, printed, scenes

EXAMPLES = Path(__file__).resolve().parents[2]
IMAGES, VIDEOS = EXAMPLES / "images", EXAMPLES / "videos"
# name -> (seed, size, number of things); chosen so that a reader can check a caption at a glance.
SHAPES = {
    "one_thing": (2000100, (320, 240), 1),
    "two_things": (2000102, (384, 288), 2),
    "three_things": (2000104, (320, 320), 3),
    "four_things": (2000224, (480, 320), 4),
    "five_things": (2000230, (480, 480), 5),
    "wide": (2000233, (640, 320), 3),
    "tall": (2000237, (256, 448), 3),
}
PRINT = {
    "words": (2000113, (416, 256), 2),
    "sign": (2000337, (320, 160), 1),
    "notes": (2000293, (448, 320), 4),
}


def pictures() -> dict[str, scenes.Scene | printed.Print | pages.Page]:
    """Every still picture by name: its scene, print or page."""
    made: dict[str, scenes.Scene | printed.Print | pages.Page] = {
        name: scenes.random_scene(random.Random(seed), size, count)
        for name, (seed, size, count) in SHAPES.items()
    }
    made |= {
        name: printed.random_print(random.Random(seed), size, count)
        for name, (seed, size, count) in PRINT.items()
    }
    made["card"] = printed.random_card(random.Random(2000132), (416, 288))
    made["window"] = printed.random_window(random.Random(2000110), (480, 320))
    made["page"] = pages.random_page(random.Random(2000180), (512, 640))
    return made


def films() -> dict[str, clips.Clip]:
    """Every clip by name; chosen so that a reader can check what happens when."""
    return {
        "coming_and_going": clips.random_clip(random.Random(2000105), (224, 160), 6.0),
        "square_and_cross": clips.random_clip(random.Random(2000402), (256, 192), 8.0),
    }


def write_clip(made: clips.Clip, path: Path) -> None:
    """An H.264 file at the clip's own frame rate."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=clips.SOURCE_FPS)
        stream.width, stream.height = made.size_wh
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        for index in range(made.total_frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(made.frame(index)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Write every picture and clip."""
    for folder in (IMAGES, VIDEOS):
        folder.mkdir(parents=True, exist_ok=True)
    for name, scene in pictures().items():
        scene.draw().save(IMAGES / f"{name}.png", optimize=True)
    for name, clip in films().items():
        write_clip(clip, VIDEOS / f"{name}.mp4")


if __name__ == "__main__":
    main()
