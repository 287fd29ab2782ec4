"""ComfyUI's own quantized text encoders, written by ComfyUI's own code, read through it."""

import dataclasses
import json

import fast_kit
import pytest
import torch
from qwen3vl_nodes.loaders.checkpoint.architecture import read_architecture
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.engine.model.layers import supports
from qwen3vl_nodes.loaders.host import comfyui
from qwen3vl_nodes.loaders.host.port import host
from qwen3vl_nodes.loaders.plan.decision import plan
from qwen3vl_nodes.loaders.plan.hardware import Gpu, Machine
from qwen3vl_nodes.loaders.plan.memory_estimate import estimate
from qwen3vl_nodes.loaders.plan.report import precision
from qwen3vl_nodes.loaders.plan.weight_ways import FROM_COMFYUI, KEPT_INT8, PACKED_HERE
from qwen3vl_nodes.loaders.settings import NATIVE, Adapter, LoadSettings
from qwen3vl_nodes.loaders.weights import build as building
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.packed import matrices
from qwen3vl_nodes.loaders.weights.packed.packed_linear import PackedLinear
from qwen3vl_nodes.utils.errors import LoadError

CPU = torch.device("cpu")
CONFIG = {
    "model_type": "qwen3_vl", "tie_word_embeddings": True,
    "text_config": {
        "vocab_size": 512, "hidden_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 128,
        "intermediate_size": 512, "max_position_embeddings": 262_144,
    },
    "vision_config": {
        "depth": 3, "hidden_size": 128, "intermediate_size": 96, "out_hidden_size": 256,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
    },
}  # fmt: skip
INNER = ".language_model.layers."
# The format, how ComfyUI makes it, what the file says beside its name.
FORMATS = {
    "int8_tensorwise": ({"per_channel": True}, {}),
    "int8_one_scale": ({}, {}),
    "int8_convrot": ({"per_channel": True, "convrot": True},
                     {"convrot": True, "convrot_groupsize": 256}),
    "nvfp4": ({}, {}),
    "mxfp8": ({}, {}),
    "convrot_w4a4": ({}, {"convrot_groupsize": 256}),
    "asym_w4a8_int8": ({}, {"group_size": 16, "convrot_groupsize": 256}),
    "float8_e5m2": ({"scale": "recalculate"}, {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def quantizing_comfyui(monkeypatch):
    if not set(FORMATS) - {"int8_convrot", "int8_one_scale"} <= host().quantized_formats():
        pytest.skip("this host has no quantization of its own; needs ComfyUI")
    monkeypatch.setattr(building, "read_processor", lambda _checkpoint: None)


def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        name: (torch.randn(shape, generator=generator) * 0.1).bfloat16()
        for name, shape in read_architecture(CONFIG, "").tensors().items()
    }


def quantized(kind, names):
    """A file's tensors with these packed, and what they stand for, as ComfyUI computes it."""
    from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor

    made_by, said = FORMATS[kind]
    form = "int8_tensorwise" if kind.startswith("int8_") else kind
    stored, meant = {}, {}
    for name, weight in weights().items():
        if name not in names:
            stored[name] = meant[name] = weight
            continue
        packed = QuantizedTensor.from_float(weight, QUANT_ALGOS[form]["comfy_tensor_layout"],
                                            **made_by)  # fmt: skip
        stored |= packed.state_dict(name)
        meant[name] = packed.dequantize()
        mark = json.dumps({"format": form, **said}).encode()
        stored[f"{name.removesuffix('.weight')}.comfy_quant"] = torch.tensor(
            list(mark), dtype=torch.uint8
        )
    return stored, meant


def inner(name):
    return INNER in name and "norm" not in name


def write(folder, tensors, metadata=None):
    from safetensors.torch import save_file

    path = folder / "qwen3vl_4b_test.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return inspect(path)


def planned(checkpoint, **choices):
    machine = Machine(ram_bytes=1 << 36, packages={"transformers": "4.57.6"})
    settings = LoadSettings("x", **({"dtype": "bf16", "device": "cpu"} | choices))
    return plan(settings, checkpoint, machine, CPU, lambda _device: 1 << 36)


def loaded(checkpoint, **choices):
    return build(checkpoint, planned(checkpoint, **choices), NATIVE).module


@pytest.mark.parametrize("kind", FORMATS)
def test_every_form_is_read_by_comfyuis_own_code(tmp_path, kind):
    names = [name for name in weights() if inner(name)]
    stored, meant = quantized(kind, names)
    checkpoint = write(tmp_path, stored)
    chosen = planned(checkpoint)
    assert chosen.weights == FROM_COMFYUI and chosen.movable
    assert "quantization int8 or int4 keeps them small" in chosen.notes[0]
    module = build(checkpoint, chosen, NATIVE).module
    for name, value in module.state_dict().items():
        wanted = meant.get(name, meant["model.language_model.embed_tokens.weight"])
        assert torch.equal(value, wanted.bfloat16()), name
    assert module(input_ids=torch.arange(5)[None]).logits.isfinite().all()


def test_a_packed_table_of_tokens_is_the_output_layer_too(tmp_path):
    table = "model.language_model.embed_tokens.weight"
    stored, meant = quantized("int8_tensorwise", [table])
    module = loaded(write(tmp_path, stored))
    assert torch.equal(module.get_input_embeddings().weight, meant[table])
    assert module.lm_head.weight is module.get_input_embeddings().weight


def test_the_scale_of_inputs_becomes_part_of_the_weight(tmp_path):
    name = next(name for name in weights() if inner(name))
    stored, meant = quantized("nvfp4", [name])
    smoothing = torch.rand(meant[name].shape[1]) + 0.5
    stored[f"{name.removesuffix('.weight')}.pre_quant_scale"] = smoothing
    value = loaded(write(tmp_path, stored), dtype="fp32").get_parameter(name)
    assert torch.allclose(value, meant[name].float() * smoothing, rtol=1e-2, atol=1e-3)


def test_it_is_packed_again_where_that_is_chosen(tmp_path):
    stored, meant = quantized("int8_convrot", [name for name in weights() if inner(name)])
    seen = []
    checkpoint = write(tmp_path, stored)
    chosen = planned(checkpoint, quantization="int8")
    assert chosen.weights == PACKED_HERE
    module = build(
        checkpoint, chosen, NATIVE, lambda done, total: seen.append((done, total))
    ).module
    for name in meant:
        if inner(name):
            part = module.get_submodule(name.removesuffix(".weight"))
            assert isinstance(part, PackedLinear)
            off = part.matrix.dequantized(torch.float32) - meant[name].float()
            assert off.norm() < 0.01 * meant[name].float().norm()
    assert seen and all(0 <= done <= total for done, total in seen)


def test_older_files_say_it_in_their_header(tmp_path):
    name = next(name for name in weights() if inner(name))
    stored, meant = quantized("nvfp4", [name])
    module_name = name.removesuffix(".weight")
    del stored[f"{module_name}.comfy_quant"]
    said = {"layers": {module_name: {"format": "nvfp4"}}}
    checkpoint = write(tmp_path, stored, {"_quantization_metadata": json.dumps(said)})
    assert torch.equal(loaded(checkpoint).get_parameter(name), meant[name].bfloat16())


def test_a_comfyui_that_is_too_old_is_named(tmp_path, monkeypatch):
    stored, _ = quantized("nvfp4", [next(name for name in weights() if inner(name))])
    checkpoint = write(tmp_path, stored)
    monkeypatch.setattr(comfyui, "quantized_formats", lambda: frozenset({"float8_e4m3fn"}))
    with pytest.raises(LoadError, match=r"this ComfyUI cannot read \(nvfp4\).*Update ComfyUI"):
        planned(checkpoint)


def changed(stored, module, **leaves):
    stored |= {f"{module}.{leaf}": value for leaf, value in leaves.items()}
    return stored


BAD = {
    "no scale": lambda s, m: {n: t for n, t in s.items() if n != f"{m}.weight_scale"},
    "a mark that is no JSON": lambda s, m: changed(
        s, m, comfy_quant=torch.tensor(list(b"{"), dtype=torch.uint8)),
    "a mark without a format": lambda s, m: changed(
        s, m, comfy_quant=torch.tensor(list(b"{}"), dtype=torch.uint8)),
    "no mark": lambda s, m: {n: t for n, t in s.items() if n != f"{m}.comfy_quant"},
    "rotated in no groups": lambda s, m: changed(s, m, comfy_quant=torch.tensor(
        list(b'{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":0}'),
        dtype=torch.uint8)),
    "another shape": lambda s, m: changed(s, m, weight=torch.zeros(8, 8, dtype=torch.int8)),
    "scales that are no numbers": lambda s, m: changed(
        s, m, weight_scale=torch.full_like(s[f"{m}.weight_scale"], torch.nan)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_belong_together_is_named(tmp_path, name):
    packed = [name for name in weights() if ".mlp.up_proj" in name and inner(name)]
    stored, _ = quantized("int8_tensorwise", packed)
    module = packed[0].removesuffix(".weight")
    with pytest.raises(LoadError) as caught:
        loaded(write(tmp_path, BAD[name](stored, module)))
    assert module in str(caught.value) or "is quantized in a way" in str(caught.value)
    with pytest.raises(LoadError):  # and where int8 would have stayed
        kept(inspect(tmp_path / "qwen3vl_4b_test.safetensors"))


TABLE = "model.language_model.embed_tokens.weight"
INT8 = ("int8_tensorwise", "int8_one_scale", "int8_convrot")


def on_a_gpu(checkpoint, **choices):
    gpu = Gpu("NVIDIA GeForce RTX 4090", (8, 9), 24 << 30)
    packages = {"torch": "2.11.0", "transformers": "5.23.0", "triton": "3.6.0"}
    machine = Machine(gpus=(gpu,), ram_bytes=1 << 36, packages=packages)
    cuda = torch.device("cuda:0")
    return plan(LoadSettings("x", **choices), checkpoint, machine, cuda, lambda _device: 1 << 36)


def kept(checkpoint):
    """Built on the CPU as the plan for a GPU says, but in fp32."""
    chosen = dataclasses.replace(on_a_gpu(checkpoint), device=CPU, dtype=torch.float32)
    return build(checkpoint, chosen, NATIVE).module


@pytest.mark.parametrize("kind", INT8)
def test_int8_stays_as_it_is_stored(tmp_path, kind):
    """The same tokens as `generate` on what ComfyUI makes of the file."""
    names = [name for name in weights() if inner(name)] + [TABLE]
    stored, _ = quantized(kind, names)
    checkpoint = write(tmp_path, stored)
    chosen = on_a_gpu(checkpoint)
    assert chosen.weights == KEPT_INT8 and chosen.movable
    assert "stay 8-bit" in chosen.notes[0] and precision(chosen).startswith("int8 ")
    assert any("rotated" in note for note in chosen.notes) == (kind == "int8_convrot")
    module = kept(checkpoint)
    for name in names:
        part = module.get_submodule(name.removesuffix(".weight"))
        assert isinstance(part, PackedLinear) and torch.equal(part.weight, stored[name]), name
    assert module.lm_head.weight is module.get_input_embeddings().weight
    plain = loaded(checkpoint, dtype="fp32")
    for name in names:
        part = module.get_submodule(name.removesuffix(".weight"))
        meant = plain.get_parameter(name)
        torch.testing.assert_close(part.matrix.dequantized(torch.float32), meant)
    assert supports(module) is None
    requests = [fast_kit.ask("hello"), fast_kit.ask("a" * 30, tokens=9)]
    fast_kit.check(fast_kit.engine(module, most_rows=2), requests, plain)


@pytest.mark.parametrize("kind", INT8)
def test_what_stays_int8_takes_what_was_estimated(tmp_path, kind):
    stored, _ = quantized(kind, [name for name in weights() if inner(name)])
    checkpoint = write(tmp_path, stored)
    chosen = dataclasses.replace(on_a_gpu(checkpoint), device=CPU)
    made = build(checkpoint, chosen, NATIVE)
    tables = sum(buffer.nbytes for buffer in made.module.buffers())
    assert estimate(checkpoint, chosen).weight_bytes == made.size_bytes - tables
    plain = dataclasses.replace(chosen, weights=FROM_COMFYUI)
    assert made.size_bytes < 0.8 * estimate(checkpoint, plain).weight_bytes


def test_other_forms_beside_int8_become_plain(tmp_path):
    names = [name for name in weights() if inner(name)]
    stored, _ = quantized("int8_convrot", names[1:])
    other, _ = quantized("nvfp4", names[:1])
    start = names[0].removesuffix(".weight")
    stored |= {name: tensor for name, tensor in other.items() if name.startswith(start)}
    checkpoint = write(tmp_path, stored)
    assert any("1 other packed layers" in note for note in on_a_gpu(checkpoint).notes)
    module = kept(checkpoint)
    plain = loaded(checkpoint, dtype="fp32")
    assert torch.equal(module.get_parameter(names[0]), plain.get_parameter(names[0]))
    assert module.get_parameter(names[1]).dtype == torch.int8
    fast_kit.check(fast_kit.engine(module), [fast_kit.ask("hello")], plain)
    size = dataclasses.replace(on_a_gpu(checkpoint), device=CPU, dtype=torch.float32)
    tables = sum(buffer.nbytes for buffer in module.buffers())
    assert estimate(checkpoint, size).weight_bytes == building.size_bytes(module) - tables


def test_what_comfyui_reads_otherwise_becomes_plain_and_is_said(tmp_path, monkeypatch, caplog):
    names = [name for name in weights() if inner(name)]
    stored, _ = quantized("int8_convrot", names)
    checkpoint = write(tmp_path, stored)
    monkeypatch.setattr(matrices, "rotated", lambda values, _size: values)
    module = kept(checkpoint)
    assert f"{len(names)} int8 layers" in caplog.text and "in another way" in caplog.text
    wanted = loaded(checkpoint, dtype="fp32")
    for name in names:
        assert torch.equal(module.get_parameter(name), wanted.get_parameter(name))


UNLIKE = {
    "inputs are scaled": lambda s, m: changed(s, m, pre_quant_scale=torch.ones(256)),
    "a scale for each input": lambda s, m: changed(s, m, weight_scale=torch.ones(1, 256)),
    "groups of no power of four": lambda s, m: changed(s, m, comfy_quant=torch.tensor(
        list(b'{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":32}'),
        dtype=torch.uint8)),
    "groups that are no number": lambda s, m: changed(s, m, comfy_quant=torch.tensor(
        list(b'{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":[4]}'),
        dtype=torch.uint8)),
    "groups that rows do not hold": lambda s, m: changed(s, m, comfy_quant=torch.tensor(
        list(b'{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":1024}'),
        dtype=torch.uint8)),
    "no codes": lambda s, m: changed(s, m, weight=s[f"{m}.weight"].view(torch.uint8)),
}  # fmt: skip


@pytest.mark.parametrize("name", UNLIKE)
def test_int8_of_another_make_does_not_stay(tmp_path, name):
    (packed, *_) = [name for name in weights() if ".mlp.up_proj" in name and inner(name)]
    stored, _ = quantized("int8_tensorwise", [packed])
    assert on_a_gpu(write(tmp_path, stored)).weights == KEPT_INT8
    stored = UNLIKE[name](stored, packed.removesuffix(".weight"))
    assert on_a_gpu(write(tmp_path, stored)).weights == FROM_COMFYUI


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        ({"engine": "reference"}, "computes with plain ones"),
        ({"adapters": (Adapter("x", merged=False),)}, "a LoRA is attached"),
        ({"device": "GPU and RAM"}, "moves its layers about"),
        ({"device": "cpu"}, "kernels do not run on cpu"),
    ],
)
def test_where_int8_cannot_stay_it_says_why(tmp_path, choices, why):
    stored, _ = quantized("int8_convrot", [name for name in weights() if inner(name)])
    checkpoint = write(tmp_path, stored)
    chosen = on_a_gpu(checkpoint, **choices)
    assert chosen.weights == FROM_COMFYUI and any(why in note for note in chosen.notes)
    assert on_a_gpu(checkpoint, adapters=(Adapter("x"),)).weights == KEPT_INT8
