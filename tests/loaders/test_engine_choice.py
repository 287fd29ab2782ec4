"""What the fast engine cannot drive goes to the reference engine, or is refused early."""

import dataclasses
import json

import pytest
from checkpoint_kinds import edit_json
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.engine.model.layers import supports
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.plan import prepare as preparing
from qwen3vl_nodes.loaders.plan.decision import OFFLOAD
from qwen3vl_nodes.loaders.plan.weight_ways import FP8, PACKED, QUANTIZED
from qwen3vl_nodes.loaders.settings import NATIVE, YARN, Adapter, LoadSettings
from qwen3vl_nodes.loaders.weights.build import build, size_bytes
from qwen3vl_nodes.loaders.weights.meta_module import empty_module, model_config
from qwen3vl_nodes.utils.errors import LoadError
from torch import float32, nn


@pytest.fixture
def module(kind):
    checkpoint = inspect(kind("dense"))
    return empty_module(checkpoint, model_config(checkpoint, NATIVE, "sdpa"), float32)


class Around(nn.Module):
    """As peft wraps a layer."""

    def __init__(self, layer):
        super().__init__()
        self.base_layer, self.weight, self.bias = layer, layer.weight, layer.bias


def test_layers_inside_of_an_adapter_are_not_driven(module):
    assert supports(module) is None
    mlp = module.model.language_model.layers[1].mlp
    mlp.down_proj = Around(mlp.down_proj)
    assert supports(module) == "an adapter is attached to its layers"


@pytest.fixture
def checkpoint_of(copy_of, monkeypatch):
    """Settings for a tiny checkpoint with changes in its text_config; nothing may be built."""

    def built(*_args):
        raise AssertionError("weights were loaded")

    def settings(**changes):
        folder = copy_of("dense")
        text = json.loads((folder / "config.json").read_text())["text_config"]
        edit_json(folder / "config.json", text_config=text | changes)
        monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
        return LoadSettings("x", device="cpu", engine="fast")

    for module in (local_model, preparing):
        monkeypatch.setattr(module, "host", lambda: torch_only)
    monkeypatch.setattr(local_model, "build", built)
    return settings


def replan(monkeypatch, **changes):
    """As if plan had decided so, which needs packages and GPUs that are not here."""
    original = preparing.plan
    planned = lambda *args: dataclasses.replace(original(*args), **changes)  # noqa: E731
    monkeypatch.setattr(preparing, "plan", planned)


STRETCHED = {"rope_type": "dynamic", "factor": 2.0, "mrope_section": [4, 2, 2], "rope_theta": 1e6}
FOUR_BIT = {"weights": QUANTIZED, "quantization": "4-bit"}
# What plan decides, what config.json says; the reason, and what may be chosen instead.
REFUSED = {
    "4-bit": (FOUR_BIT, {}, "stay quantized", ", or quantization none."),
    "FP8": ({"weights": FP8}, {}, "stay quantized", ", or dtype bf16."),
    "packed": ({"weights": PACKED}, {}, "stay quantized", ", or a checkpoint of plain weights."),
    "offload": ({"placement": OFFLOAD}, {}, "GPU and RAM moves its layers", ", or one device."),
    "gelu": ({}, {"hidden_act": "gelu"}, "gelu, not silu", "reference."),
    "dynamic rope": ({}, {"rope_parameters": STRETCHED}, "'dynamic'", "reference."),
    "two at once": (
        {**FOUR_BIT, "placement": OFFLOAD}, {}, "about, and its weights",
        ", or one device and quantization none."),
    "no way out of one": (
        {**FOUR_BIT}, {"hidden_act": "gelu"}, "quantized, and its act", "reference."),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_fast_is_refused_before_weights_load(checkpoint_of, monkeypatch, name):
    planned, config, problem, remedy = REFUSED[name]
    settings = checkpoint_of(**config)
    replan(monkeypatch, **planned)
    for ask in (LocalModel(settings).describe, lambda: local_model.LoadedModel(settings)):
        with pytest.raises(LoadError) as caught:
            ask()
        assert problem in caught.value.problem
        assert caught.value.remedy.startswith("Choose engine auto or reference")
        assert caught.value.remedy.endswith(remedy)
    LocalModel(dataclasses.replace(settings, engine="auto")).describe()


def test_an_attached_lora_is_refused_before_weights_load(checkpoint_of, monkeypatch):
    plain = LocalModel(checkpoint_of())
    monkeypatch.setattr(preparing, "_loras", lambda *_: ())
    plain.with_adapter(Adapter("style")).describe()
    with pytest.raises(LoadError, match=r"LoRA is attached.*or merged in the LoRA node\."):
        plain.with_adapter(Adapter("style", merged=False)).describe()


@pytest.mark.parametrize("rope", ["default", "mrope", "yarn"])
def test_fast_is_not_refused_without_need(checkpoint_of, rope):
    settings = checkpoint_of(rope_parameters={**STRETCHED, "rope_type": rope})
    LocalModel(settings).describe()
    if rope != "yarn":
        LocalModel(dataclasses.replace(settings, context=YARN)).describe()


def test_an_engine_that_cannot_be_made_leaves_nothing_behind(checkpoint_of, monkeypatch):
    """The weights had their place in memory management already, with nobody to unload them."""
    settings = dataclasses.replace(checkpoint_of(), engine="auto")
    monkeypatch.setattr(local_model, "build", build)

    def fail(*_args):
        raise LoadError("No engine.", "Choose another.")

    monkeypatch.setattr(local_model, "_engine", fail)
    places = []
    residence = torch_only.residence
    monkeypatch.setattr(
        torch_only, "residence", lambda *args: places.append(residence(*args)) or places[-1]
    )
    with pytest.raises(LoadError, match="No engine"), LocalModel(settings).open():
        pass
    assert len(places) == 1 and size_bytes(places[0]._module) == 0
    assert not MODEL_CACHE.settings()
