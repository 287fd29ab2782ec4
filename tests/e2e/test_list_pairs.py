"""One picture, a batch, a list and a list of batches through every pair of nodes that link."""

import shutil

import hosting
import pytest
from qwen3vl_pack import ROOT

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        hosting.find_comfyui() is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"
    ),
]
DEMO = "Qwen3-VL-Demo"
PICTURES = ("five_things.png", "four_things.png", "three_things.png")
FIND = "star, square, circle, triangle"
IMAGE = ["image", 0]
# How pictures come: their nodes, and how many there are.
SOURCES = {
    "one": ({"image": ("LoadImage", {"image": "pairs/0.png"})}, 1),
    "a batch": (
        {"one": ("LoadImage", {"image": "pairs/0.png"}),
         "image": ("RepeatImageBatch", {"image": ["one", 0], "amount": 2})}, 2),
    "a list": (
        {"image": ("Qwen3VLFolderImages", {"folder": "input/pairs", "recursive": False,
                                           "start": 0, "count": 0})}, 3),
    "a list of batches": (
        {"one": ("Qwen3VLFolderImages", {"folder": "input/pairs", "recursive": False,
                                         "start": 0, "count": 0}),
         "image": ("RepeatImageBatch", {"image": ["one", 0], "amount": 2})}, 6),
}  # fmt: skip
# What makes boxes and points of other things than boxes and points, and what a model says.
MADE = {
    "boxes": [["detect", 1], ["parse", 0]],
    "points": [["point", 1], ["parse", 1], ["coordinates", 0]],
    "coordinates": [["point", 2], ["parse", 2]],
    "text": [["detect", 0]],
}


@pytest.fixture(scope="module")
def server(demo_server):
    folder = demo_server.folder / "input" / "pairs"
    folder.mkdir()
    for number, name in enumerate(PICTURES):
        shutil.copyfile(ROOT / "examples" / "images" / name, folder / f"{number}.png")
    return demo_server


def default(spec):
    """A widget's own value."""
    kind, more = (*spec, {})[:2]
    options = kind if isinstance(kind, list) else more.get("options", [])
    return more.get("default", options[0] if options else None)


def filled(info, name, **inputs):
    """A node of the prompt: these inputs, and what its form has by itself."""
    wanted = inputs_of(info, name)
    own = {key: default(spec) for key, spec in wanted.items() if key not in inputs}
    own = {key: value for key, value in own.items() if value is not None}
    return {"class_type": name, "inputs": own | inputs}


def base(info, source):
    """The pictures, and what a model says of them."""
    prompt = {key: filled(info, name, **inputs) for key, (name, inputs) in source.items()}
    model = {"model": ["loader", 0], "options": ["options", 0]}
    prompt["loader"] = filled(info, "Qwen3VLLoader", model=DEMO)
    prompt["options"] = filled(info, "Qwen3VLOptions", max_new_tokens=200)
    for key, name, words in (
        ("detect", "Qwen3VLDetect", {"find": FIND}), ("point", "Qwen3VLPoint", {"find": FIND}),
        ("ask", "Qwen3VLAsk", {"question": "What is here?"}), ("caption", "Qwen3VLCaption", {}),
    ):  # fmt: skip
        wanted = inputs_of(info, name)
        own = {key: link for key, link in model.items() if key in wanted}
        leave = {"unreadable": "leave the image empty"} if "unreadable" in wanted else {}
        prompt[key] = filled(info, name, image=IMAGE, **own, **words, **leave)
    prompt["parse"] = filled(
        info,
        "Qwen3VLParseDetections",
        text=["detect", 0],
        image=IMAGE,
        unreadable="leave the image empty",
    )
    prompt["coordinates"] = filled(
        info, "Qwen3VLCoordinatesToPoints", coordinates=["point", 2], image=IMAGE
    )
    return prompt


def inputs_of(info, name):
    return {**info[name]["input"].get("required", {}), **info[name]["input"].get("optional", {})}


def consumers(info):
    """(node, the input that is asked for) of every node that takes what `MADE` makes."""
    for name in sorted(info):
        inputs = inputs_of(info, name)
        if name.startswith("Qwen3VL") and "model" not in inputs:
            for key in inputs:
                if key in MADE and (key != "text" or name == "Qwen3VLParseDetections"):
                    yield name, key


def with_pairs(info, prompt):
    """Every node behind every other one that makes what it takes; and behind those again."""
    made, pairs = MADE, {}
    for _ in range(2):
        boxes = []
        for name, key in consumers(info):
            for source in made.get(key, ()):
                wanted = inputs_of(info, name)
                own = {"image": IMAGE} if "image" in wanted else {}
                if "boxes" in wanted:
                    own["boxes"] = ["detect", 1]
                at = f"{name} {len(pairs)}"
                pairs[at] = filled(info, name, **(own | {key: source}))
                outputs = enumerate(info[name]["output"])
                boxes += [[at, place] for place, kind in outputs if kind == "BOX,BOUNDING_BOX"]
        made = {"boxes": boxes}
    return prompt | pairs, list(pairs)


@pytest.mark.parametrize("source", SOURCES)
def test_every_pair_links(server, source):
    info = server.get("/object_info")
    nodes, count = SOURCES[source]
    prompt, pairs = with_pairs(info, base(info, nodes))
    ends = {f"see {key}": filled(info, "PreviewAny", source=[key, 0]) for key in pairs}
    assert len(ends) > 40
    entry = server.run(prompt | ends)
    assert hosting.error_of(entry) == ""
    assert entry["status"]["status_str"] == "success"
    assert len(entry["outputs"]["detect"]["answer"]) == count
    assert all(entry["outputs"]["parse"]["boxes"])  # else the pairs show nothing
