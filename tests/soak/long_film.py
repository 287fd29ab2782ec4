"""A film of two hours: what is decoded, how long until the first token, and how memory goes.

    python tests/soak/long_film.py --minutes 120 --plot tests/soak/long_film.png

The film is generated: clips of the demo world at 25 frames a second, 640 x 360, H.264 with a key
frame every 10 seconds. It is read by 64, 256 and 768 frames, by its scene changes, and two
minutes of it at 2 frames a second; each clip is then asked about with the demo checkpoint.
Memory is sampled ten times a second while a film of 2 minutes and the whole one are read.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "examples" / "demo_model"),
    str(ROOT / "tests"),
    str(ROOT / "tests/support"),
]

import av
import numpy as np
from PIL import Image, ImageDraw
from qwen3vl_pack import load_pack
from world import clips

load_pack()

from qwen3vl_nodes.utils.video.film import open_film
from qwen3vl_nodes.utils.video.footage import Footage, film_footage
from qwen3vl_nodes.utils.video.frame_budget import FrameBudget
from qwen3vl_nodes.utils.video.moments import FrameChoice

FPS, SIZE_WH = 25, (640, 360)
PIECE_SECONDS, PIECES = 10, 24
PLOT_WH, EDGE = (900, 420), 60
CHOICES = {
    "64 frames": FrameChoice(by="count", count=64),
    "256 frames": FrameChoice(by="count", count=256),
    "768 frames": FrameChoice(by="count", count=768),
    "scene changes": FrameChoice(by="scenes", max_frames=256),
    "2 a second, minutes 60 to 62": FrameChoice(start=3600, end=3720),
}


def write_pieces(folder: Path) -> list[Path]:
    """Clips of the demo world of ten seconds each, one key frame in each."""
    paths = []
    for number in range(PIECES):
        dice = random.Random(5_000_000 + number)
        clip = clips.random_clip(dice, SIZE_WH, PIECE_SECONDS)
        path = folder / f"{number}.mp4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuv420p"
            stream.codec_context.gop_size = FPS * PIECE_SECONDS
            shown: dict[int, np.ndarray] = {}
            for index in range(FPS * PIECE_SECONDS):
                drawn = index * clips.SOURCE_FPS // FPS
                if drawn not in shown:
                    shown = {drawn: np.asarray(clip.frame(drawn))}
                out.mux(stream.encode(av.VideoFrame.from_ndarray(shown[drawn], format="rgb24")))
            out.mux(stream.encode())
        paths.append(path)
    return paths


def write_film(pieces: list[Path], path: Path, minutes: float) -> None:
    """The pieces one after the other, packets copied, until the film is long enough."""
    dice = random.Random(1)
    wanted = round(minutes * 60 / PIECE_SECONDS)
    step = Fraction(1, FPS)
    with av.open(str(pieces[0])) as first, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(first.streams.video[0])
        for number in range(wanted):
            with av.open(str(dice.choice(pieces))) as piece:
                source = piece.streams.video[0]
                for packet in piece.demux(source):
                    if packet.dts is None:
                        continue
                    later = number * PIECE_SECONDS
                    packet.pts = round((packet.pts * source.time_base + later) / step)
                    packet.dts = round((packet.dts * source.time_base + later) / step)
                    packet.time_base, packet.stream = step, stream
                    out.mux(packet)


class Memory(threading.Thread):
    """Samples (seconds since start, resident MB) until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self._over, self._began = threading.Event(), time.perf_counter()

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.samples.append((time.perf_counter() - self._began, resident_mb()))

    def stop(self) -> list[tuple[float, float]]:
        self._over.set()
        self.join()
        return self.samples


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def read(path: Path, choice: FrameChoice) -> tuple[Footage, float, list[tuple[float, float]]]:
    memory = Memory()
    memory.start()
    started = time.perf_counter()
    with open_film(path, path.name) as film:
        footage = film_footage(film, choice, FrameBudget())
    return footage, time.perf_counter() - started, memory.stop()


