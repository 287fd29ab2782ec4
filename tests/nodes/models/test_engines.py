"""Which engine a loaded model gets, and that it is the user's choice."""

import pytest
from node_running import SHORT, run_node
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.nodes.asking.caption import Qwen3VLCaption
from qwen3vl_nodes.utils.chat.composition import EACH
from qwen3vl_nodes.utils.errors import LoadError


def tiny(engine):
    return LocalModel(LoadSettings("Tiny", device="cpu", engine=engine))


@pytest.mark.parametrize(
    ("choice", "kind"),
    [("auto", FastEngine), ("fast", FastEngine), ("reference", ReferenceEngine)],
)
def test_the_choice_decides(comfy, choice, kind):
    with tiny(choice).open() as engine:
        assert type(engine) is kind


def test_what_the_fast_engine_cannot_run_goes_to_the_reference(comfy, monkeypatch):
    monkeypatch.setattr(local_model, "supports", lambda _module: "it is made of cheese")
    with tiny("auto").open() as engine:
        assert type(engine) is ReferenceEngine
    with pytest.raises(LoadError, match="made of cheese.*Choose engine"), tiny("fast").open():
        pass


def test_both_engines_give_the_same_captions(comfy, images):
    batch = images(5)
    asked = {
        "preset": "Short caption", "instructions": "", "system_prompt": "", "seed": 7,
        "batch": EACH, "options": SHORT, "image": batch,
    }  # fmt: skip
    fast, reference = (
        run_node(Qwen3VLCaption, model=tiny(choice), **asked).args[0]
        for choice in ("fast", "reference")
    )
    assert fast == reference
