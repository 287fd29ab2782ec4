"""Caption Folder in several formats, one after the other on one folder."""

import json
from itertools import permutations

import pytest
from node_running import run_node
from PIL import Image
from qwen3vl_nodes.nodes.folders.caption_folder import Qwen3VLCaptionFolder
from scripted_model import ScriptedModel

FOLDER = {
    "folder": "input/pics", "recursive": False, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "beside the picture",
    "prefix": "", "suffix": "",
}  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(("txt", "json", "jsonl"))))
def test_captions_of_another_format_are_never_taken_as_they_are(comfy, order):
    """The journal knows all of them; a text file must not get the JSON of its neighbour."""
    folder = comfy / "input" / "pics"
    folder.mkdir()
    Image.new("RGB", (8, 8), (9, 8, 7)).save(folder / "a.png")
    for kind in order:
        ledger = run_node(
            Qwen3VLCaptionFolder, model=ScriptedModel("a cat"), **FOLDER, format=kind
        )[0]
        assert ledger == "written a.png\nwritten 1, skipped 0, failed 0"
    assert (folder / "a.txt").read_text() == "a cat"
    for path in (folder / "a.json", folder / "captions.jsonl"):
        assert json.loads(path.read_text())["caption"] == "a cat"
