"""Weights arrive in the module as transformers' own loader would put them, whatever the layout."""

import dataclasses
import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from checkpoint_kinds import edit_weights
from qwen3vl_nodes.loaders.checkpoint.inspection import CLASS_NAMES, inspect
from qwen3vl_nodes.loaders.checkpoint.safetensors_header import StoredTensor
from qwen3vl_nodes.loaders.host import teardown
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.plan.decision import Plan
from qwen3vl_nodes.loaders.plan.prepare import prepare
from qwen3vl_nodes.loaders.plan.weight_ways import FP8, FROM_FP8, PLAIN
from qwen3vl_nodes.loaders.settings import NATIVE, YARN, LoadSettings
from qwen3vl_nodes.loaders.weights import build as building
from qwen3vl_nodes.loaders.weights import chunks, reader
from qwen3vl_nodes.loaders.weights import processor as reading
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.loaders.weights.chunks import dequantize
from qwen3vl_nodes.utils.errors import LoadError

CPU = torch.device("cpu")


def plan_for(checkpoint, dtype=torch.float32, **changes):
    weights = FROM_FP8 if checkpoint.is_fp8 else PLAIN
    return Plan(CPU, dtype, "sdpa", "none", weights, **changes)


def built(folder, dtype=torch.float32, context=NATIVE):
    checkpoint = inspect(folder)
    return build(checkpoint, plan_for(checkpoint, dtype), context).module


def logits(module, tokens=range(5, 45)):
    with torch.inference_mode():
        return module(input_ids=torch.tensor([list(tokens)])).logits


def theirs(folder, dtype=torch.float32):
    import transformers

    cls = getattr(transformers, CLASS_NAMES[inspect(folder).model_type])
    return cls.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()


@pytest.mark.parametrize("name", ["dense", "untied", "sharded", "moe"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_same_as_transformers_own_loader(kind, name, dtype):
    ours, reference = built(kind(name), dtype), theirs(kind(name), dtype)
    expected = dict(reference.state_dict())
    for key, value in ours.state_dict().items():
        assert torch.equal(value, expected.pop(key)), key
    assert not expected
    for (key, mine), (_, other) in zip(
        ours.named_buffers(), reference.named_buffers(), strict=True
    ):
        assert torch.equal(mine, other), key
    assert torch.equal(logits(ours), logits(reference))
    assert ours.generation_config.eos_token_id == reference.generation_config.eos_token_id
    assert ours.config._attn_implementation == "sdpa"
    assert not ours.training
    assert not any(p.requires_grad for p in ours.parameters())


def test_tied_weights_are_one_tensor(kind):
    module = built(kind("dense"))
    assert module.lm_head.weight is module.get_input_embeddings().weight
    assert built(kind("untied")).lm_head.weight is not module.get_input_embeddings().weight


def test_small_pieces_make_the_same_whole(kind, monkeypatch):
    expected = built(kind("moe")).state_dict()
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1000)
    found = built(kind("moe"), torch.float32).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_experts_stored_one_by_one(copy_of, kind):
    folder = copy_of("moe")

    def split(weights):
        for name in [n for n in weights if ".mlp.experts." in n]:
            layer, part = name.rsplit(".", 1)
            for number, matrix in enumerate(weights.pop(name)):
                halves = matrix.T.chunk(2) if part == "gate_up_proj" else [matrix.T]
                names = ["gate_proj", "up_proj"] if part == "gate_up_proj" else ["down_proj"]
                for own, half in zip(names, halves, strict=True):
                    weights[f"{layer}.{number}.{own}.weight"] = half.contiguous()

    edit_weights(folder / "model.safetensors", split)
    assert torch.equal(logits(built(folder)), logits(built(kind("moe"))))


def test_blocks_of_scales_by_hand():
    weight = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).to(torch.float8_e4m3fn)
    scales = torch.tensor([[1.0, 10], [100, 1000]])
    expected = torch.tensor([[1.0, 2, 30], [4, 5, 60], [700, 800, 9000]])
    assert torch.equal(dequantize(weight, scales, (2, 2), torch.float32), expected)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", ["fp8", "moe-fp8"])
