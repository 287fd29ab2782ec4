"""Reads broken pictures by the thousand: each must be read, or refused with an InputError.

    python tests/soak/picture_mutants.py --count 20000
    python tests/soak/picture_mutants.py --count 5000 --seeds ~/pillow/Tests/images

Mutants are made of seed pictures that Pillow writes here, or of a folder (whose own files are
then read as well, each once). A worker process with little time and memory reads them; whatever
ends it, prints, warns or raises anything else is an offence, and its file is kept.
"""

import argparse
import json
import os
import random
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "support")]

SECONDS = 10
MEMORY = 2 << 30
KEEP = str(Path(tempfile.gettempdir(), "picture_mutants"))
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def seed_pictures():
    """(name, bytes) of small pictures in every format and mode that Pillow writes."""
    import io

    import numpy as np
    from PIL import Image, ImageCms

    generator = np.random.default_rng(0)
    base = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    base = base.resize((64, 48), Image.Resampling.BILINEAR)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274], exif[271] = 6, "maker"
    wide = Image.fromarray(np.asarray(base.convert("L")).astype(np.uint16) * 257)
    extras = {"icc_profile": icc, "exif": exif}

    def animation():  # new frames each time: an image remembers the encoder it went through
        return {"save_all": True, "append_images": [base.rotate(90), base.rotate(180)]}

    wanted = [
        *(("PNG", base.convert(mode), {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        ("PNG", base, extras), ("PNG", wide, {}), ("PNG", base, animation()),
        ("PNG", base.convert("P"), {"transparency": 3}),
        *(("JPEG", base.convert(mode), {}) for mode in ("L", "RGB", "CMYK")),
        ("JPEG", base, {"progressive": True, **extras}), ("MPO", base, animation()),
        ("GIF", base, {}), ("GIF", base, animation()), ("BMP", base, {}),
        *(("BMP", base.convert(mode), {}) for mode in ("1", "L", "P", "RGBA")),
        *(("TIFF", base.convert(mode), {}) for mode in ("1", "CMYK", "LAB", "F", "I", "RGBA")),
        *(("TIFF", base, {"compression": kind, **extras}) for kind in
          ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
        ("TIFF", wide, {}), ("TIFF", base.convert("1"), {"compression": "group4"}),
        ("TIFF", base, {"big_tiff": True}), ("TIFF", base, animation()),
        ("WEBP", base, extras), ("WEBP", base.convert("RGBA"), {"lossless": True}),
        ("WEBP", base, animation()), ("AVIF", base, extras), ("AVIF", base.convert("RGBA"), {}),
    ]  # fmt: skip
    Image.init()
    for number, (kind, image, options) in enumerate(wanted):
        if kind in Image.SAVE:
            data = io.BytesIO()
            image.copy().save(data, kind, **options)
            yield f"{number:02}_{image.mode}.{kind.lower()}", data.getvalue()


def mutant(data, rng):
    """`data` with one to a few wounds; most are near the front, where the header is."""
    wounded = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not wounded:
            break
        reach = rng.choice((64, 512, len(wounded)))
        place = rng.randrange(min(reach, len(wounded)))
        rng.choice(WOUNDS)(wounded, place, rng)
    return bytes(wounded)


def flip(data, place, rng):
    data[place] ^= 1 << rng.randrange(8)


def cut(data, place, rng):
    del data[rng.randrange(len(data)) :]


def remove(data, place, rng):
    del data[place : place + rng.choice((1, 2, 4, 12, 100))]


def insert(data, place, rng):
    data[place:place] = rng.randbytes(rng.choice((1, 2, 4, 12, 100)))


def repeat(data, place, rng):
    data[place:place] = data[place : place + rng.choice((1, 8, 64, 1000))] * rng.choice((1, 20))


def swap(data, place, rng):
    other = rng.randrange(len(data))
    size = rng.choice((1, 2, 4))
    data[place : place + size], data[other : other + size] = (
        data[other : other + size],
        data[place : place + size],
    )


def number(data, place, rng):
    """A size, offset or count of the header becomes an edge case, in either byte order."""
    size = rng.choice("BHI")
    value = rng.choice(EDGES) & ((1 << 8 * struct.calcsize(size)) - 1)
    patch = struct.pack(rng.choice("<>") + size, value)
    data[place : place + len(patch)] = patch


WOUNDS = (flip, flip, cut, remove, insert, repeat, swap, number, number, number)


def work():
    """The worker: a path a line in, a JSON verdict a line out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from qwen3vl_pack import load_pack

    load_pack()
    from qwen3vl_nodes.utils.errors import InputError
    from qwen3vl_nodes.utils.files.picture_reader import read_picture

    warnings.simplefilter("always")
    for line in sys.stdin:
        try:
            pixels = read_picture(Path(json.loads(line))).pixels
            sound = pixels.ndim == 3 and pixels.dtype == "uint8" and pixels.flags.c_contiguous
            verdict = "read" if sound else f"odd pixels {pixels.shape} {pixels.dtype}"
        except InputError as error:
            verdict = "refused" if error.remedy else "no remedy"
        except BaseException as error:
            verdict = f"raised {type(error).__name__}: {error}"
        print(json.dumps(verdict), flush=True)


class Worker:
    """A process that reads pictures; started again after each that ends it."""

    def __init__(self, notes):
        self.notes = notes
        self.start()

    def start(self):
        command = [sys.executable, __file__, "--work"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.notes, bufsize=0
        )
        assert self.process.stdin and self.process.stdout
        self.asked, self.answers = self.process.stdin, self.process.stdout
        self.ask(Path("/nowhere.png"), 120)  # the imports are not the picture's time

    def verdict(self, path):
        before = self.notes.seek(0, os.SEEK_END)
        told = self.ask(path, SECONDS)
        self.notes.seek(before)
        printed = self.notes.read().decode(errors="replace")
        if self.process.poll() is not None:
            self.start()
        return f"printed {printed[:300]}" if printed and told in ("read", "refused") else told

    def ask(self, path, seconds):
        self.asked.write(json.dumps(str(path)).encode() + b"\n")
        if not select.select([self.answers], [], [], seconds)[0]:
            self.process.kill()
            self.process.wait()
            return f"hung for {seconds} s"
        line = self.answers.readline()
        return json.loads(line) if line else f"died with {self.process.wait()}"

    def close(self):
        self.asked.close()
        self.process.wait()


def pictures(seeds, count, rng):
    """(name, bytes): each file of the folder, then the mutants."""
    if seeds:
        paths = sorted(path for path in Path(seeds).rglob("*") if path.is_file())
        sources = [(path.name, path.read_bytes()) for path in paths]
        yield from sources
        sources = [(name, data) for name, data in sources if len(data) < 1 << 20]
    else:
        sources = list(seed_pictures())
        yield from sources
    for index in range(count):
        name, data = rng.choice(sources)
        yield f"{index}_{name}", mutant(data, rng)


def main():
    parser = argparse.ArgumentParser(description="Reads broken pictures.")
    parser.add_argument("--count", type=int, default=2000, help="how many mutants")
    parser.add_argument("--seeds", help="a folder of pictures to start from")
    parser.add_argument("--random", type=int, default=0, help="another number, other mutants")
    parser.add_argument("--keep", default=KEEP, help="folder for the files that offend")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work()
    keep = Path(arguments.keep)
    keep.mkdir(parents=True, exist_ok=True)
    tally, slowest, started = Counter(), (0.0, ""), time.monotonic()
    with (keep / "stderr.txt").open("w+b") as notes:
        worker = Worker(notes)
        for name, data in pictures(
            arguments.seeds, arguments.count, random.Random(arguments.random)
        ):
            path = keep / name
            path.write_bytes(data)
            begun = time.monotonic()
            verdict = worker.verdict(path)
            slowest = max(slowest, (time.monotonic() - begun, name))
            if verdict in ("read", "refused"):
                path.unlink()
            else:
                print(f"{path}: {verdict}")
            tally[verdict if verdict in ("read", "refused") else "anything else"] += 1
        worker.close()
    print(f"{tally.total()} pictures in {time.monotonic() - started:.0f} s:", end=" ")
    print(*(f"{tally[kind]} {kind}" for kind in ("read", "refused", "anything else")), sep=", ")
    print(f"slowest: {slowest[0]:.2f} s, {slowest[1]}")
    return 1 if tally["anything else"] else 0


if __name__ == "__main__":
    sys.exit(main())
