"""The example workflows fit the nodes as they are, in both formats, and each has its picture."""

import json

import pytest
from qwen3vl_nodes.nodes import NODES
from qwen3vl_pack import ROOT
from templates import TEMPLATES, api_name

EXAMPLES = ROOT / "examples"
API = EXAMPLES / "api"
GRAPHS = [*TEMPLATES]
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
# ComfyUI's own nodes in the examples: their widgets and the types of their outputs.
CORE = {
    "PreviewImage": ([], []),
    "MaskPreview": ([], []),
    "PrimitiveStringMultiline": (["value"], ["STRING"]),
    "CheckpointLoaderSimple": (["ckpt_name"], ["MODEL", "CLIP", "VAE"]),
    "CLIPTextEncode": (["text"], ["CONDITIONING"]),
    "VAEEncodeForInpaint": (["grow_mask_by"], ["LATENT"]),
    "KSampler": (
        ["seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
        ["LATENT"],
    ),
    "VAEDecode": ([], ["IMAGE"]),
    "EmptyLatentImage": (["width", "height", "batch_size"], ["LATENT"]),
    "SAM3_Detect": (
        ["threshold", "refine_iterations", "individual_masks"],
        ["MASK", "BOUNDING_BOX"],
    ),
    "MarkdownNote": (["text"], []),
}
NOTES = ("MarkdownNote",)
MUTED = 2  # what needs weights that do not come with the pack
GROWING = "COMFY_AUTOGROW_V3"
INFO = {node.GET_SCHEMA().node_id: node.GET_NODE_INFO_V1() for node in NODES}


def read(name):
    return json.loads(TEMPLATES[name].read_text("utf-8"))


def read_api(name):
    return json.loads((API / f"{name}.json").read_text("utf-8"))


def inputs_of(kind):
    """Input name → (type, options) of one of our nodes."""
    sections = INFO[kind]["input"]
    specs = {**sections.get("required", {}), **sections.get("optional", {})}
    found = {}
    for name, spec in specs.items():
        options = spec[1] if len(spec) > 1 else {}
        if spec[0] == GROWING:
            ((type_, _),) = next(inner for inner in options["template"]["input"].values() if inner
                                 ).values()  # fmt: skip
            found |= {f"{name}.{one}": (type_, {}) for one in options["template"]["names"]}
        else:
            found[name] = (spec[0], options)
    return found


def required_of(kind):
    """The inputs without which the server takes no prompt; growing ones are the node's own care."""
    specs = INFO[kind]["input"].get("required", {})
    return {name for name, spec in specs.items() if spec[0] != GROWING}


def widgets_of(kind):
    """The widgets in the order in which a workflow stores them."""
    if kind in CORE:
        return CORE[kind][0]
    names = []
    for name, (type_, options) in inputs_of(kind).items():
        if type_ in WIDGET_TYPES and not options.get("forceInput"):
            names.append(name)
            if options.get("control_after_generate"):
                names.append("control_after_generate")
    return names


def output_types_of(kind):
    return CORE[kind][1] if kind in CORE else INFO[kind]["output"]


def fits(type_, wanted):
    return bool({*type_.split(",")} & {*wanted.split(",")})


def as_prompt(graph):
    """The graph in API format: what the front end would queue, muted nodes left out."""
    links = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    prompt = {}
    for node in graph["nodes"]:
        if node["type"] in NOTES or node["mode"] == MUTED:
            continue
        widgets = zip(widgets_of(node["type"]), node["widgets_values"], strict=True)
        inputs = {k: v for k, v in widgets if k not in ("control_after_generate", "upload")}
        inputs |= {i["name"]: links[i["link"]] for i in node["inputs"] if i["link"] is not None}
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


by_graph = pytest.mark.parametrize("name", GRAPHS)


def test_there_are_examples_and_none_without_its_other_format():
    assert {"just_caption", "caption_folder"} <= {*GRAPHS}
    assert len(GRAPHS) == len([*EXAMPLES.glob("*.json")])
    assert sorted(path.stem for path in API.glob("*.json")) == sorted(GRAPHS)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("02 Caption image", "caption_image"),
        ("12 Detect, crop, caption", "detect_crop_caption"),
        ("Detect 3D overlay", "detect_3d_overlay"),
        ("chat", "chat"),
    ],
)
def test_a_twin_is_named_as_its_title_without_the_number(title, name):
    assert api_name(title) == name


def test_titles_are_words_in_one_order_and_the_shortest_way_is_first():
    numbers = [path.stem.split()[0] for path in TEMPLATES.values()]
    assert numbers == [f"{number:02}" for number in range(1, len(GRAPHS) + 1)]
    assert GRAPHS[0] == "just_caption"


