"""Options: what comes of the fields, and what is said of it."""

import pytest
from node_running import run_node
from qwen3vl_nodes.nodes.models.options import (
    AS_TRAINED,
    EXACT,
    JSON,
    THINKING_OFF,
    Qwen3VLOptions,
)
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.errors import InputError

FIELDS = {
    "sampling": "official", "max_new_tokens": 0, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
    "repetition_penalty": 1.0, "presence_penalty": 1.5, "min_picture_tokens": 0,
    "max_picture_tokens": 0, "stop": "",
}  # fmt: skip


def options(**fields):
    output = run_node(Qwen3VLOptions, **(FIELDS | fields))
    return output.args[0], output.ui["text"][0], output.ui["report"]


def test_a_workflow_of_before_gives_what_it_gave():
    made, text, notes = options()
    assert made == GenerationOptions() and notes == []
    assert text.splitlines()[0].startswith("Instruct, pictures: up to 16384 tokens")


def test_thinking():
    assert options(thinking=AS_TRAINED)[0].thinking is None
    assert options(thinking=THINKING_OFF)[0].thinking is False
    made, text, notes = options(thinking_budget=200)
    assert made.thinking_budget == 200 and "thinks up to 200 tokens" in text
    assert notes == ["Instruct editions do not think: the thinking fields are for Thinking ones"]


def test_top_k_off():
    made, text, _ = options(sampling="custom", top_k=0)
    assert made.top_k == 0 and "top_k off" in text


@pytest.mark.parametrize(
    ("size", "tokens"), [("fast", 256), ("balanced", 1280), ("detailed", 4096)]
)
def test_picture_sizes(size, tokens):
    made, _, notes = options(picture_size=size, max_picture_tokens=9)
    assert (made.min_pixels, made.max_pixels) == (None, tokens * 1024)
    assert notes == [f"No effect: the picture tokens, because picture_size is {size}"]


def test_exact_sizes():
    made, text, _ = options(picture_size=EXACT, width=640, height=320)
    assert made == GenerationOptions(exact_size_wh=(640, 320))
    assert "640 x 320 pixels" in text
    assert options(width=640)[0] == GenerationOptions()
    with pytest.raises(InputError, match="640 x 333 pixels cannot be seen"):
        options(picture_size=EXACT, width=640, height=333)
    with pytest.raises(InputError, match="16384 x 16384"):
        options(picture_size=EXACT, width=16_384, height=16_384)


def test_json():
    assert options(answer=JSON)[0].json_schema == "{}"
    assert options(answer=JSON, json_schema=' {"type": "array"} ')[0].json_schema == (
        '{"type": "array"}'
    )
    made, _, notes = options(json_schema="{}")
    assert made.json_schema is None
    assert notes == ["No effect: json_schema, because answer is text"]
    with pytest.raises(InputError, match="is no JSON"):
        options(answer=JSON, json_schema="{")


def test_fields_without_effect_are_said():
    assert options(temperature=0.2)[2] == [
        "No effect: temperature 0.2, because sampling is official"
    ]
