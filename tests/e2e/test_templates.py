"""Every template gives the right answer as it is shipped, on a real ComfyUI with the demo."""

import json

import hosting
import pytest
from template_answers import ANSWERS, NEEDS, check_answers

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(hosting.find_comfyui() is None, reason="needs a ComfyUI checkout"),
]
API = hosting.ROOT / "examples" / "api"


def queued(server, name):
    """The answer to queueing a template, and what its run left in the history."""
    prompt = json.loads((API / f"{name}.json").read_text("utf-8"))
    if name == "folder_pieces":  # caption_folder has captioned all of them before it
        prompt["2"]["inputs"]["only_without_caption"] = False
        prompt["4"]["inputs"]["mode"] = "overwrite own"
    # Older cores leave what was cached in the history only for a client that has a name.
    answer = server.post("/prompt", {"prompt": prompt, "client_id": "templates"})
    return answer, server.wait(answer["prompt_id"])


def test_every_template_has_its_expected_answer():
    assert sorted([*ANSWERS, *NEEDS]) == sorted(path.stem for path in API.glob("*.json"))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_template_answers_right_as_it_is_shipped(demo_server, name):
    answer, entry = queued(demo_server, name)
    assert answer["node_errors"] == {}
    assert hosting.error_of(entry) == ""
    check_answers(name, entry["outputs"])


@pytest.mark.parametrize("name", NEEDS)
def test_a_template_that_needs_more_says_so(demo_server, name):
    error = hosting.error_of(queued(demo_server, name)[1])
    assert error.startswith(NEEDS[name])
