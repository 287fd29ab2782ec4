"""The same question to the local engine and to a real server, and how their answers compare."""

import json
import re

import hosting

SHAPES = "circle, square, triangle, star, heart, diamond, cross"
LOCAL = {
    "class_type": "Qwen3VLLoader",
    "inputs": {
        "model": "Qwen3-VL-Demo", "dtype": "fp32", "attention": "auto", "quantization": "none",
        "device": "cpu", "engine": "auto",
    },
}  # fmt: skip
# An answer on one server differs from the local one where the numbers behind two words are all
# but equal: llama.cpp computes with 16-bit weights.
OFF_BY = 2
ASKED = {
    "caption": ("Qwen3VLCaption", {
        "preset": "Short caption", "instructions": "", "system_prompt": "",
        "batch": "one answer per image"}),
    "ask": ("Qwen3VLAsk", {
        "question": "How many shapes are there?", "system_prompt": "",
        "batch": "one answer per image"}),
    "detect": ("Qwen3VLDetect", {
        "find": SHAPES, "find_by": "categories, comma between", "attributes": "", "max_count": 0,
        "look_again": "off", "unreadable": "stop with an error"}),
    "point": ("Qwen3VLPoint", {"find": "star", "unreadable": "stop with an error"}),
}  # fmt: skip
FOLDER = {
    "folder": "input/many", "recursive": False, "preset": "Short caption", "instructions": "",
    "system_prompt": "", "seed": 0, "mode": "skip existing", "place": "in the output folder",
    "prefix": "", "suffix": "", "model": ["1", 0], "options": ["2", 0],
}  # fmt: skip
_BOX = re.compile(r"at (\d+), (\d+), (\d+) x (\d+) pixels")


def greedy(max_new_tokens=200, **more):
    """The options node, with the likeliest answers."""
    inputs = {
        "sampling": "greedy", "max_new_tokens": max_new_tokens, "temperature": 0.7,
        "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.0, "presence_penalty": 1.5,
        "min_picture_tokens": 0, "max_picture_tokens": 0, "stop": "",
    }  # fmt: skip
    return {"class_type": "Qwen3VLOptions", "inputs": inputs | more}


def on(server):
    """The server node, with a profile of this name."""
    return {"class_type": "Qwen3VLServer", "inputs": {"server": server, "model": ""}}


def asking(model, kind, image="four_things", **inputs):
    """A prompt whose node 3 asks about a picture of the input folder."""
    filled = {"model": ["1", 0], "image": ["4", 0], "seed": 0, "options": ["2", 0]} | inputs
    return {
        "1": model,
        "2": greedy(),
        "3": {"class_type": kind, "inputs": filled},
        "4": {"class_type": "LoadImage", "inputs": {"image": f"{image}.png"}},
    }


def folder_prompt(model, **inputs):
    """A prompt whose node 3 captions the folder `input/many`."""
    node = {"class_type": "Qwen3VLCaptionFolder", "inputs": FOLDER | inputs}
    return {"1": model, "2": greedy(), "3": node}


def twin_prompt(name, model):
    """The API twin of a template with another model, and greedy where a node takes options."""
    text = (hosting.ROOT / "examples" / "api" / f"{name}.json").read_text("utf-8")
    prompt = json.loads(text)
    for key, node in prompt.items():
        if node["class_type"] in ("Qwen3VLLoader", "Qwen3VLServer"):
            prompt[key] = model
        elif "model" in node["inputs"]:
            node["inputs"]["options"] = ["greedy", 0]
    return prompt | {"greedy": greedy(512)}


def texts_of(entry):
    """The texts that the nodes of a prompt show, but for those of its model and options."""
    assert hosting.error_of(entry) == ""
    outputs = entry["outputs"].items()
    return {k: o["text"] for k, o in outputs if "text" in o and k not in ("1", "greedy")}


def text_of(entry, node="3"):
    """The texts of one node of a prompt that went well."""
    assert hosting.error_of(entry) == ""
    return entry["outputs"][node]["text"]


def boxes_in(text):
    """(x1, y1, x2, y2) in pixels of every box that Detect says it found."""
    found = (map(int, place) for place in _BOX.findall(text))
    return [(x, y, x + width, y + height) for x, y, width, height in found]


def alike(ours, theirs):
    """The same words; numbers (places in thousandths of the picture) at most `OFF_BY` apart."""
    if re.sub(r"\d+", "#", ours) != re.sub(r"\d+", "#", theirs):
        return False
    pairs = zip(_numbers(ours), _numbers(theirs), strict=True)
    return all(abs(a - b) <= OFF_BY for a, b in pairs)


def _numbers(text):
    return [int(n) for n in re.findall(r"\d+", text)]
