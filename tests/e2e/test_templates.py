"""Every template gives the right answer as it is shipped, on a real ComfyUI with the demo."""

import json

import hosting
import pytest

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(hosting.find_comfyui() is None, reason="needs a ComfyUI checkout"),
]
API = hosting.ROOT / "examples" / "api"
MOVES = "A white square moves to the left"
# What nodes show, by template and node: parts of it, in their order.
ANSWERS = {
    "caption_folder": {"2": ["written words.png", "written 13, skipped 0, failed 0"]},
    "just_caption": {"3": ["A red square, a yellow star, a pink cross, a blue square and a black"]},
    "caption_image": {"3": ["A blue heart, a white circle and an orange diamond."]},
    "chat": {"4": ["Picture 1."], "5": ["Picture 2."], "6": ["Picture 2."]},
    "compare_pictures": {"4": ["Picture 1."]},
    "detect_and_draw": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "detect_crop_caption": {"6": ["A blue star.", "A purple square."]},
    "detect_mask_inpaint": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "detect_to_sam3_masks": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "document_folder": {"2": ["written two_pages.pdf", "written 1, skipped 0, failed 0"]},
    "document_pdf": {"3": ["# Harbor", "| 913.56 | 4 | 933.32 |", "# Moss Kitten Turtle"]},
    "extract_fields": {
        "3": ['{"time": "23:35", "item": "Robot", "price": "125.28"}'],
        "4": ["125.28"],
    },
    "folder_pieces": {"4": ["skipped 0, failed 0"]},
    "gui_action": {"3": ["Click at (25", ", 4"]},
    "parse_text": {"3": ["3 found"]},
    "picture_to_code": {"3": ["Jungle Silk Kus</h1>", "<td>872.47</td>", "</body></html>"]},
    "point_to_sam3": {"3": ["2 found: star, square", "- star at ", "- square at "]},
    "read_text": {"3": ["tree\nWheat Border\nRoyal 995\nSpoon BEST stable"]},
    "video_describe": {"4": [MOVES], "5": ["red cross is visible"]},
    "video_events": {"4": [MOVES, "A red cross"], "6": ["00:00.00", "white square"]},
}
# What the demo cannot do says what it needs, before any weight is read.
NEEDS = {
    "caption_on_server": "The server 'vLLM' cannot be reached",
    "detect_3d_overlay": "Qwen3-VL-4B-Instruct is not on this machine.",
    "prompt_enhancer": "Qwen3-VL-4B-Instruct is not on this machine.",
    "zoom": "Qwen3-VL-4B-Instruct is not on this machine.",
}


def queued(server, name):
    """The answer to queueing a template, and what its run left in the history."""
    prompt = json.loads((API / f"{name}.json").read_text("utf-8"))
    if name == "folder_pieces":  # caption_folder has captioned all of them before it
        prompt["2"]["inputs"]["only_without_caption"] = False
        prompt["4"]["inputs"]["mode"] = "overwrite own"
    answer = server.post("/prompt", {"prompt": prompt})
    return answer, server.wait(answer["prompt_id"])


def test_every_template_has_its_expected_answer():
    assert sorted([*ANSWERS, *NEEDS]) == sorted(path.stem for path in API.glob("*.json"))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_template_answers_right_as_it_is_shipped(demo_server, name):
    answer, entry = queued(demo_server, name)
    assert answer["node_errors"] == {}
    assert hosting.error_of(entry) == ""
    for node, parts in ANSWERS[name].items():
        said = "\n".join(entry["outputs"][node]["text"])
        places = [said.find(part) for part in parts]
        assert min(places) >= 0 and places == sorted(places), said


@pytest.mark.parametrize("name", NEEDS)
def test_a_template_that_needs_more_says_so(demo_server, name):
    error = hosting.error_of(queued(demo_server, name)[1])
    assert error.startswith(NEEDS[name])
