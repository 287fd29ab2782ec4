"""A Qwen3-VL that ComfyUI's own code holds as a text encoder, through our engine."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_requests import ask
from node_running import SHORT, run_node
from qwen3vl_nodes.loaders import clip_model
from qwen3vl_nodes.loaders.clip_model import ClipModel
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.host.port import host
from qwen3vl_nodes.loaders.settings import Adapter
from qwen3vl_nodes.loaders.weights.lent import module_of
from qwen3vl_nodes.loaders.weights.processor import processor_for_file
from qwen3vl_nodes.nodes.asking.caption import Qwen3VLCaption
from qwen3vl_nodes.nodes.models.from_clip import Qwen3VLFromClip
from qwen3vl_nodes.nodes.models.unload import Qwen3VLUnload
from qwen3vl_nodes.utils.chat.requests import Reply
from qwen3vl_nodes.utils.errors import InputError, LoadError
from qwen3vl_nodes.utils.images.picture import Picture

qwen3vl = pytest.importorskip("comfy.text_encoders.qwen3vl", reason="needs ComfyUI's encoders")
KIND = "qwen3vl_4b"
SMALL = {
    "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "lm_head": False,
}  # fmt: skip
TOWER = {"hidden_size": 64, "intermediate_size": 96, "depth": 2, "deepstack_visual_indexes": [0, 1]}


@pytest.fixture
def make_clip(comfy, monkeypatch):
    """ComfyUI's own class and patcher around small random weights."""
    import comfy.sd as sd

    base = qwen3vl.QWEN3VL_CONFIGS[KIND]

    def make(dtype=torch.float32, **config):
        small = dataclasses.make_dataclass(
            "Small", [(k, type(v), v) for k, v in (SMALL | config).items()], bases=(base,)
        )
        monkeypatch.setitem(qwen3vl.QWEN3VL_CONFIGS, KIND, small)
        monkeypatch.setitem(qwen3vl.QWEN3VL_VISION, KIND, TOWER)
        target = SimpleNamespace(
            params={},
            clip=qwen3vl.te(dtype_llama=dtype, model_type=KIND),
            tokenizer=qwen3vl.tokenizer(model_type=KIND),
        )
        clip = sd.CLIP(target)
        chance = torch.Generator().manual_seed(0)
        for name, weight in clip.cond_stage_model.named_parameters():
            plain = torch.randn(weight.shape, generator=chance) * 0.1
            weight.data.copy_(1 + plain if "norm" in name and weight.ndim == 1 else plain)
        return clip

    return make


def encoder(clip):
    return getattr(clip.cond_stage_model, KIND).transformer


REQUESTS = [
    ask("Hello", max_new_tokens=8),
    ask(Picture(np.arange(64 * 96 * 3, dtype=np.uint8).reshape(64, 96, 3)), "And this?"),
]


def answers(model):
    with model.open() as engine:
        found = dict(engine.generate(REQUESTS))
    assert all(isinstance(reply, Reply) for reply in found.values()), found
    return [found[index].text for index in sorted(found)]


def by_transformers(model):
    """What `generate` answers on the same weights."""
    module = module_of(model._checkpoint, torch.float32, "native", model._weights())
    processor = processor_for_file(host().tokenizer_folder())
    engine = ReferenceEngine(module, processor, lambda: None)
    found = dict(engine.generate(REQUESTS))
    return [found[index].text for index in sorted(found)]


def test_it_answers_as_generate_does_and_nothing_is_copied(make_clip):
    clip = make_clip()
    model = ClipModel(clip)
    text = answers(model)
    places = {weight.data_ptr() for weight in encoder(clip).parameters()}
    ours = {weight.data_ptr() for weight in model._open.engine._module.parameters()}
    assert ours == places
    assert text == by_transformers(model) and len(set(text)) == 2
    assert "without a second copy" in model.describe()


def test_a_new_claim_follows_weights_that_comfyui_has_moved(make_clip):
    clip = make_clip()
    model = ClipModel(clip)
    before = answers(model)
    clip.patcher.detach()
    assert model._open is None  # the engine's own memory goes with them
    with torch.inference_mode(False):
        for weight in encoder(clip).parameters():
            weight.data = weight.data.clone()
    assert answers(model) == before


