"""LoRA adapters: merged, attached, several, and each wrong one named."""

import dataclasses
import importlib.util

import pytest
import torch
from checkpoint_kinds import edit_json, edit_weights, logits, write_adapter
from engine_requests import ask
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.checkpoint.lora_files import inspect_adapter
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.hub.discovery import adapter_folders
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.plan import prepare as preparing
from qwen3vl_nodes.loaders.plan.capability import FLOORS
from qwen3vl_nodes.loaders.plan.decision import Plan
from qwen3vl_nodes.loaders.plan.hardware import this_machine
from qwen3vl_nodes.loaders.plan.weight_ways import PLAIN
from qwen3vl_nodes.loaders.settings import NATIVE, Adapter, LoadSettings
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.lora_layers import apply, merge
from qwen3vl_nodes.utils.errors import LoadError
from qwen3vl_pack import ROOT

HAS_PEFT = importlib.util.find_spec("peft") is not None


def module_of(kind, name="dense"):
    checkpoint = inspect(kind(name))
    plan = Plan(torch.device("cpu"), torch.float32, "sdpa", "none", PLAIN)
    return build(checkpoint, plan, NATIVE).module


@pytest.fixture
def adapter(kind, tmp_path):
    return write_adapter(tmp_path / "loras" / "style", module_of(kind))


def files_of(kind, folder, name="dense"):
    return inspect_adapter(folder, inspect(kind(name)).architecture)


def test_merged_by_hand(kind, adapter):
    from safetensors.torch import load_file

    module = module_of(kind)
    before = {name: p.clone() for name, p in module.named_parameters()}
    merge(module, files_of(kind, adapter), 0.5)
    stored = load_file(adapter / "adapter_model.safetensors")
    for name, after in module.named_parameters():
        key = f"base_model.model.{name.removesuffix('.weight')}"
        expected = before[name]
        if f"{key}.lora_A.weight" in stored:
            product = stored[f"{key}.lora_B.weight"] @ stored[f"{key}.lora_A.weight"]
            expected = expected + 0.5 * 8 / 4 * product
        assert torch.allclose(after, expected, atol=1e-6), name


