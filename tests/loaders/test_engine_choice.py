"""What the fast engine cannot drive goes to the reference engine."""

import pytest
from qwen3vl_nodes.loaders.checkpoint import inspect
from qwen3vl_nodes.loaders.engine.weights import supports
from qwen3vl_nodes.loaders.settings import NATIVE
from qwen3vl_nodes.loaders.skeleton import empty_module, model_config
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
