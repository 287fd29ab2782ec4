"""Caption Folder as a test runs it, on input/pics with a model that answers what it is told."""

from pathlib import Path
from typing import Any

import numpy as np
from node_running import run_node
from PIL import Image
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from scripted_model import ScriptedModel

FOLDER = {
    "folder": "input/pics", "recursive": True, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "beside the picture",
    "prefix": "", "suffix": "",
}  # fmt: skip


def pictures(comfy: Path, *names: str) -> Path:
    """input/pics with pictures of these names, all different."""
    folder = comfy / "input" / "pics"
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8, 3), 2 * number, np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def captioned(model: Any = "a cat", **widgets) -> str:
    """The ledger of a run."""
    model = ScriptedModel(model) if isinstance(model, str) else model
    return run_node(Qwen3VLCaptionFolder, model=model, **(FOLDER | widgets))[0]


def texts(folder: Path) -> dict[str, str]:
    """Every caption in a file of text."""
    found = sorted(folder.rglob("*.txt"))
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


class Unloadable:
    """A model that nothing may be asked of."""

    identity = "scripted"
    making = ""

    def open(self):
        raise AssertionError("loaded for nothing")
