"""Every field that a real server is sent changes its answers: none is ignored without a word.

Servers that are not set up here are skipped by name; see `real_servers.py`.
"""

import json

import hosting
import numpy as np
import pytest
from PIL import Image
from qwen3vl_nodes.loaders.servers import remote_model
from qwen3vl_nodes.loaders.servers.profiles import Profile
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.images.picture import Picture
from real_servers import CHECKPOINT, COMMANDS, RealServer

pytestmark = pytest.mark.server
GREEDY = {"temperature": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
# So hot that any word may come, but for what a field forbids.
HOT = {"temperature": 2.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0}
BOXES = 'locate every instance that belongs to the following categories: "star, square". Report '
BOXES += "bbox coordinates in JSON format."
# Not the form in which the model answers by itself: the key is another, and there is no fence.
SCHEMA = {
    "type": "array",
    "maxItems": 2,
    "items": {
        "type": "object",
        "properties": {
            "place": {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 4,
                "maxItems": 4,
            }
        },
        "required": ["place"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module", params=COMMANDS)
def model(request, tmp_path_factory):
    server = RealServer(request.param, tmp_path_factory.mktemp("dialect"))
    if not server.command:
        pytest.skip(f"{request.param} is not set up here")
    server.start()
    profile = Profile(
        "real", (f"http://127.0.0.1:{server.port}",), dialect=request.param,
        model=str(CHECKPOINT) if request.param == "transformers" else "",
        min_pixels=102_400, max_pixels=655_360,
    )  # fmt: skip
    yield remote_model.find(profile, "", lambda: None)[0]
    server.stop()


@pytest.fixture(scope="module")
def ask(model):
    """Asks for a caption of one picture, or of noise, which the demo is not sure of; the reply."""
    source = next((hosting.ROOT / "examples" / "images").glob("four_things.*"))
    clear = Picture(np.array(Image.open(source).convert("RGB")))
    noise = Picture(np.random.default_rng(1).integers(0, 256, (320, 320, 3), np.uint8))

    def asked(seed=0, unsure=False, words="Describe the image in one sentence.", **options):
        picture = noise if unsure else clear
        chosen = GenerationOptions(**{"max_new_tokens": 40 if unsure else 60} | options)
        request = Request((Message("user", (picture, words)),), chosen, seed)
        with model.open() as engine:
            [(_, reply)] = engine.generate([request])
        assert isinstance(reply, Reply), reply
        return reply

    return asked


@pytest.fixture(scope="module")
def greedy(ask):
    return ask(**GREEDY)


@pytest.fixture
def needs(model):
    def check(name):
        if name in model.dialect.cannot:
            pytest.skip(f"{model.dialect.title} cannot: {name}")

    return check


def test_greedy_is_the_same_each_time_and_ends(ask, greedy):
    assert greedy.stopped_by == "end" and greedy.tokens > 5 and greedy.prompt_tokens > 100
    assert ask(seed=5, **GREEDY).text == greedy.text


def test_so_many_tokens(ask):
    reply = ask(**GREEDY | {"max_new_tokens": 5})
    assert (reply.stopped_by, reply.tokens) == ("length", 5)


@pytest.fixture(scope="module")
def unsure(ask):
    """The likeliest words about noise."""
    return ask(unsure=True, **GREEDY).text


def test_one_candidate_is_the_likeliest(ask, unsure, needs):
    needs("top_k")
    assert ask(unsure=True, **HOT | {"top_k": 1}).text == unsure


def test_the_smallest_share_is_the_likeliest(ask, unsure):
    assert ask(unsure=True, **HOT | {"top_p": 0.01}).text == unsure


def test_heat_and_seeds(ask, unsure, needs):
    hot = ask(3, True, **HOT).text
    assert hot != unsure
    needs("seed")
    # Later words may part: what else is computed at the time changes the last digits.
    assert ask(3, True, **HOT).text[:6] == hot[:6]
    assert ask(11, True, **HOT).text[:6] != hot[:6]


@pytest.mark.parametrize("name", ["repetition_penalty", "presence_penalty"])
def test_a_penalty_changes_what_is_said(ask, unsure, needs, name):
    needs(name)
    assert ask(unsure=True, **GREEDY | {name: 2.0}).text != unsure


def test_a_stop_text_ends_it(ask, greedy):
    reply = ask(**GREEDY, stop=(",",))
    assert reply.text == greedy.text.split(",")[0]
    assert reply.tokens < greedy.tokens


def test_json_of_a_form(ask, needs):
    needs("json_schema")
    reply = ask(words=BOXES, **GREEDY | {"max_new_tokens": 200}, json_schema=json.dumps(SCHEMA))
    assert reply.text.startswith("[") and "place" in reply.text
    if reply.stopped_by == "end":  # vLLM lets a model write as many spaces as it likes
        assert all(len(item["place"]) == 4 for item in json.loads(reply.text))


def test_a_picture_has_the_tokens_of_its_size(ask, greedy):
    small = ask(**GREEDY, exact_size_wh=(320, 320))
    large = ask(**GREEDY, exact_size_wh=(640, 640))
    assert large.prompt_tokens - small.prompt_tokens == 400 - 100