def test_fp8_becomes_plain(kind, name, small, monkeypatch):
    from safetensors.torch import load_file

    if small:  # cut between blocks, not inside one
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 130 * 192)
    stored = load_file(kind(name) / "model.safetensors")
    module = built(kind(name), torch.bfloat16)
    checked = 0
    for key, value in module.state_dict().items():
        assert value.dtype == torch.bfloat16
        if f"{key}_scale_inv" not in stored:
            continue
        checked += 1
        whole, scale = stored[key].float(), stored[f"{key}_scale_inv"]
        wide = scale.repeat_interleave(128, -2)[..., : whole.shape[-2], :]
        wide = wide.repeat_interleave(128, -1)[..., : whole.shape[-1]]
        expected = (whole * wide).bfloat16()
        if expected.shape != value.shape:
            expected = expected.transpose(-1, -2)
        assert torch.equal(value, expected), key
    assert checked >= 12
    assert getattr(module.config, "quantization_config", None) is None


@pytest.mark.parametrize("listed", [None, ["model.visual.blocks.0.attn.qkv_proj"]])
def test_what_stays_fp8_is_what_the_files_hold(copy_of, monkeypatch, listed):
    """Official configs list what is plain under another key or in older spellings."""
    from transformers.quantizers.quantizer_finegrained_fp8 import FineGrainedFP8HfQuantizer

    def validate(self, *_args, **_settings):
        """Only a GPU can multiply them; loading needs none."""

    monkeypatch.setattr(FineGrainedFP8HfQuantizer, "validate_environment", validate)
    folder = copy_of("fp8")
    edit_config(folder, modules_to_not_convert=listed)
    checkpoint = inspect(folder)
    plan = dataclasses.replace(plan_for(checkpoint, torch.bfloat16), weights=FP8)
    module = build(checkpoint, plan, NATIVE).module
    stored = {name for name, tensor in checkpoint.tensors.items() if tensor.dtype == "F8_E4M3"}
    kept = {n for n, w in module.named_parameters() if w.dtype == torch.float8_e4m3fn}
    assert kept == stored and len(kept) >= 12
    assert module.lm_head.weight is module.get_input_embeddings().weight


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] |= changes
    (folder / "config.json").write_text(json.dumps(config))


def test_progress_and_stop(kind):
    checkpoint = inspect(kind("sharded"))
    seen = []
    build(checkpoint, plan_for(checkpoint), NATIVE, lambda *n: seen.append(n))
    tensors = checkpoint.tensors.values()
    assert seen[-1] == (sum(t.size_bytes for t in tensors),) * 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    class Interrupt(BaseException):
        pass

    def stop(_done, _total):
        raise Interrupt

    with pytest.raises(Interrupt):
        build(checkpoint, plan_for(checkpoint), NATIVE, stop)


