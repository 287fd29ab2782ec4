"""Makes the subgraph blueprints out of templates: python examples/scripts/make_blueprints.py.

ComfyUI lists `subgraphs/*.json` of a pack among its blueprints: one node with what a task needs
inside. Everything in them comes from the templates, so that there is one truth per widget.
"""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import dataclass
from typing import Any

from hosting import ROOT
from templates import TEMPLATES

FOLDER = ROOT / "subgraphs"
INPUTS, OUTPUTS = -10, -20  # what a subgraph calls its own two ends


@dataclass(frozen=True)
class Blueprint:
    """One of them.

    Args:
        name: what the menu calls it, which is its file's name.
        template: where its nodes come from.
        nodes: those that go in.
        outputs: (node, output's number) that leave it.
        shown: (node, widget) that it shows.
        values: (node, widget, value) other than the template's.
    """

    name: str
    template: str
    description: str
    words: tuple[str, ...]
    nodes: tuple[int, ...]
    outputs: tuple[tuple[int, int], ...]
    shown: tuple[tuple[int, str], ...]
    values: tuple[tuple[int, str, Any], ...] = ()


BLUEPRINTS = (
    Blueprint(
        "Image to Text (Qwen3-VL)", "caption_image",
        "Describes pictures on this machine.",
        ("describe", "caption", "vlm", "vision", "反推", "图生文", "图像描述"),
        (1, 3), ((3, 0),), ((1, "model"), (3, "preset"), (3, "instructions")),
    ),
    Blueprint(
        "Tag Images (Qwen3-VL)", "caption_image",
        "Tags for pictures, with commas between.",
        ("tagger", "booru", "打标", "标签"),
        (1, 3), ((3, 0),), ((1, "model"), (3, "preset"), (3, "instructions")),
        ((3, "preset", "Tags"),),
    ),
    Blueprint(
        "Vision Question, VLM (Qwen3-VL)", "caption_image",
        "An answer to a question about a picture.",
        ("vqa", "ask", "image question", "提问", "识图"),
        (1, 3), ((3, 0),), ((1, "model"), (3, "instructions")),
        ((3, "preset", "Custom prompt"), (3, "instructions", "What is in this picture?")),
    ),
    Blueprint(
        "Detect (Qwen3-VL)", "detect_mask_inpaint",
        "Finds things by words: their boxes, and a mask of them.",
        ("find and mask", "grounding", "bounding box", "segment", "检测", "遮罩"),
        (1, 3, 4), ((4, 0), (3, 1), (3, 2)), ((1, "model"), (3, "find"), (4, "shape")),
    ),
    Blueprint(
        "OCR, Read Text (Qwen3-VL)", "read_text",
        "The text of a picture, and a box for each line.",
        ("ocr", "transcribe", "识别", "文字识别"),
        (1, 3), ((3, 0), (3, 1)), ((1, "model"), (3, "read"), (3, "language")),
    ),
    Blueprint(
        "Point (Qwen3-VL)", "point_to_sam3",
        "Points at things by words, for SAM2 and SAM3.",
        ("pointing", "click point", "指点", "点选"),
        (1, 3), ((3, 1), (3, 2), (3, 3)), ((1, "model"), (3, "find")),
    ),
    Blueprint(
        "Extract Fields, JSON (Qwen3-VL)", "extract_fields",
        "The fields of a form, invoice or card as JSON.",
        ("invoice", "receipt", "form", "信息抽取", "票据"),
        (1, 3), ((3, 0), (3, 1)), ((1, "model"), (3, "fields")),
    ),
    Blueprint(
        "PDF to Markdown (Qwen3-VL)", "document_pdf",
        "The pages of a PDF as Markdown, with layout, tables and pictures.",
        ("document", "parse pdf", "文档解析"),
        (1, 2, 3), ((3, 0), (3, 1), (3, 2)),
        ((1, "model"), (2, "pdf_file"), (2, "page_range"), (3, "write")),
    ),
    Blueprint(
        "Image to Code (Qwen3-VL)", "picture_to_code",
        "A screenshot, sketch or chart as HTML, SVG, Mermaid or matplotlib.",
        ("screenshot to html", "sketch to code", "截图转代码"),
        (1, 3), ((3, 0),), ((1, "model"), (3, "language"), (3, "instructions")),
    ),
    Blueprint(
        "Describe Video (Qwen3-VL)", "video_describe",
        "What happens in a film.",
        ("video caption", "video to text", "视频描述"),
        (1, 3, 4), ((4, 0),), ((1, "model"), (4, "preset"), (4, "instructions")),
    ),
    Blueprint(
        "Enhance Prompt (Qwen3-VL)", "prompt_enhancer",
        "A short prompt as image and video models want it.",
        ("prompt enhancer", "rewrite prompt", "提示词扩写", "润色提示词"),
        (1, 2), ((2, 0),), ((1, "model"), (2, "prompt"), (2, "target"), (2, "language")),
    ),
)  # fmt: skip