@pytest.mark.skipif(not HAS_PEFT, reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")  # of peft
def test_attached_reaches_the_answers(kind, adapter, monkeypatch, lying_in):
    """The fast engine would read the weights inside of peft's layers, and leave the adapter out."""
    monkeypatch.setattr(local_model, "host", lambda: torch_only)
    monkeypatch.setattr(catalog, "folder_of", kind)
    lying_in(adapters=[adapter.parent])
    plain = LocalModel(LoadSettings("dense", device="cpu", dtype="fp32"))
    found = []
    for handle in (plain, *(plain.with_adapter(Adapter("style", 3.0, m)) for m in (True, False))):
        with torch.inference_mode(), handle.open() as engine:
            requests = [ask("A question", max_new_tokens=12, temperature=0.0)]
            found.append([reply.text for _, reply in engine.generate(requests)])
        handle.unload()
    assert found[0] != found[1] == found[2]


@pytest.mark.skipif(not HAS_PEFT, reason="peft is not installed")
@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_attached_is_merged(kind, adapter, tmp_path, strength):
    other = write_adapter(tmp_path / "loras" / "other", module_of(kind), rank=2, seed=1)
    found = {}
    for merged in (True, False):
        module = module_of(kind)
        apply(module, [
            (Adapter("style", strength, merged), files_of(kind, adapter)),
            (Adapter("other", 1.0, merged), files_of(kind, other)),
        ])  # fmt: skip
        found[merged] = logits(module)
    assert torch.allclose(found[True], found[False], atol=1e-4)
    assert not torch.allclose(found[True], logits(module_of(kind)), atol=1e-2)


def test_attached_without_peft(kind, adapter, monkeypatch, lying_in):
    """Known before weights load; merging does not need it."""
    monkeypatch.setattr(catalog, "folder_of", kind)
    lying_in(adapters=[adapter.parent])
    machine = dataclasses.replace(this_machine(), packages={"transformers": "5.0.0"})
    monkeypatch.setattr(preparing, "this_machine", lambda: machine)
    plain = LocalModel(LoadSettings("dense", device="cpu", dtype="fp32"))
    assert "merged" in plain.with_adapter(Adapter("style")).describe()
    both = plain.with_adapter(Adapter("style")).with_adapter(Adapter("style", 1.0, False))
    with pytest.raises(LoadError, match="needs the package peft") as caught:
        both.describe()
    assert "choose merged" in caught.value.remedy


def test_a_merge_that_overflows_is_refused(kind, adapter):
    with pytest.raises(LoadError, match=r"makes model\.\S+ infinite") as caught:
        merge(module_of(kind).half(), files_of(kind, adapter), 1e6)
    assert "strength" in caught.value.remedy


@pytest.mark.skipif(not HAS_PEFT, reason="peft is not installed")
def test_attached_to_bf16(kind, adapter):
    module = module_of(kind).bfloat16()
    plain = logits(module)
    apply(module, [(Adapter("style", 1.0, False), files_of(kind, adapter))])
    assert not torch.allclose(logits(module), plain, atol=1e-1)


@pytest.mark.skipif(not HAS_PEFT, reason="peft is not installed")
def test_an_adapters_config_is_data(kind, adapter, tmp_path, monkeypatch):
    """peft imports what `megatron_core` names; dropout would answer greedily, each time other."""
    (tmp_path / "evil_core.py").write_text("raise SystemExit('code of an adapter ran')")
    monkeypatch.syspath_prepend(tmp_path)
    plain, merged = module_of(kind), module_of(kind)
    apply(merged, [(Adapter("style", 1.0, True), files_of(kind, adapter))])
    edit_json(
        adapter / "adapter_config.json",
        megatron_config={}, megatron_core="evil_core", lora_dropout=0.5, unknown_field={"a": 1},
        target_modules="all-linear", eva_config={"rho": 2}, layers_to_transform=[0],
        runtime_config={"ephemeral_gpu_offload": True},
    )  # fmt: skip
    apply(plain, [(Adapter("style", 1.0, False), files_of(kind, adapter))])
    assert not any(part.training for part in plain.modules())
    assert torch.equal(logits(plain), logits(plain))
    assert torch.allclose(logits(plain), logits(merged), atol=1e-4)
    plain.train()  # whoever puts it into training: nothing is dropped all the same
    assert torch.equal(logits(plain), logits(plain))


def test_a_peft_that_is_too_old_is_named(kind, adapter, monkeypatch, lying_in):
    """Not its own error in the middle of a load."""
    monkeypatch.setattr(catalog, "folder_of", kind)
    lying_in(adapters=[adapter.parent])
    machine = dataclasses.replace(
        this_machine(), packages={"transformers": "5.0.0", "peft": "0.17.1"}
    )
    monkeypatch.setattr(preparing, "this_machine", lambda: machine)
    model = LocalModel(LoadSettings("dense", device="cpu", dtype="fp32"))
    with pytest.raises(LoadError, match=r"needs peft 0\.20 or newer, not 0\.17\.1"):
        model.with_adapter(Adapter("style", 1.0, False)).describe()
    assert model.with_adapter(Adapter("style")).describe()


def test_the_floors_are_the_projects_own():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for package, (major, minor) in FLOORS.items():
        assert f"{package}>={major}.{minor}" in text


def rewrite(folder, change):
    edit_weights(folder / "adapter_model.safetensors", change)


def test_other_wrappers_around_the_names(kind, adapter):
    """As trainers save them: without peft's words, or with those of parallel training."""
    expected = {layer.module for layer in files_of(kind, adapter).layers}
    for prefix in ("", "module.", "module.base_model.model."):
        rewrite(adapter, lambda w, p=prefix: rename(w, p))
        assert {layer.module for layer in files_of(kind, adapter).layers} == expected


def rename(weights, prefix):
    for name in list(weights):
        weights[prefix + name[name.index("model.language_model.") :]] = weights.pop(name)


def of_the_patches(folder):
    def add(weights):
        name = "base_model.model.model.visual.patch_embed.proj"
        weights[f"{name}.lora_A.weight"] = torch.ones(4, 3, 2, 16, 16)
        weights[f"{name}.lora_B.weight"] = torch.ones(32, 4, 1, 1, 1)

    rewrite(folder, add)


def twice(folder):
    rewrite(folder, lambda w: w.update({f"module.{n}": t.clone() for n, t in w.items()}))


def wrong_shape(folder):
    edit_json(folder / "adapter_config.json", r=5)


def no_weights(folder):
    (folder / "adapter_model.safetensors").unlink()


def cut(folder):
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


WRONG = {
    "code": (lambda f: edit_json(f / "adapter_config.json", auto_map={}), "auto_map"),
    "another kind": (
        lambda f: edit_json(f / "adapter_config.json", peft_type="IA3"), "'IA3' adapter"),
    "DoRA": (lambda f: edit_json(f / "adapter_config.json", use_dora=True), "use_dora"),
    "other layers": (
        lambda f: edit_json(f / "adapter_config.json", layer_replication=[[0, 2]]),
        "layer_replication"),
    "only after a word": (
        lambda f: edit_json(f / "adapter_config.json", alora_invocation_tokens=[1]), "alora"),
    "begun in the base model": (
        lambda f: edit_json(f / "adapter_config.json", init_lora_weights="pissa_niter_4"),
        "init_lora_weights 'pissa_niter_4'"),
    "no rank": (lambda f: edit_json(f / "adapter_config.json", r=None), "'r'"),
    "another rank": (wrong_shape, "does not fit this model"),
    "no weights": (no_weights, "no adapter_model.safetensors"),
    "cut off": (cut, "cut off"),
    "whole numbers": (
        lambda f: rewrite(f, lambda w: w.update({n: t.to(torch.int32) for n, t in w.items()})),
        "stored as I32"),
    "a convolution": (of_the_patches, "the convolution model.visual.patch_embed.proj"),
    "a layer twice": (twice, "two pairs of matrices for one layer"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "no adapter_config.json"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_adapter_is_named(kind, adapter, name):
    change, words = WRONG[name]
    change(adapter)
    with pytest.raises(LoadError) as caught:
        files_of(kind, adapter)
    assert words in str(caught.value)


def test_made_for_another_size(kind, adapter):
    with pytest.raises(LoadError, match=r"does not fit.*Qwen/Qwen3-VL-2B-Instruct"):
        files_of(kind, adapter, "fp8")


def test_from_the_menu_to_the_weights(kind, adapter, monkeypatch, lying_in):
    monkeypatch.setattr(local_model, "host", lambda: torch_only)
    monkeypatch.setattr(catalog, "folder_of", kind)
    lying_in(adapters=[adapter.parent])
    plain = LocalModel(LoadSettings("dense", device="cpu", dtype="fp32"))
    styled = plain.with_adapter(Adapter("style"))
    assert (
        styled.settings != plain.settings and "LoRA style, strength 1, merged" in styled.describe()
    )
    assert list(adapter_folders([adapter.parent])) == ["style"]
    with styled.open() as engine, torch.inference_mode():
        after = logits(engine._module)
    styled.unload()
    assert not torch.allclose(after, logits(module_of(kind)), atol=1e-2)
    with pytest.raises(LoadError, match="No LoRA adapter called 'gone'"):
        plain.with_adapter(Adapter("gone")).describe()