def test_a_file_that_shrinks_meanwhile(copy_of):
    folder = copy_of("dense")
    checkpoint = inspect(folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(LoadError, match="ended early"):
        build(checkpoint, plan_for(checkpoint), NATIVE)


def test_weights_missing_after_all(kind):
    checkpoint = inspect(kind("dense"))
    tensors = dict(checkpoint.tensors)
    del tensors["model.language_model.norm.weight"]
    less = dataclasses.replace(checkpoint, tensors=tensors)
    with pytest.raises(LoadError, match="lacks 1 weights"):
        build(less, plan_for(less), NATIVE)


def test_yarn_reaches_the_rotary_table(kind):
    """High frequencies stay, low ones are stretched threefold, as YaRN defines it."""
    native, long = built(kind("dense")), built(kind("dense"), context=YARN)
    before = native.model.language_model.rotary_emb.inv_freq
    after = long.model.language_model.rotary_emb.inv_freq
    assert torch.allclose(after[0], before[0])
    assert torch.allclose(after[-1], before[-1] / 3)
    assert long.model.language_model.rotary_emb.attention_scaling == pytest.approx(1.1098612)
    assert long.config.text_config.max_position_embeddings == 4096 * 1_000_000 // 262_144
    assert not torch.allclose(logits(native), logits(long))


def test_yarn_is_not_laid_over_yarn(kind, copy_of, monkeypatch):
    """As a config of a checkpoint that was saved with it: stretched ninefold it is noise."""
    folder = copy_of("dense")
    rope = {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 1024,
            "mrope_section": [4, 2, 2], "mrope_interleaved": True, "rope_theta": 1e4}  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"rope_parameters": rope}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
    stretched = LoadSettings("x", device="cpu", context=YARN)
    with pytest.raises(
        LoadError, match=r"stretches the context itself \(yarn\), to 4,096"
    ) as caught:
        prepare(stretched)
    assert "native" in caught.value.remedy
    assert prepare(LoadSettings("x", device="cpu")).plan.context == 4096
    monkeypatch.setattr(catalog, "folder_of", kind)
    assert prepare(dataclasses.replace(stretched, model="dense")).plan.context > 4096


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_positions_that_are_no_object_are_named(copy_of, monkeypatch, key):
    folder = copy_of("dense")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"][key] = "yarn"
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
    with pytest.raises(LoadError, match=f"{key} in .*config.json is 'yarn', not an object"):
        prepare(LoadSettings("x", device="cpu"))


STRANGE = {
    "an activation nobody has": {"hidden_act": "nonsense"},
    "several activations": {"hidden_act": ["silu"]},
    "rope of an unknown kind": {
        "rope_parameters": {"rope_type": "magic", "mrope_section": [4, 2, 2]},
        "rope_scaling": {"rope_type": "magic", "mrope_section": [4, 2, 2]}},
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_a_config_that_transformers_refuses_is_named(copy_of, name):
    folder = copy_of("dense")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= STRANGE[name]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadError, match=r"cannot build a model from .*config\.json"):
        built(folder)


COMPANIONS = {
    "tokenizer.json": b'{"model": {}, "added_tokens": [{"content": "<|image_pad|>", "id": 262}]}',
    "chat_template.jinja": b"{{ broken",
}


@pytest.mark.parametrize("name", COMPANIONS)
def test_unreadable_companions_are_named_before_weights_load(copy_of, name, monkeypatch):
    folder = copy_of("dense")
    (folder / name).write_bytes(COMPANIONS[name])
    monkeypatch.setattr(building, "fill", None)
    with pytest.raises(LoadError, match="tokenizer, chat template or picture settings"):
        built(folder)


def test_a_tokenizer_without_an_end_is_named_before_weights_load(kind, monkeypatch):
    monkeypatch.setattr(reading, "edition_of", lambda p: setattr(p.tokenizer, "eos_token", None))
    monkeypatch.setattr(building, "fill", None)
    with pytest.raises(LoadError, match="no token that ends an answer"):
        built(kind("dense"))


def test_weights_that_fp16_cannot_hold_are_refused(copy_of):
    """They would be infinite, and every answer the same sign."""
    folder = copy_of("dense")
    name = "model.language_model.layers.1.mlp.down_proj.weight"
    edit_weights(folder / "model.safetensors", lambda w: w[name].mul_(1e6))
    with pytest.raises(LoadError, match="beyond 65,504"):
        built(folder, torch.float16)
    assert torch.isfinite(built(folder, torch.bfloat16).get_submodule(name[:-7]).weight).all()


def test_yarn_is_off_unless_chosen(kind):
    assert torch.equal(logits(built(kind("dense"))), logits(theirs(kind("dense"))))


@pytest.mark.parametrize("style", ["rope_scaling", "rope_parameters"])
def test_both_generations_of_rope_keys(copy_of, kind, style):
    """transformers 4 and 5 save different keys; either must read either."""
    folder = copy_of("dense")
    config = json.loads((folder / "config.json").read_text())
    text = config["text_config"]
    rope = {**(text.pop("rope_scaling", None) or {}), **(text.pop("rope_parameters", None) or {})}
    theta = rope.pop("rope_theta", None) or text.pop("rope_theta")
    if style == "rope_scaling":
        text |= {"rope_scaling": rope, "rope_theta": theta}
    else:
        text["rope_parameters"] = {**rope, "rope_theta": theta}
    (folder / "config.json").write_text(json.dumps(config))
    assert torch.equal(logits(built(folder)), logits(built(kind("dense"))))