def made(blueprint: Blueprint) -> dict[str, Any]:
    """The workflow of one subgraph node that ComfyUI reads."""
    graph = json.loads(TEMPLATES[blueprint.template].read_text("utf-8"))
    inside = {node["id"]: copy.deepcopy(node) for node in graph["nodes"]
              if node["id"] in blueprint.nodes}  # fmt: skip
    for number, name, value in blueprint.values:
        named = inside[number]["widgets_values_named"]
        inside[number]["widgets_values"][list(named).index(name)] = named[name] = value
    subgraph = _subgraph(blueprint, inside, graph["links"])
    outer = {
        "id": 1, "type": subgraph["id"], "title": blueprint.name, "pos": [0, 0],
        "size": [340, 240], "flags": {}, "order": 0, "mode": 0, "widgets_values": [],
        "inputs": [{"name": one["name"], "type": one["type"], "link": None}
                   for one in subgraph["inputs"]],
        "outputs": [{"name": one["name"], "type": one["type"], "links": []}
                    for one in subgraph["outputs"]],
        "properties": {"proxyWidgets": [[str(number), name] for number, name in blueprint.shown]},
    }  # fmt: skip
    return {
        "id": _id(blueprint, "workflow"), "revision": 0, "last_node_id": 1, "last_link_id": 0,
        "nodes": [outer], "links": [], "groups": [], "version": 0.4, "config": {},
        "definitions": {"subgraphs": [subgraph]},
        "extra": {"BlueprintDescription": blueprint.description,
                  "BlueprintSearchAliases": list(blueprint.words)},
    }  # fmt: skip


def _subgraph(blueprint: Blueprint, inside: dict[int, Any], all_links: list[Any]) -> dict[str, Any]:
    """The nodes inside, joined as in the template; what comes from outside is its input."""
    links = []

    def join(source: int, source_slot: int, target: int, target_slot: int, type_: str) -> int:
        links.append({"id": len(links) + 1, "origin_id": source, "origin_slot": source_slot,
                      "target_id": target, "target_slot": target_slot, "type": type_})  # fmt: skip
        return len(links)

    for node in inside.values():
        for one in node["inputs"]:
            one["link"] = None
        for one in node["outputs"]:
            one["links"] = []
    into: dict[str, list[int]] = {}
    for _, source, source_slot, target, slot, type_ in all_links:
        if target not in inside:
            continue
        inner = source in inside
        if not inner:
            into.setdefault(type_, [])
        begin = (source, source_slot) if inner else (INPUTS, list(into).index(type_))
        number = join(*begin, target, slot, type_)
        inside[target]["inputs"][slot]["link"] = number
        if inner:
            inside[source]["outputs"][source_slot]["links"].append(number)
        else:
            into[type_].append(number)
    outputs = []
    for slot, (number, output) in enumerate(blueprint.outputs):
        one = inside[number]["outputs"][output]
        link = join(number, output, OUTPUTS, slot, one["type"])
        one["links"].append(link)
        end = {"id": _id(blueprint, f"out {slot}"), "name": one["name"], "type": one["type"]}
        outputs.append(end | {"linkIds": [link], "pos": [1400, 100 + 20 * slot]})
    inputs = [
        {"id": _id(blueprint, f"in {n}" if n else "in"), "name": type_.lower(), "type": type_,
         "linkIds": ids, "pos": [-100, 100 + 20 * n]}
        for n, (type_, ids) in enumerate(into.items())
    ]  # fmt: skip
    return {
        "id": _id(blueprint, "subgraph"), "version": 1, "revision": 0, "config": {},
        "state": {"lastGroupId": 0, "lastNodeId": max(inside), "lastLinkId": len(links),
                  "lastRerouteId": 0},
        "name": blueprint.name, "description": blueprint.description, "category": "Qwen3-VL",
        "inputNode": {"id": INPUTS, "bounding": [-200, 80, 120, 60]},
        "outputNode": {"id": OUTPUTS, "bounding": [1400, 80, 120, 40 + 20 * len(outputs)]},
        "inputs": inputs, "outputs": outputs, "widgets": [], "nodes": list(inside.values()),
        "groups": [], "links": links, "extra": {},
    }  # fmt: skip


def _id(blueprint: Blueprint, part: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"qwen3vl/{blueprint.name}/{part}"))


def text_of(blueprint: Blueprint) -> str:
    """As its file has it."""
    return json.dumps(made(blueprint), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for one in BLUEPRINTS:
        (FOLDER / f"{one.name}.json").write_text(text_of(one), "utf-8")
