"""Workflows of every release still run: ids, sockets, widgets, their order and menus stay.

`data/schemas.json` is what has been published. Additions are written with
`REWRITE_SCHEMAS=additions`, anything else only with `REWRITE_SCHEMAS=breaking`.
"""

import copy
import json
import os
from pathlib import Path

import pytest
from qwen3vl_nodes.nodes import NODES

FILE = Path(__file__).parent / "data" / "schemas.json"
COMMAND = "REWRITE_SCHEMAS={} python -m pytest tests/nodes/test_schemas.py"
WIDGETS = ("BOOLEAN", "COMBO", "FLOAT", "INT", "STRING")
# What an input says besides its words, which the translations have.
KEPT = (
    "optional", "default", "min", "max", "step", "round", "multiline", "dynamicPrompts",
    "control_after_generate", "forceInput", "advanced", "template",
)  # fmt: skip
# Menus that every machine fills itself: models, adapters, folders, files, servers.
OF_THE_MACHINE = ("model", "adapter", "folder", "pdf_file", "server")


def plain(value):
    """As JSON has it."""
    return json.loads(json.dumps(value, default=lambda other: getattr(other, "value", str(other))))


def schema_of(node):
    """What workflows and links hold on to; inputs in the order of a saved workflow's widgets."""
    schema = node.GET_SCHEMA()
    inputs = {}
    for one in sorted(schema.inputs, key=lambda one: bool(one.optional)):
        said = one.as_dict()
        entry = {"type": one.get_io_type()} | {k: said[k] for k in KEPT if k in said}
        if "options" in said and one.id not in OF_THE_MACHINE:
            entry["options"] = said["options"]
        inputs[one.id] = entry
    outputs = [
        {"type": one.get_io_type(), "name": one.display_name, "is_list": bool(one.is_output_list)}
        for one in schema.outputs
    ]
    return plain({
        "category": schema.category,
        "is_output_node": bool(schema.is_output_node),
        "is_input_list": bool(schema.is_input_list),
        "inputs": inputs,
        "outputs": outputs,
    })  # fmt: skip


def has_widget(entry):
    return entry["type"] in WIDGETS and not entry.get("forceInput")


def keeps_order(old, new):
    """Whether all of `old` are in `new`, in their order."""
    rest = iter(new)
    return all(one in rest for one in old)


def broken_inputs(old, new):
    """What no longer fits a workflow that was made with the `old` inputs of a node."""
    for name, was in old.items():
        now = new.get(name)
        if now is None:
            yield f"{name} is gone"
            continue
        if now["type"] != was["type"]:
            yield f"{name} is {now['type']}, no longer {was['type']}"
        if was.get("optional") and not now.get("optional"):
            yield f"{name} is no longer optional"
        if now.get("default") != was.get("default"):
            yield f"the default of {name} is another"
        if not keeps_order(was.get("options", []), now.get("options", [])):
            yield f"an entry of {name}'s menu is gone or has moved"
        if now.get("min", 0) > was.get("min", 0) or now.get("max", 0) < was.get("max", 0):
            yield f"{name} takes fewer numbers"
    added = [name for name in new if name not in old and not new[name].get("optional")]
    yield from (f"{name} is new and not optional" for name in added)
    if not keeps_order(old, new):
        yield "inputs have changed places"
    # A saved workflow has its widgets' values as a list.
    before, after = ([n for n in inputs if has_widget(inputs[n])] for inputs in (old, new))
    if after[: len(before)] != before:
        yield "a widget stands before older ones, or is none any more"


def broken(old, new):
    """What of the published nodes is no longer as workflows know it."""
    found = []
    for node_id, was in old.items():
        now = new.get(node_id)
        if now is None:
            found.append(f"{node_id} is gone")
            continue
        problems = list(broken_inputs(was["inputs"], now["inputs"]))
        if now["outputs"][: len(was["outputs"])] != was["outputs"]:
            problems.append("an output is gone or another")
        if now["is_input_list"] != was["is_input_list"]:
            problems.append("its inputs come as lists, or do no longer")
        found += [f"{node_id}: {problem}" for problem in problems]
    return found


