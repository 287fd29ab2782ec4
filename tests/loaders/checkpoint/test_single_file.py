"""ComfyUI's own text encoder files, in each way that it names and packs them."""

import dataclasses
import json

import pytest
import torch
from qwen3vl_nodes.loaders.checkpoint.architecture import TEXT, read_architecture
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.hub.discovery import local_copies
from qwen3vl_nodes.loaders.hub.official import DEMO_FOLDER
from qwen3vl_nodes.loaders.plan.decision import plan
from qwen3vl_nodes.loaders.plan.hardware import Gpu, Machine
from qwen3vl_nodes.loaders.plan.weight_ways import FROM_FP8, PLAIN
from qwen3vl_nodes.loaders.settings import NATIVE, LoadSettings
from qwen3vl_nodes.loaders.weights import build as building
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.processor import TEMPLATE
from qwen3vl_nodes.utils.errors import LoadError

CPU = torch.device("cpu")
CONFIG = {
    "model_type": "qwen3_vl", "tie_word_embeddings": True,
    "text_config": {
        "vocab_size": 151_936, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128,
        "intermediate_size": 48, "max_position_embeddings": 262_144,
    },
    "vision_config": {
        "depth": 3, "hidden_size": 128, "intermediate_size": 96, "out_hidden_size": 32,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
    },
}  # fmt: skip


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = read_architecture(CONFIG, "").tensors()
    return {
        name: (torch.randn(shape, generator=generator) * 0.1).bfloat16()
        for name, shape in shapes.items()
    }


def core_name(name):
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


def scaled(tensors):
    """What ComfyUI calls fp8_scaled: one scale for each matrix of the language model."""
    packed = {}
    for name, weight in tensors.items():
        if ".layers." not in name or weight.ndim < 2:
            packed[name] = weight
            continue
        layer = name.removesuffix(".weight")
        scale = weight.abs().max().float() / 448
        packed[name] = (weight.float() / scale).to(torch.float8_e4m3fn)
        packed[f"{layer}.weight_scale"] = scale
        mark = json.dumps({"format": "float8_e4m3fn"}).encode()
        packed[f"{layer}.comfy_quant"] = torch.tensor(list(mark), dtype=torch.uint8)
    return packed


def older(tensors):
    """The same before ComfyUI named it comfy_quant."""
    return {
        name.replace(".weight_scale", ".scale_weight"): tensor
        for name, tensor in scaled(tensors).items()
        if not name.endswith(".comfy_quant")
    } | {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}


FORMS = {
    "Hugging Face's names": lambda t: t,
    "core's names": lambda t: {core_name(n): v for n, v in t.items()},
    "fp8_scaled": scaled,
    "fp8_scaled, core's names": lambda t: {core_name(n): v for n, v in scaled(t).items()},
    "older scaled fp8": older,
    "rounded to fp8": lambda t: {
        n: v.to(torch.float8_e4m3fn) if ".layers." in n else v for n, v in t.items()
    },
}


def write(folder, tensors, name="qwen3vl_4b_test.safetensors"):
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / name)
    return folder / name


def planned(checkpoint, machine=None, **choices):
    machine = machine or Machine(ram_bytes=1 << 36, packages={"transformers": "4.57.6"})
    settings = LoadSettings("x", **({"dtype": "bf16", "device": "cpu"} | choices))
    return plan(settings, checkpoint, machine, CPU, lambda _device: 1 << 36)


@pytest.fixture
def no_processor(monkeypatch):
    monkeypatch.setattr(building, "read_processor", lambda _checkpoint: None)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(tmp_path, form, no_processor):
    expected = weights()
    stored = FORMS[form](weights())
    checkpoint = inspect(write(tmp_path, stored))
    chosen = planned(checkpoint)
    assert chosen.weights == (FROM_FP8 if "fp8" in form else PLAIN)
    module = build(checkpoint, chosen, NATIVE).module
    for name, value in module.state_dict().items():
        if name == "lm_head.weight":
            assert value.data_ptr() == module.get_input_embeddings().weight.data_ptr()
            continue
        if "fp8" not in form or ".layers." not in name:
            assert torch.equal(value, expected[name]), name
        elif form == "rounded to fp8":
            rounded = expected[name].to(torch.float8_e4m3fn)
            assert torch.equal(value.float(), rounded.float()), name
        else:
            error = (value.float() - expected[name].float()).abs().max()
            assert error <= expected[name].float().abs().max() * 0.04, name
    with torch.inference_mode():
        assert module(input_ids=torch.arange(5)[None]).logits.isfinite().all()


