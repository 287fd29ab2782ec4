"""Folder Images → Caption → Save Captions, and the review of it, through a real server."""

import json
import shutil
from pathlib import Path
from urllib.error import HTTPError

import hosting
import pytest
from PIL import Image

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
EXAMPLE = hosting.ROOT / "examples" / "api" / "folder_pieces.json"
NAMES = ["p1.png", "p2.png", "p10.png"]


@pytest.fixture
def server(demo_server):
    return demo_server


@pytest.fixture
def pics(server):
    """input/images, of three pictures and a broken one, and nothing captioned."""
    folder = Path(server.log).parent / "input" / "images"
    for old in (folder, captions_of(server)):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES, 1):
        Image.new("RGB", (64, 32 * number), (80 * number, 0, 0)).save(folder / name)
    (folder / "p3.png").write_bytes(b"no picture")
    return folder


def captions_of(server):
    return Path(server.log).parent / "output" / "captions" / "input" / "images"


def prompt(save=(), **take):
    """The example with the tiny model, and other values of its first and last node."""
    nodes = json.loads(EXAMPLE.read_text("utf-8"))
    nodes["1"]["inputs"]["model"] = "Tiny"
    nodes["2"]["inputs"] |= {"folder": "input/images"} | take
    nodes["3"]["inputs"]["options"] = ["9", 0]
    nodes["4"]["inputs"] |= {"folder": "input/images"} | dict(save)
    options = {
        "sampling": "greedy", "max_new_tokens": 4, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
        "repetition_penalty": 1.0, "presence_penalty": 1.5, "min_picture_tokens": 0,
        "max_picture_tokens": 0, "stop": "",
    }  # fmt: skip
    # A caption of random weights may be no text at all.
    nodes["4"]["inputs"]["prefix"] = "a picture: "
    nodes["9"] = {"class_type": "Qwen3VLOptions", "inputs": options}
    return nodes


def run(server, **chosen):
    """(report of Folder Images, ledger of Save Captions) of one prompt."""
    entry = server.run(prompt(**chosen))
    assert hosting.error_of(entry) == ""
    outputs = entry["outputs"]
    return outputs["2"]["text"][0], outputs["4"]["text"][0]


def test_a_folder_goes_through_caption_into_files(server, pics):
    report, ledger = run(server)
    assert report.splitlines()[0] == "pictures 0 to 3 of 4"
    assert "failed  p3.png" in report
    assert ledger.endswith("written 3, skipped 0, failed 0")
    files = sorted(captions_of(server).glob("*.txt"))
    assert [path.name for path in files] == ["p1.txt", "p10.txt", "p2.txt"]
    assert all(path.read_text().startswith("a picture: ") for path in files)
    error = hosting.error_of(server.run(prompt()))
    assert "none can be given. p3.png" in error


def test_one_picture_for_each_queued_prompt_until_there_is_none(server, pics):
    (pics / "p3.png").unlink()
    queued = [server.queue(prompt(start=start, count=1)) for start in range(4)]
    entries = [server.wait(prompt_id) for prompt_id in queued]
    assert [e["outputs"]["4"]["text"][0].splitlines()[0] for e in entries[:3]] == [
        f"written {name}" for name in NAMES
    ]
    assert hosting.error_of(entries[3]) == ""  # the end of a folder is no fault
    assert {**entries[3]["outputs"]} == {
        "2": {
            "text": [
                "Nothing is left to do: input/images has 3 pictures, 0 to 2, and start is 3. "
                "To begin again, set start back to 0."
            ],
            "done": [True],
        }
    }


def test_an_unchanged_folder_is_not_read_again_and_a_changed_one_is(server, pics):
    chosen = {"only_without_caption": False, "count": 1}
    run(server, **chosen)
    second = run(server, **chosen)  # the caption is new
    entry = server.run(prompt(**chosen))
    (cached,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_cached"]
    assert {"2", "3", "4"} <= set(cached["nodes"])
    assert second[1].endswith("written 0, skipped 1, failed 0")
    (captions_of(server) / "p1.txt").unlink()
    assert run(server, **chosen)[1].endswith("written 1, skipped 0, failed 0")


def test_lists_that_do_not_fit_and_folders_that_are_not_allowed_are_refused(server, pics):
    nodes = prompt()
    nodes["4"]["inputs"]["captions"] = "one text"
    error = hosting.error_of(server.run(nodes))
    assert "3 names for 1 captions" in error
    with pytest.raises(HTTPError) as caught:
        server.queue(prompt(folder="../.."))
    assert "is not inside" in caught.value.read().decode()
    # ComfyUI runs the other output nodes of such a prompt, and says which one it left out.
    said = server.post("/prompt", {"prompt": prompt(save={"folder": "input/../.."})})
    assert "is not inside" in str(said["node_errors"]["4"])
    assert "4" not in server.wait(said["prompt_id"])["outputs"]
    assert not list(captions_of(server).glob("*.txt"))


def test_the_review_is_a_picture_in_the_browser(server, pics):
    run(server)
    inputs = {
        "folder": "input/images", "recursive": False, "place": "in the output folder",
        "first": 0, "count": 24, "columns": 2,
    }  # fmt: skip
    entry = server.run({"1": {"class_type": "Qwen3VLCaptionReview", "inputs": inputs}})
    assert hosting.error_of(entry) == ""
    shown = entry["outputs"]["1"]
    assert shown["text"][0].startswith("pictures 0 to 3 of 4, 1 without a caption\n2  p3.png:")
    assert len(shown["images"]) == 1 and shown["images"][0]["type"] == "temp"
