"""Makes the pictures of the help pages: python examples/scripts/make_help_pictures.py <chromium>.

Every node as Nodes 2.0 shows it, after a real run of a template with the demo, or alone where no
template has it. It needs node and playwright-core: `make browser` fetches both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from hosting import ROOT, Server, find_comfyui
from PIL import Image
from templates import TEMPLATES

PICTURES = ROOT / "web" / "docs" / "images"
WIDEST, MOST_BYTES = 480, 30_000
QUALITIES = (85, 75, 65, 50, 35)


def save(shot: Path) -> None:
    """A picture as small as a help page needs it."""
    picture = Image.open(shot).convert("RGB")
    if picture.width > WIDEST:
        height = round(picture.height * WIDEST / picture.width)
        picture = picture.resize((WIDEST, height), Image.Resampling.LANCZOS)
    target = PICTURES / f"{shot.stem}.webp"
    for quality in QUALITIES:
        picture.save(target, quality=quality, method=6)
        if target.stat().st_size <= MOST_BYTES:
            return
    raise SystemExit(f"{target.name} does not fit into {MOST_BYTES} bytes.")


def main() -> None:
    """Photograph all of them."""
    comfyui = find_comfyui()
    if comfyui is None or len(sys.argv) < 2:
        raise SystemExit("It needs a ComfyUI checkout, and the path of Chromium.")
    PICTURES.mkdir(exist_ok=True)
    script = Path(__file__).with_name("help_pictures.js")
    with tempfile.TemporaryDirectory() as folder, Server(comfyui, Path(folder)) as server:
        shots = Path(folder) / "shots"
        shots.mkdir()
        titles = [path.stem for path in TEMPLATES.values()]
        captions = Path(folder) / "output" / "captions"
        command = ["node", str(script), server.url, sys.argv[1], str(shots), str(captions), *titles]
        subprocess.run(command, check=True)  # noqa: S603 - our own script
        for shot in sorted(shots.glob("*.png")):
            save(shot)
            print(shot.stem)


if __name__ == "__main__":
    main()
