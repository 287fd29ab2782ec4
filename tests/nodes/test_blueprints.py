"""The subgraph blueprints are as the templates have their nodes, and hold together."""

import pytest
from make_blueprints import BLUEPRINTS, FOLDER, made, text_of
from qwen3vl_nodes.nodes import NODES

INFO = {node.GET_SCHEMA().node_id: node.GET_NODE_INFO_V1() for node in NODES}
by_blueprint = pytest.mark.parametrize("blueprint", BLUEPRINTS, ids=lambda one: one.name)


def test_each_file_is_as_the_script_makes_it():
    assert {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.json")} == {
        one.name: text_of(one) for one in BLUEPRINTS
    }, "python examples/scripts/make_blueprints.py"


@by_blueprint
def test_a_blueprint_shows_widgets_and_presets_that_are_there(blueprint):
    (subgraph,) = made(blueprint)["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    for number, name in blueprint.shown:
        assert name in nodes[number]["widgets_values_named"]
    for number, name, value in blueprint.values:
        type_, options = INFO[nodes[number]["type"]]["input"]["required"][name]
        assert type_ != "COMBO" or value in options["options"]
    ends = [one["link"] for node in nodes.values() for one in node["inputs"] if one["link"]]
    links = {link["id"]: link for link in subgraph["links"]}
    assert {n for n, link in links.items() if link["target_id"] in nodes} == {*ends}
    assert all(one["linkIds"] for one in [*subgraph["inputs"], *subgraph["outputs"]])
    wanted = {"prompt_enhancer": [], "document_pdf": [], "video_describe": ["VIDEO"]}
    types = [one["type"] for one in subgraph["inputs"]]
    assert types == wanted.get(blueprint.template, ["IMAGE"])
