"""bitsandbytes 8-bit and 4-bit: linear layers shrink, the vision tower and lm_head do not."""

import gc
import importlib.util
import shutil
import warnings

import pytest
import torch
from checkpoint_kinds import edit_json, logits, write_adapter, write_kind
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.host.teardown import empty
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.plan.hardware import this_machine
from qwen3vl_nodes.loaders.settings import PARK, Adapter, LoadSettings
from qwen3vl_nodes.utils.errors import LoadError
from torch import nn

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@pytest.fixture
def quantized(tmp_path, monkeypatch):
    """Layers of whole blocks of 64, as bitsandbytes likes them."""
    folder = write_kind(tmp_path / "fp8", "untied")
    monkeypatch.setattr(local_model, "host", lambda: torch_only)
    monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
    this_machine.cache_clear()
    yield lambda q, **more: LocalModel(LoadSettings("x", device="cpu", quantization=q, **more))
    MODEL_CACHE.clear()


def answer(handle):
    from engine_requests import ask

    with handle.open() as engine:
        return [reply.text for _, reply in engine.generate([ask("Hello", max_new_tokens=4)])]


@needs_bitsandbytes
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("choice", "name"), [("8-bit", "Linear8bitLt"), ("4-bit", "Linear4bit")])
def test_what_is_quantized_and_what_is_not(quantized, choice, name):
    handle = quantized(choice, keep=PARK)
    assert "keep their precision" in handle.describe()
    assert "cannot be parked" in handle.describe()
    first = answer(handle)
    with handle.open() as engine:
        module = engine._module
    kinds = {path: type(part).__name__ for path, part in module.named_modules()}
    linears = {path for path, part in module.named_modules() if isinstance(part, nn.Linear)}
    inside = {path for path in linears if ".language_model.layers." in path}
    assert len(inside) == 3 * 7
    assert {kinds[path] for path in inside} == {name}
    assert {kinds[path] for path in linears - inside} == {"Linear"}
    assert any("visual" in path for path in linears - inside)
    # A real teardown, though such weights refuse to move, and though we hold the module.
    torch_only.make_room(1 << 60, torch.device("cpu"))
    assert not MODEL_CACHE.settings()
    gc.collect()
    assert not list(module.parameters()) and not list(module.buffers())
    assert answer(handle) == first


@needs_bitsandbytes
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("choice", ["4-bit", "8-bit"])
def test_what_others_packed_is_loaded_as_it_is(quantized, tmp_path, monkeypatch, choice):
    """With its tables beside the weights, in the dtype that it was made for."""
    import transformers

    quantized(choice)
    folder = catalog.folder_of("x")
    packing = {
        "8-bit": {"load_in_8bit": True},
        "4-bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
                  "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": torch.float32},
    }[choice]  # fmt: skip
    packed = tmp_path / "packed"
    transformers.Qwen3VLForConditionalGeneration.from_pretrained(
        folder,
        dtype=torch.float32 if choice == "4-bit" else torch.float16,
        quantization_config=transformers.BitsAndBytesConfig(
            llm_int8_skip_modules=["model.visual", "lm_head"], **packing
        ),
    ).save_pretrained(packed)
    for path in folder.glob("*.json"):
        if not (packed / path.name).exists():
            shutil.copyfile(path, packed / path.name)
    shutil.copyfile(folder / "chat_template.jinja", packed / "chat_template.jinja")
    monkeypatch.setattr(catalog, "folder_of", lambda _name: packed)
    own = LocalModel(LoadSettings("packed", device="cpu"))
    assert "stay quantized, as bitsandbytes made them" in own.describe()
    assert "what its packed layers compute in" in own.describe()
    assert len(answer(own)[0]) > 0


def test_plain_weights_that_call_themselves_packed(copy_of):
    folder = copy_of("dense")
    edit_json(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(LoadError, match="calls its weights bitsandbytes, but they are plain"):
        inspect(folder)


@needs_bitsandbytes
@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_lora_is_attached_to_quantized_weights_and_not_merged(quantized, tmp_path, lying_in):
    handle = quantized("4-bit", dtype="fp32")
    with handle.open() as engine:
        folder = write_adapter(tmp_path / "loras" / "style", engine._module)
        plain = logits(engine._module)
    lying_in(adapters=[folder.parent])
    with handle.with_adapter(Adapter("style", 1.0, False)).open() as engine:
        assert not torch.allclose(logits(engine._module), plain, atol=1e-2)
    with pytest.raises(LoadError, match="cannot be merged"):
        handle.with_adapter(Adapter("style")).describe()


def test_teardown_reaches_every_copy():
    """8-bit layers hold a second copy in their state, accelerate's hooks a third."""

    class State:
        copy = torch.ones(3)

    class Hook:
        def __init__(self):
            self.weights_map = {"weight": torch.ones(3)}

    layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    layer[0].state, hook = State(), Hook()
    layer[0]._hf_hook = hook
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty(layer)
    assert not list(layer.parameters()) and not list(layer.buffers())
    assert "state" not in vars(layer[0]) and not vars(hook)