def test_weights_that_move_while_they_are_used_leave_the_engine(make_clip):
    clip = make_clip()
    model = ClipModel(clip)
    with model.open() as engine:
        clip.patcher.detach()
        assert model._open is not None and model._open.engine is engine
    clip.patcher.detach()
    assert model._open is None


def test_a_lora_on_the_clip_counts_and_makes_other_captions(make_clip):
    clip = make_clip()
    model = ClipModel(clip)
    plain, making = answers(model), model.making
    assert model.making == making == ClipModel(clip).making
    patched = clip.clone()
    key = f"{KIND}.transformer.model.layers.0.mlp.down_proj.weight"
    patched.patcher.add_patches({key: (torch.randn(128, 192),)}, 1.0)
    with_lora = ClipModel(patched)
    assert with_lora.making != making
    assert answers(with_lora) != plain
    assert answers(model) == plain


def test_quantized_weights_are_copied_and_it_is_said(make_clip):
    quant = pytest.importorskip("comfy.quant_ops", reason="this ComfyUI quantizes nothing")
    clip = make_clip(torch.bfloat16)
    layer = encoder(clip).model.layers[0].mlp.up_proj
    packed = quant.QuantizedTensor.from_float(
        layer.weight.data.contiguous(),
        quant.QUANT_ALGOS["float8_e4m3fn"]["comfy_tensor_layout"],
        scale="recalculate",
    )
    meant = packed.dequantize()
    layer.weight = torch.nn.Parameter(packed, requires_grad=False)
    model = ClipModel(clip)
    assert "quantized: a plain copy of" in model.describe()
    assert len(answers(model)) == 2
    held = dict(model._open.engine._module.named_parameters())
    assert torch.equal(held["model.language_model.layers.0.mlp.up_proj.weight"], meant)
    assert not {w.data_ptr() for w in held.values()} & {
        w.data_ptr() for w in encoder(clip).parameters()
    }
    model.unload()
    assert model._open is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda clip: delattr(encoder(clip), "visual"), "is no Qwen3-VL that sees"),
        (lambda clip: setattr(clip.cond_stage_model, "clip", "clip_l"), "is no Qwen3-VL that sees"),
        (lambda clip: setattr(encoder(clip), "visual", torch.nn.Linear(2, 2)), "no whole Qwen3-VL"),
    ],
)
def test_what_is_no_whole_one_is_named(make_clip, spoil, words):
    clip = make_clip()
    spoil(clip)
    with pytest.raises(LoadError, match=words):
        run_node(Qwen3VLFromClip, clip=clip)


def test_a_truncated_encoder_is_named(make_clip):
    with pytest.raises(LoadError, match="lacks its last layers: it was cut down to encode"):
        ClipModel(make_clip(hidden_size=2560, vocab_size=64))


def test_the_node_captions_and_lets_go(make_clip, images):
    model, report = run_node(Qwen3VLFromClip, clip=make_clip())
    assert report.startswith(f"{KIND} of ComfyUI: 0.0 billion parameters")
    form = {"preset": "Short caption", "instructions": "", "system_prompt": "", "seed": 0,
            "options": SHORT}  # fmt: skip
    captions = run_node(
        Qwen3VLCaption, model=model, image=images(2), batch="one answer per image", **form
    )[0]
    assert len(captions) == 2
    run_node(Qwen3VLUnload, anything="x", model=model)
    assert model._open is None
    with pytest.raises(InputError, match="LoraLoader"):
        model.with_adapter(Adapter("style"))


def test_the_vocabulary_lies_beside_comfyuis_code_wherever_its_folders_are(monkeypatch, tmp_path):
    """As on ComfyUI Desktop, which starts it with `--base-directory`."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "base_path", str(tmp_path))
    assert (host().tokenizer_folder() / "vocab.json").is_file()


def test_a_script_has_no_clip(monkeypatch):
    from qwen3vl_nodes.loaders.host import torch_only

    monkeypatch.setattr(clip_model, "host", lambda: torch_only)
    with pytest.raises(LoadError, match="no ComfyUI"):
        ClipModel(object())