def ask(model, footage: Footage) -> tuple[float, int]:
    """(seconds to the first token with everything loaded, tokens of the prompt)."""
    from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
    from qwen3vl_nodes.utils.chat.messages import Message
    from qwen3vl_nodes.utils.chat.requests import Request

    options = GenerationOptions(max_new_tokens=2, temperature=0.0, presence_penalty=0.0)
    request = Request((Message("user", (footage.clip, "Describe this video.")),), options)
    with model.open() as engine:
        ((_, reply),) = engine.generate([request])
    if isinstance(reply, Exception):
        raise reply
    return reply.first_token_seconds, reply.prompt_tokens


def plot(
    lines: dict[str, list[tuple[float, float]]], path: Path, what: str = "a film is read"
) -> None:
    """Resident memory over the share of the reading that is done."""
    width, height = PLOT_WH
    picture = Image.new("RGB", PLOT_WH, "white")
    draw = ImageDraw.Draw(picture)
    most = 1.15 * max(mb for samples in lines.values() for _, mb in samples)

    def place(share: float, mb: float) -> tuple[float, float]:
        return (
            EDGE + share * (width - 2 * EDGE),
            height - EDGE - mb / most * (height - 2 * EDGE),
        )

    for share in (0, 0.25, 0.5, 0.75, 1):
        (left, y), (right, _) = place(0, share * most), place(1, share * most)
        draw.line((left, y, right, y), fill="#cccccc")
        draw.text((4, y - 6), f"{share * most:.0f} MB", fill="black")
        draw.text((place(share, 0)[0] - 12, height - EDGE + 8), f"{share:.0%}", fill="black")
    colours = ("#2050c0", "#c05020", "#208040", "#806020")
    for number, (name, samples) in enumerate(lines.items()):
        last = samples[-1][0] or 1.0
        points = [place(seconds / last, mb) for seconds, mb in samples]
        draw.line(points, fill=colours[number % 4], width=2)
        draw.text((EDGE + 12, 30 + 16 * number), name, fill=colours[number % 4])
    draw.text((EDGE, 10), f"Resident memory while {what}", fill="black")
    picture.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    from qwen3vl_nodes.loaders.hub import catalog
    from qwen3vl_nodes.loaders.local_model import LocalModel
    from qwen3vl_nodes.loaders.settings import LoadSettings

    model = LocalModel(LoadSettings(model=catalog.DEMO_NAME, device=chosen.device))
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        pieces = write_pieces(folder)
        write_film(pieces, short := folder / "short.mp4", 2)
        write_film(pieces, long := folder / "long.mp4", chosen.minutes)
        print(f"{chosen.minutes:g} minutes: {long.stat().st_size / 1e6:.0f} MB")
        footage, _, _ = read(short, CHOICES["64 frames"])  # everything is imported
        ask(model, footage)
        lines = {}
        for name, path in (("2 minutes", short), ("the whole film", long)):
            for what in ("64 frames", "768 frames"):
                _, _, lines[f"{name}, {what}"] = read(path, CHOICES[what])
        for name, choice in CHOICES.items():
            if (choice.end or 0) > chosen.minutes * 60:
                continue
            before = resident_mb()
            footage, seconds, samples = read(long, choice)
            frames = footage.clip.frames
            first, tokens = ask(model, footage)
            print(
                f"{name}: {len(frames)} frames of {frames.shape[2]} x {frames.shape[1]} in "
                f"{seconds:.2f} s; {footage.cost.decoded} decoded, {footage.cost.seeks} seeks; "
                f"memory {before:.0f} MB before, {max(mb for _, mb in samples):.0f} MB at most; "
                f"then {first:.2f} s to the first token of a prompt of {tokens}",
                flush=True,
            )
    if chosen.plot:
        plot(lines, chosen.plot)


if __name__ == "__main__":
    main()
