"""The loader node's form, and that a node lets go of its model however it ends."""

import pytest
from engine_requests import ask
from node_running import LOADER
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.nodes.models.loader import Qwen3VLLoader
from qwen3vl_nodes.nodes.shared.running import answer_all
from qwen3vl_nodes.utils.errors import GenerationError


def test_a_newcomer_sees_three_widgets_and_none_has_moved():
    widgets = Qwen3VLLoader.define_schema().inputs
    assert [widget.id for widget in widgets] == [
        "model", "dtype", "attention", "quantization", "device", "engine",
        "context", "keep", "download",
    ]  # fmt: skip
    shown = [widget.id for widget in widgets if not widget.as_dict().get("advanced")]
    assert shown == ["model", "quantization", "download"]


@pytest.mark.parametrize("name", ["Tiny", "Qwen-VL/Thinker", "Qwen3-VL-8B-Instruct", None])
def test_a_model_that_can_be_found_or_fetched_is_taken(comfy, name):
    assert Qwen3VLLoader.validate_inputs(model=name) is True


def test_a_model_that_is_nowhere_is_named_before_anything_runs(comfy):
    assert "Nowhere-7B" in Qwen3VLLoader.validate_inputs(model="Nowhere-7B")


@pytest.mark.parametrize("count", [1, 3])
def test_a_failed_run_lets_go_of_its_model(comfy, count):
    """An error keeps its frames alive, so they must not hold the model."""
    model = LocalModel(LoadSettings("Tiny", **LOADER))
    with pytest.raises(GenerationError, match="4096") as caught:
        answer_all(model, [ask("x" * 5000)] + [ask("a", max_new_tokens=300)] * (count - 1), None)
    assert caught.value.__traceback__ is not None
    assert MODEL_CACHE.settings() == (model.settings,)
    assert not MODEL_CACHE.in_use(model.settings)