def told_apart(nodes):
    """As text, in which the order of inputs counts and that of nodes does not."""
    return {node_id: json.dumps(schema) for node_id, schema in nodes.items()}


NOW = {node.GET_SCHEMA().node_id: schema_of(node) for node in NODES}


def test_every_workflow_that_was_made_still_fits():
    if wish := os.environ.get("REWRITE_SCHEMAS"):
        problems = broken(json.loads(FILE.read_text("utf-8")), NOW) if FILE.exists() else []
        assert wish == "breaking" or not problems, problems
        FILE.write_text(json.dumps(NOW, ensure_ascii=False, indent=1) + "\n", "utf-8")
    published = json.loads(FILE.read_text("utf-8"))
    problems = broken(published, NOW)
    assert not problems, (
        f"Saved workflows break. Only if that is meant: {COMMAND.format('breaking')}"
    )
    new, old = told_apart(NOW), told_apart(published)
    changed = [node_id for node_id in new if new[node_id] != old.get(node_id)]
    assert not changed, f"Harmless, but not written down yet: {COMMAND.format('additions')}"


def without(name):
    return lambda node: node["inputs"].pop(name)


def with_first(name, entry):
    def change(node):
        node["inputs"] = {name: entry} | node["inputs"]

    return change


def swapped(node):
    one, two, *others = node["inputs"].items()
    node["inputs"] = dict([two, one, *others])


CHANGES = {
    "an input is gone": without("mode"),
    "a type is another": lambda node: node["inputs"]["seed"].update(type="FLOAT"),
    "a default is another": lambda node: node["inputs"]["seed"].update(default=1),
    "a menu lost an entry": lambda node: node["inputs"]["mode"]["options"].pop(),
    "a menu's entries moved": lambda node: node["inputs"]["mode"]["options"].reverse(),
    "a range is narrower": lambda node: node["inputs"]["max_characters"].update(max=9),
    "optional no more": lambda node: node["inputs"]["format"].pop("optional"),
    "a new one is needed": lambda node: node["inputs"].update(new={"type": "IMAGE"}),
    "a new widget is first": with_first("new", {"type": "INT", "optional": True}),
    "two changed places": swapped,
    "a widget became a socket": lambda node: node["inputs"]["seed"].update(forceInput=True),
    "an output is gone": lambda node: node["outputs"].pop(),
    "an output is another": lambda node: node["outputs"][0].update(type="INT"),
    "an output is first": lambda node: node["outputs"].insert(0, {"type": "INT"}),
    "lists": lambda node: node.update(is_input_list=True),
}
HARMLESS = {
    "a widget at the end": lambda node: node["inputs"].update(
        new={"type": "INT", "optional": True}
    ),
    "a socket": with_first("new", {"type": "IMAGE", "optional": True}),
    "a menu's entry": lambda node: node["inputs"]["mode"]["options"].insert(1, "new"),
    "an output": lambda node: node["outputs"].append({"type": "INT"}),
    "a wider range": lambda node: node["inputs"]["max_characters"].update(max=10**9),
    "another category": lambda node: node.update(category="new"),
}


def changed(change):
    nodes = {"Qwen3VLCaptionFolder": copy.deepcopy(NOW["Qwen3VLCaptionFolder"])}
    change(nodes["Qwen3VLCaptionFolder"])
    return nodes


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_breaks_a_workflow_is_seen(change):
    assert broken(changed(lambda node: None), changed(change))


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_is_added_breaks_nothing_and_is_written_down(change):
    before, after = changed(lambda node: None), changed(change)
    assert broken(before, after) == []
    assert told_apart(before) != told_apart(after)


def test_a_node_that_is_gone_is_seen():
    assert broken(NOW, {}) == [f"{node_id} is gone" for node_id in NOW]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
def test_no_text_for_a_model_is_rewritten_by_the_browser(node):
    """Dynamic prompts would lose `{"subject": ...}`, and everything behind `//`."""
    for widget in node.define_schema().inputs:
        assert not widget.as_dict().get("dynamicPrompts"), widget.id
