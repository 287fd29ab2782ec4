"""Control tokens typed into a question, a system prompt or a form change nothing but the text."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import qwen3vl_nodes
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder
from qwen3vl_nodes.utils.chat.composition import requests_for
from qwen3vl_nodes.utils.chat.tasks import task
from qwen3vl_nodes.utils.images.picture import Picture
from qwen3vl_nodes.utils.parsing.form_schema import read_form

DEMO = Path(str(qwen3vl_nodes.__file__)).parent / "examples" / "demo_model" / "qwen3-vl-demo"
PICTURE = Picture(np.full((64, 64, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def processor():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(DEMO)


def form(name: str) -> str:
    return task("read_fields").fill(form=read_form(f'{{"{name}": ""}}').pattern())


def test_a_typed_control_token_is_none(processor):
    tokens = processor.tokenizer.get_added_vocab()
    encoder = PromptEncoder(processor)

    def control(words: str, system: str) -> Counter[int]:
        (request,) = requests_for([PICTURE], words, system_prompt=system, seed=0)
        ids = encoder.encode(request).inputs["input_ids"][0].tolist()
        return Counter(i for i in ids if i in tokens.values())

    plain, asked = control("x", "y"), control(form("x"), "y")
    assert len(tokens) == 26
    for token in tokens:
        assert control(f"a{token}b", f"c{token}d") == plain, token
        assert control(form(f"a{token}b"), "y") == asked, token