def without(name):
    return lambda t: {n: v for n, v in t.items() if not n.startswith(name)}


def cut_down(tensors):
    """As a picture model's 32B encoder: hidden size of the official one, fewer layers."""
    grown = {n: v for n, v in tensors.items() if ".layers.1." not in n}
    wide = {
        f"{TEXT}embed_tokens.weight": torch.zeros(8, 5120).bfloat16(),
        f"{TEXT}layers.0.input_layernorm.weight": torch.zeros(5120).bfloat16(),
    }
    return grown | wide


def scales_of_rows(tensors):
    packed = scaled(tensors)
    name = f"{TEXT}layers.0.mlp.up_proj"
    rows = len(packed[f"{name}.weight"])
    return packed | {f"{name}.weight_scale": torch.ones(rows, 1)}


BAD = {
    "a scale for each row": (scales_of_rows, "in blocks of a whole matrix"),
    "no vision tower": (without("model.visual."), "no whole Qwen3-VL"),
    "no language model": (without("model.language_model."), "no whole Qwen3-VL"),
    "a layer's part is missing": (
        without("model.language_model.layers.1.mlp.up_proj"), "lacks 1 weights"),
    "a tensor too many": (lambda t: t | {"extra.weight": torch.ones(1)}, "does not ask for"),
    "cut down": (cut_down, "cut down to encode prompts"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_write_is_refused(tmp_path, name):
    change, words = BAD[name]
    with pytest.raises(LoadError) as caught:
        inspect(write(tmp_path, change(weights())))
    assert words in str(caught.value)


def test_not_quantized_again_and_not_native(tmp_path):
    checkpoint = inspect(write(tmp_path, scaled(weights())))
    ada = Machine((Gpu("ada", (8, 9), 1 << 35),), packages={"transformers": "4.57.6",
                  "triton": "3", "bitsandbytes": "1"})  # fmt: skip
    notes = planned(checkpoint, ada, dtype="auto", device="cuda:0").notes
    assert any("stay FP8" in note for note in notes)
    with pytest.raises(LoadError, match="no block scales"):
        planned(checkpoint, ada, dtype="fp8", device="cuda:0", engine="reference")
    with pytest.raises(LoadError, match="cannot be quantized while loading"):
        planned(dataclasses.replace(checkpoint), ada, quantization="4-bit", device="cuda:0")


def test_its_chat_template_is_the_official_one():
    """The demo checkpoint carries the same; a file from ComfyUI's folders carries none."""
    assert TEMPLATE.read_bytes() == (DEMO_FOLDER / "chat_template.jinja").read_bytes()


def test_in_the_menu_by_name(tmp_path):
    path = write(tmp_path / "text_encoders", {"x": torch.ones(1)}, "Qwen3-VL_8b.safetensors")
    write(tmp_path / "text_encoders", {"x": torch.ones(1)}, "t5xxl.safetensors")
    folder = tmp_path / "text_encoders" / "Qwen3-VL-whole"
    write(folder, {"x": torch.ones(1)}, "qwen3vl.safetensors")
    (folder / "config.json").write_text('{"model_type": "qwen3_vl"}')
    found = local_copies([tmp_path / "text_encoders"])
    assert found == {"Qwen3-VL-whole": (folder,), path.name: (path,)}


def test_it_sees_and_answers(tmp_path):
    """With ComfyUI's own vocabulary, through the reference engine."""
    hosting = pytest.importorskip("hosting")
    comfyui = hosting.find_comfyui()
    if comfyui is None:
        pytest.skip("no ComfyUI checkout")
    hosting.ensure_host()
    import numpy as np
    from engine_requests import ask
    from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
    from qwen3vl_nodes.utils.images.picture import Picture

    checkpoint = inspect(write(tmp_path, weights()))
    built = build(checkpoint, planned(checkpoint, dtype="fp32"), NATIVE)
    words = built.processor.tokenizer
    assert words.convert_tokens_to_ids(["<think>", "</think>"]) == [151667, 151668]
    assert words.convert_tokens_to_ids("<|im_end|>") == words.eos_token_id == 151645
    picture = Picture(np.zeros((64, 64, 3), dtype=np.uint8))
    engine = ReferenceEngine(built.module, built.processor)
    ((_, reply),) = engine.generate([ask(picture, "What is this?", max_new_tokens=3)])
    assert reply.tokens == 3 and reply.prompt_tokens > 8