def test_spread_over_places(kind, monkeypatch):
    """accelerate's map decides where each weight is read to, and its hooks run the result."""
    checkpoint = inspect(kind("dense"))
    plan = plan_for(checkpoint, placement="GPU and RAM")
    monkeypatch.setattr(building, "_max_memory", lambda _plan: {"cpu": 1 << 30})
    module = build(checkpoint, plan, NATIVE).module
    assert torch.equal(logits(module), logits(built(kind("dense"))))


def test_what_is_free_is_the_hosts_to_say(monkeypatch):
    """ComfyUI may hold memory back; the placement once counted on all that the system has."""
    asked = []
    host = SimpleNamespace(free_bytes=lambda device: asked.append(str(device)) or 1000)
    monkeypatch.setattr(building, "host", lambda: host)
    plan = Plan(torch.device("cuda:1"), torch.float32, "sdpa", "none", placement="GPU and RAM")
    assert building._max_memory(plan) == {1: 850, "cpu": 850}
    assert asked == ["cuda:1", "cpu"]


@pytest.mark.parametrize(
    ("placement", "remedy"),
    [("GPU and RAM", "Choose quant"), ("all GPUs", "Choose device GPU and")],
)
def test_no_room_anywhere(kind, monkeypatch, placement, remedy):
    checkpoint = inspect(kind("dense"))
    plan = plan_for(checkpoint, placement=placement)
    monkeypatch.setattr(building, "_max_memory", lambda _plan: {"cpu": 1000})
    with pytest.raises(LoadError, match=f"do not fit into what is free on {placement}") as raised:
        build(checkpoint, plan, NATIVE)
    assert raised.value.remedy.startswith(remedy)


def test_reading_closes_its_files(kind, monkeypatch):
    opened = []
    original = reader._Reader._file

    def file(self, path):
        opened.append(original(self, path))
        return opened[-1]

    monkeypatch.setattr(reader._Reader, "_file", file)
    built(kind("sharded"))
    assert opened and all(handle.closed for handle in opened)


class AppleTensor:
    """What reading asks of a tensor on Apple's GPU, which takes no FP8, fp64 and second thread."""

    device = torch.device("mps")

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.got = shape, dtype, None

    def is_contiguous(self):
        return True

    def copy_(self, values, non_blocking=False):
        assert not non_blocking, "the source is read after it has been used again"
        assert values.device.type == "cpu" and values.dtype == self.dtype
        assert AppleTensor.free.acquire(blocking=False), "two threads at once end the process"
        time.sleep(0.002)
        self.got = values.clone()
        AppleTensor.free.release()
        return self

    free = threading.Lock()


@pytest.mark.parametrize("name", ["BF16", "F64", "F8_E4M3"])
def test_apples_gpu_gets_finished_numbers_one_thread_at_a_time(tmp_path, name):
    stored_dtype = chunks.STORED_DTYPES[name]
    values = torch.randn(8, 64, 32).to(stored_dtype)
    path = tmp_path / "x"
    path.write_bytes(values.view(torch.uint8).numpy().tobytes())
    size = values[0].nbytes
    made = []
    for number in range(8):
        stored = StoredTensor(path, name, (64, 32), number * size, size)
        target: Any = AppleTensor((64, 32), torch.bfloat16)
        made.append(chunks.Chunk(stored, stored.start, (64, 32), target))
    reader.read_chunks(made)
    for piece, expected in zip(made, values, strict=True):
        got: Any = piece.target
        assert torch.equal(got.got, expected.to(torch.bfloat16))


def test_apples_memory_is_given_back(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append(1))
    teardown.empty(torch.nn.Linear(2, 2))
    assert emptied