def test_just_a_caption_needs_nothing_to_be_set():
    defaults = {}
    for node in read_api("just_caption").values():
        for key, value in node["inputs"].items():
            type_, options = inputs_of(node["class_type"])[key]
            if type_ in WIDGET_TYPES:
                first = options["options"][0] if type_ == "COMBO" else None
                defaults[key] = value, options.get("default", first)
    assert len(defaults) > 15
    assert [key for key, (value, default) in defaults.items() if value != default] == []


@by_graph
def test_a_graph_is_one_that_the_front_end_opens(name):
    graph = read(name)
    assert graph["version"] == 0.4
    ids = [node["id"] for node in graph["nodes"]]
    assert len(ids) == len({*ids})
    assert graph["last_node_id"] == max(ids)
    assert graph["last_link_id"] == max(link[0] for link in graph["links"])
    assert {node["type"] for node in graph["nodes"]} <= {*INFO, *CORE}


@by_graph
def test_widgets_are_those_of_the_nodes(name):
    for node in read(name)["nodes"]:
        widgets = widgets_of(node["type"])
        assert len(node["widgets_values"]) == len(widgets), node["type"]
        named = dict(zip(widgets, node["widgets_values"], strict=True))
        assert node.get("widgets_values_named", named) == named


@by_graph
def test_seeds_stay_as_they_are(name):
    """A folder run with another seed each time would write every caption again."""
    for node in read(name)["nodes"]:
        values = dict(zip(widgets_of(node["type"]), node["widgets_values"], strict=True))
        assert values.get("control_after_generate", "fixed") == "fixed"


@by_graph
def test_links_join_sockets_that_are_there(name):
    graph = read(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link, source, source_slot, target, target_slot, type_ in graph["links"]:
        output = nodes[source]["outputs"][source_slot]
        wanted = nodes[target]["inputs"][target_slot]
        assert link in output["links"]
        assert wanted["link"] == link
        assert output["type"] == type_
        assert fits(type_, wanted["type"])
    ends = [i["link"] for node in nodes.values() for i in node["inputs"] if i["link"] is not None]
    assert sorted(ends) == sorted(link[0] for link in graph["links"])


@by_graph
def test_sockets_are_those_of_the_nodes(name):
    for node in read(name)["nodes"]:
        if node["type"] in INFO:
            types = {n: type_ for n, (type_, _) in inputs_of(node["type"]).items()}
            there = {i["name"]: i["type"] for i in node["inputs"]}
            # Of those that grow, as many as are linked and one more.
            assert there == {n: t for n, t in types.items() if "." not in n or n in there}
        assert [o["type"] for o in node["outputs"]] == output_types_of(node["type"])


@by_graph
def test_both_formats_say_the_same(name):
    prompt = read_api(name)
    plain = {k: {key: n[key] for key in ("class_type", "inputs")} for k, n in prompt.items()}
    assert plain == as_prompt(read(name))


@by_graph
def test_a_prompt_is_one_that_the_server_takes(name):
    prompt = read_api(name)
    for node in prompt.values():
        kind = node["class_type"]
        if kind in CORE:
            continue
        specs = inputs_of(kind)
        assert required_of(kind) <= {*node["inputs"]} <= {*specs}
        for key, value in node["inputs"].items():
            type_, options = specs[key]
            if isinstance(value, list):
                source = prompt[value[0]]["class_type"]
                assert fits(output_types_of(source)[value[1]], type_)
            elif key in ("folder", "pdf_file"):
                # Its menu is what is there; the node itself takes any allowed one.
                documents = ("example documents", "example documents/two_pages.pdf")
                assert value in ("output", "example images", *documents)
            elif type_ == "COMBO":
                assert value in options["options"], key
            elif type_ in ("INT", "FLOAT"):
                assert options["min"] <= value <= options["max"], key
            else:
                assert isinstance(value, {"STRING": str, "BOOLEAN": bool}[type_]), key


@by_graph
def test_a_graph_has_its_picture_in_the_template_browser(name):
    picture = TEMPLATES[name].with_suffix(".jpg")
    assert picture.read_bytes()[:3] == b"\xff\xd8\xff"
    assert picture.stat().st_size < 150_000


@pytest.mark.parametrize(
    "name", ["detect_and_draw", "detect_crop_caption", "gui_action", "read_text"]
)
def test_app_mode_shows_widgets_and_nodes_that_are_there(name):
    """Only where a picture is the result: app mode of ComfyUI 0.33 shows no node's text."""
    graph = read(name)
    app, nodes = graph["extra"]["linearData"], {node["id"]: node for node in graph["nodes"]}
    assert all(widget in widgets_of(nodes[number]["type"]) for number, widget in app["inputs"])
    assert {*app["outputs"]} <= {*nodes}
