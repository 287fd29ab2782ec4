"""Every damage is refused before weights load, with a message a user can act on."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from checkpoint_kinds import edit_json, edit_weights, shard
from qwen3vl_nodes.loaders.checkpoint import companions, inspection, safetensors_header
from qwen3vl_nodes.loaders.checkpoint.architecture import read_architecture
from qwen3vl_nodes.utils.errors import LoadError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FIRST = "model-00001-of-00003.safetensors"
Q = "model.language_model.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize("name", ["dense", "untied", "sharded", "moe", "fp8", "moe-fp8"])
def test_a_good_checkpoint_passes(kind, name):
    found = inspection.inspect(kind(name))
    assert found.model_type == ("qwen3_vl_moe" if "moe" in name else "qwen3_vl")
    assert found.is_fp8 == name.endswith("fp8")
    assert found.weight_bytes == sum(p.stat().st_size for p in kind(name).glob("*.safetensors"))
    assert found.architecture.text.layers == 3


@pytest.mark.parametrize("name", ["dense", "untied", "moe"])
def test_the_architecture_is_transformers_own(kind, name):
    import transformers
    from accelerate import init_empty_weights

    config = transformers.AutoConfig.from_pretrained(kind(name))
    cls = getattr(transformers, inspection.CLASS_NAMES[config.model_type])
    with init_empty_weights():
        theirs = {n: tuple(t.shape) for n, t in cls(config).state_dict().items()}
    ours = read_architecture(json.loads((kind(name) / "config.json").read_text()), "x").tensors()
    if name == "dense":  # tied
        del theirs["lm_head.weight"]
    # transformers 5 turns the experts' matrices round while it loads them.
    assert {n: sorted(s) for n, s in ours.items()} == {n: sorted(s) for n, s in theirs.items()}


def rewrite_header(path: Path, change) -> None:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + data[8 + length :])


def config_edit(file="config.json", **changes):
    return lambda folder: edit_json(folder / file, **changes)


def nested(file, inner, **changes):
    def damage(folder):
        value = json.loads((folder / file).read_text())
        value[inner].update(changes)
        (folder / file).write_text(json.dumps(value))

    return damage


def fp8(**changes):
    return nested("config.json", "quantization_config", **changes)


def write(file, data):
    return lambda folder: (folder / file).write_bytes(data)


def gguf_folder(folder):
    (folder / "config.json").unlink()
    (folder / WEIGHTS).rename(folder / "q4.gguf")


def remove(*files):
    def damage(folder):
        for file in files:
            (folder / file).unlink(missing_ok=True)

    return damage


def cut(file, keep):
    def damage(folder):
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: keep if keep >= 0 else len(data) + keep])

    return damage


def weights_edit(change, file=WEIGHTS):
    return lambda folder: edit_weights(folder / file, change)


def header_edit(change, file=WEIGHTS):
    return lambda folder: rewrite_header(folder / file, change)


def index_edit(change):
    def damage(folder):
        index = json.loads((folder / INDEX).read_text())
        change(index["weight_map"])
        (folder / INDEX).write_text(json.dumps(index))

    return damage


def both_indexed_and_single(folder):
    shard(folder)
    (folder / WEIGHTS).write_bytes((folder / FIRST).read_bytes())


def without_template(folder):
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    for name in ("tokenizer_config.json", "processor_config.json"):
        if (folder / name).is_file():
            edit_json(folder / name, chat_template=None)


def half(*names):
    def damage(folder):
        (folder / FIRST).unlink()
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"half")

    return damage


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


def picture_edit(**changes):
    """In either generation's file."""

    def damage(folder):
        if (folder / "preprocessor_config.json").is_file():
            edit_json(folder / "preprocessor_config.json", **changes)
        else:
            nested("processor_config.json", "image_processor", **changes)(folder)

    return damage


def pipe(file):
    def damage(folder):
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    return damage


def dangling(folder):
    (folder / FIRST).unlink()
    (folder / FIRST).symlink_to("../../blobs/gone")


def renamed(dtype, name):
    """Weights of one kind under the label of another, as a careless conversion leaves them."""

    def damage(folder):
        edit_weights(
            folder / WEIGHTS, lambda w: w.update({n: (t * 0.1).to(dtype) for n, t in w.items()})
        )
        rewrite_header(
            folder / WEIGHTS,
            lambda h: [h[key].update(dtype=name) for key in h if key != "__metadata__"],
        )

    return damage


OFFICIAL_4B = """{"model_type": "qwen3_vl", "tie_word_embeddings": true, "text_config": {
 "vocab_size": 151936, "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
 "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 9728,
 "max_position_embeddings": 262144}, "vision_config": {"depth": 24, "hidden_size": 1024,
 "intermediate_size": 4096, "out_hidden_size": 2560, "num_position_embeddings": 2304,
 "num_heads": 16, "deepstack_visual_indexes": [5, 11, 17]}}"""
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 4967215360\n"
PAGE = b"\n<!DOCTYPE html><html><title>Sign in</title></html>"

DAMAGES = {
    # code
    "auto_map": ("dense", config_edit(auto_map={"AutoModel": "m.M"}), "auto_map"),
    "auto_map deep": (
        "dense", nested("config.json", "vision_config", x=[{"auto_map": 1}]), "auto_map"),
    "code in the tokenizer": (
        "dense", config_edit("tokenizer_config.json", auto_map={}), "tokenizer_config.json has"),
    "trust_remote_code": ("dense", config_edit(trust_remote_code=True), "trust_remote_code"),
    "_attn_implementation_internal": (
        "dense", nested("config.json", "text_config", _attn_implementation_internal="a/b"),
        "_attn_implementation_internal"),
    "attention from a hub": (
        "dense", nested("config.json", "text_config", _attn_implementation="org/kernel"),
        "downloads and runs code"),
    "code in an unknown config": (
        "dense", write("extra.json", b'{"a": [{"auto_map": 1}]}'), "extra.json"),
    # what the folder is
    "a gguf folder": ("dense", gguf_folder, "holds GGUF files"),
    "no config": ("dense", remove("config.json"), "no config.json"),
    "an adapter": (
        "dense", lambda f: (f / "config.json").rename(f / "adapter_config.json"), "LoRA adapter"),
    "another model": ("dense", config_edit(model_type="qwen2_5_vl"), "'qwen2_5_vl' model"),
    "no model type": ("dense", config_edit(model_type=None), "None model"),
    "a classifier": (
        "dense", config_edit(architectures=["Qwen3VLForSequenceClassification"]),
        "does not write text"),
    "config is a page": ("dense", write("config.json", PAGE), "is a web page"),
    "config is a pointer": ("dense", write("config.json", LFS), "Git-LFS pointer"),
    "config is half": ("dense", cut("config.json", 200), "not readable JSON"),
    "config is a list": ("dense", write("config.json", b"[1]"), "not a JSON object"),
    "config is empty": ("dense", write("config.json", b""), "is empty"),
    "config is deep": ("dense", write("config.json", deep(100_000)), "not readable JSON"),
    "config without text": ("dense", config_edit(text_config=None), "text_config"),
    "absurd number": (
        "dense", nested("config.json", "text_config", vocab_size=1 << 40), "'vocab_size'"),
    "number as text": (
        "dense", nested("config.json", "text_config", hidden_size="64"), "'hidden_size'"),
    "too many layers": (
        "dense", nested("config.json", "text_config", num_hidden_layers=10**6),
        "'num_hidden_layers'"),
    "quantized without a method": (
        "dense", config_edit(quantization_config={"bits": 4}), "without quant_method"),
    "tied in words": ("dense", config_edit(tie_word_embeddings="false"), "not true or false"),
    "made for a number": ("dense", config_edit(architectures=5), "made for 5"),
    "config nested 900 deep": (
        "dense", write("extra.json", deep(900)), "nested more than 64 deep"),
    "heads that do not share out": (
        "dense", nested("config.json", "text_config", num_key_value_heads=3), "which cannot be"),
    "a rotation for another head": (
        "dense", nested("config.json", "text_config", rope_scaling={"mrope_section": [9, 9, 9]}),
        "mrope_section [9, 9, 9]"),
    "a rotation of words": (
        "dense", nested("config.json", "text_config", rope_parameters={"mrope_section": "abc"}),
        "mrope_section abc"),
    "vision heads that do not share out": (
        "dense", nested("config.json", "vision_config", num_heads=3), "num_heads 3"),
    "deepstack beyond the tower": (
        "dense", nested("config.json", "vision_config", deepstack_visual_indexes=[0, 3]),
        "the layers 0 to 2"),
    "deepstack twice": (
        "dense", nested("config.json", "vision_config", deepstack_visual_indexes=[1, 1]),
        "deepstack_visual_indexes"),
    "deepstack of words": (
        "dense", nested("config.json", "vision_config", deepstack_visual_indexes=["0", 1]),
        "deepstack_visual_indexes"),
    "a token beyond the vocabulary": (
        "dense", config_edit(video_token_id=5000), "video_token_id 5000"),
    "a padding token beyond the vocabulary": (
        "dense", nested("config.json", "text_config", pad_token_id=5000), "pad_token_id 5000"),
    "an end token that is a word": (
        "dense", write("generation_config.json", b'{"eos_token_id": [1, "<|im_end|>"]}'),
        "eos_token_id <|im_end|>"),
    "an end token beyond the vocabulary": (
        "dense", write("generation_config.json", b'{"eos_token_id": 5000}'), "eos_token_id 5000"),
    "a tokenizer of more words": (
        "dense", nested("config.json", "text_config", vocab_size=266), "knows the token 267"),
    "patches of another size": (
        "dense", picture_edit(patch_size=14), "patch_size is 14"),
    "patches of no size": ("dense", picture_edit(merge_size=0), "merge_size is 0"),
    "a size of two sides": (
        "dense", picture_edit(size={"height": 64, "width": 64}), "shortest_edge"),
    "a size of nothing": (
        "dense", picture_edit(size={"shortest_edge": 0, "longest_edge": 9}), "shortest_edge"),
    "edges the wrong way round": (
        "dense", picture_edit(size={"shortest_edge": 9, "longest_edge": 8}), "shortest_edge"),
    "colours of two": ("dense", picture_edit(image_mean=[0.5, 0.5]), "image_mean is [0.5, 0.5]"),
    "divided by nothing": ("dense", picture_edit(image_std=[0, 0, 0]), "image_std is [0, 0, 0]"),
    # files that are none
    "a config that never comes": ("dense", pipe("config.json"), "no ordinary file"),
    "weights that never come": ("dense", pipe(WEIGHTS), "no ordinary file"),
    "a template that never comes": ("dense", pipe("chat_template.jinja"), "no ordinary file"),
    "a vocabulary that never comes": ("dense", pipe("merges.txt"), "no ordinary file"),
    "notes without an end": (
        "dense", lambda f: (f / "notes.json").symlink_to("/dev/zero"), "no ordinary file"),
    "a template larger than any": (
        "dense", lambda f: os.truncate(f / "chat_template.jinja", 1 << 40), "more than 67,108,864"),
    "weights that were cleaned away": ("sharded", dangling, "link to a file that is not there"),
    "sparse in words": (
        "moe", nested("config.json", "text_config", decoder_sparse_step="x"),
        "'decoder_sparse_step'"),
    "dense layers as a number": (
        "moe", nested("config.json", "text_config", mlp_only_layers=5), "mlp_only_layers"),
    "more experts at once than there are": (
        "moe", nested("config.json", "text_config", num_experts_per_tok=99),
        "'num_experts_per_tok'"),
    # beside the weights
    "no tokenizer": ("dense", remove("tokenizer.json", "vocab.json"), "no tokenizer.json"),
    "no tokenizer config": (
        "dense", remove("tokenizer_config.json"), "no tokenizer_config.json"),
    "no picture settings": (
        "dense", remove("preprocessor_config.json", "processor_config.json"),
        "no preprocessor_config.json"),
    "no chat template": ("dense", without_template, "no chat_template.jinja"),
    "tokenizer is a pointer": ("dense", write("tokenizer.json", LFS), "Git-LFS pointer"),
    "tokenizer is something else": ("dense", write("tokenizer.json", b"{}"), "not a tokenizer"),
    "tokenizer of another model": ("dense", config_edit(image_token_id=7), "of another model"),
    # the weights' files
    "no weights": ("dense", remove(WEIGHTS), "no model.safetensors"),
    "weights have another name": (
        "dense", lambda f: (f / WEIGHTS).rename(f / "x.safetensors"), "Rename it"),
    "only pickles": (
        "dense", lambda f: (f / WEIGHTS).rename(f / "pytorch_model.bin"), ".bin files only"),
    "only gguf": ("dense", lambda f: (f / WEIGHTS).rename(f / "q4.gguf"), ".gguf files only"),
    "weights are a pointer": ("dense", write(WEIGHTS, LFS), "Git-LFS pointer"),
    "weights are a page": ("dense", write(WEIGHTS, PAGE), "is a web page"),
    "weights are an error": ("dense", write(WEIGHTS, b'{"error":"gated"}'), "server's message"),
    "weights are a pickle": ("dense", write(WEIGHTS, b"PK\x03\x04" + b"x" * 99), "pickle"),
    "weights are gguf": ("dense", write(WEIGHTS, b"GGUF" + b"x" * 99), "GGUF"),
    "weights are zeros": ("dense", write(WEIGHTS, bytes(9999)), "begins with zeros"),
    "weights are noise": ("dense", write(WEIGHTS, b"\xff" * 99), "not a safetensors file"),
    "weights are empty": ("dense", write(WEIGHTS, b""), "is empty"),
    "one byte short": ("dense", cut(WEIGHTS, -1), "cut off"),
    "cut in the header": ("dense", cut(WEIGHTS, 100), "cut off in its header"),
    "one byte too many": (
        "dense", lambda f: (f / WEIGHTS).open("ab").write(b"x"), "1 bytes more"),
    "header is deep": (
        "dense", write(WEIGHTS, struct.pack("<Q", 600_006) + deep(100_001)[:600_006]), "damaged"),
    "unknown dtype": (
        "dense", header_edit(lambda h: h[Q].update(dtype="X9")), "describes"),
    "offsets and shape differ": (
        "dense", header_edit(lambda h: h[Q].update(shape=[1, 1])), "describes"),
    "negative offset": (
        "dense", header_edit(lambda h: h[Q].update(data_offsets=[-8, 8])), "describes"),
    "two tensors in one place": (
        "dense", header_edit(lambda h: h.update(copy=dict(h[Q]))), "overlaps"),
    "no tensors": (
        "dense", write(WEIGHTS, struct.pack("<Q", 2) + b"{}"), "holds no tensors"),
    # shards
    "a shard is missing": ("sharded", remove(FIRST), f"lacks 1 of 3 weight files: {FIRST}"),
    "a shard is cut": ("sharded", cut(FIRST, -1000), "cut off"),
    "no index": ("sharded", remove(INDEX), f"no {INDEX}"),
    "index is a page": ("sharded", write(INDEX, PAGE), "is a web page"),
    "index without a map": ("sharded", write(INDEX, b"{}"), "no weight_map"),
    "index leads out": (
        "sharded", index_edit(lambda m: m.update(x="../../etc/x.safetensors")), "no safetensors"),
    "index names a tensor too many": (
        "sharded", index_edit(lambda m: m.update(ghost=FIRST)), "but it is not there"),
    "index does not know a tensor": (
        "sharded", index_edit(lambda m: m.pop(Q)), "does not know"),
    "shards swapped": (
        "sharded", index_edit(lambda m: m.update(dict.fromkeys(m, FIRST))), "of one version"),
    "two shards hold one tensor": (
        "sharded", lambda f: (f / "model-00002-of-00003.safetensors").write_bytes(
            (f / FIRST).read_bytes()), "and again in"),
    "single file and index": ("dense", both_indexed_and_single, "has both"),
    # half downloads
    "hub cache": (
        "sharded", half(".cache/huggingface/download/abc.incomplete"), "did not finish"),
    "browser": ("sharded", half(FIRST + ".part"), f"did not finish here: {FIRST}.part"),
    "modelscope": ("sharded", half("._____temp/" + FIRST), "did not finish"),
    "aria2": (
        "sharded", lambda f: (f / (FIRST + ".aria2")).write_bytes(b"x"), "still being downloaded"),
    # the tensors
    "a tensor is missing": ("dense", weights_edit(lambda w: w.pop(Q)), "lacks 1 weights"),
    "untied without head": (
        "untied", weights_edit(lambda w: w.pop("lm_head.weight")), "lm_head.weight"),
    "one tensor under two names": (
        "dense", weights_edit(lambda w: w.update({Q.replace(".language_model", ""): w[Q] + 1})),
        f"holds {Q} twice"),
    "bf16 that is called fp16": ("dense", renamed(torch.bfloat16, "F16"), "its numbers are BF16"),
    "fp16 that is called bf16": ("dense", renamed(torch.float16, "BF16"), "its numbers are F16"),
    "a tensor too many": (
        "dense", weights_edit(lambda w: w.update({"model.extra.weight": torch.ones(2)})),
        "does not ask for"),
    "wrong shape": (
        "dense", weights_edit(lambda w: w.update({Q: torch.ones(2, 2)})), "has the shape [2, 2]"),
    "fewer layers than the config": (
        "dense", nested("config.json", "text_config", num_hidden_layers=4), "lacks 11 weights"),
    "another size's config": (
        "dense", nested("config.json", "text_config", intermediate_size=130), "has the shape"),
    "an expert's tensor is missing": (
        "moe", weights_edit(
            lambda w: w.pop("model.language_model.layers.1.mlp.experts.down_proj")),
        "layers.1.mlp.experts.down_proj"),
    "fp8 without a config": ("fp8", config_edit(quantization_config=None), "stored as F8_E4M3"),
    "fp8 without a scale": (
        "fp8", weights_edit(lambda w: w.pop(Q + "_scale_inv")), "has no"),
    "fp8 with other blocks": ("fp8", fp8(weight_block_size=[256, 256]), "does not fit a weight"),
    "fp8 without blocks": ("fp8", fp8(weight_block_size=None), "in blocks of a whole matrix"),
    "fp8 of one number": ("fp8", fp8(weight_block_size=[128]), "not two numbers"),
    "fp8 of no size": ("fp8", fp8(weight_block_size=[0, 128]), "not two numbers"),
    "fp8 of words": ("fp8", fp8(weight_block_size="128"), "not two numbers"),
    "fp8 scales turned": (
        "fp8", weights_edit(lambda w: w.update({
            n: t.T.contiguous() for n, t in w.items() if n.endswith("down_proj.weight_scale_inv")
        })), "down_proj.weight_scale_inv is F32"),
    "fp8 scales of a strange type": (
        "fp8", weights_edit(lambda w: w.update({
            f"{Q}_scale_inv": w[f"{Q}_scale_inv"].to(torch.int32)})), "scale_inv is I32"),
    "fp8 wrong vision": (
        "fp8", weights_edit(lambda w: w.pop("model.visual.pos_embed.weight")), "lacks 1"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(copy_of, damage, monkeypatch):
    kind, change, words = DAMAGES[damage]
    folder = copy_of(kind)
    change(folder)
    # Nothing heavier than these checks may have looked at the folder.
    monkeypatch.setattr("safetensors.torch.load_file", None)
    with pytest.raises(LoadError) as caught:
        inspection.inspect(folder)
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_numbers_that_are_what_they_are_called_pass(copy_of, dtype):
    folder = copy_of("dense")
    edit_weights(
        folder / WEIGHTS, lambda w: w.update({n: (t * 0.1).to(dtype) for n, t in w.items()})
    )
    inspection.inspect(folder)


def test_a_header_of_very_many_tensors_is_refused_before_it_is_read(tmp_path):
    """900,000 of them, all empty, took 16 seconds."""
    path = tmp_path / WEIGHTS
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"a{n}": empty for n in range(safetensors_header.MAX_TENSORS + 1)})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    with pytest.raises(LoadError, match="200,001 tensors, too many"):
        safetensors_header.read_header(path)
    path.write_bytes(struct.pack("<Q", safetensors_header.MAX_HEADER_BYTES + 1) + b"{}")
    with pytest.raises(LoadError, match="is not a safetensors file"):
        safetensors_header.read_header(path)


def test_an_unfinished_download_in_the_hubs_cache_is_named(copy_of, tmp_path):
    """There the files are links, and what is half lies elsewhere."""
    repository = tmp_path / "models--Qwen--X"
    (repository / "blobs").mkdir(parents=True)
    (repository / "blobs" / "abc.incomplete").write_bytes(b"half")
    folder = repository / "snapshots" / "abc"
    folder.parent.mkdir()
    copy_of("sharded").rename(folder)
    inspection.inspect(folder)
    (folder / FIRST).unlink()
    with pytest.raises(LoadError, match=r"did not finish here: abc\.incomplete"):
        inspection.inspect(folder)


def test_missing_files_are_offered_by_the_official_name(tmp_path):
    """A fine-tune's own page has none of them."""
    architecture = read_architecture(json.loads(OFFICIAL_4B), "config.json")
    with pytest.raises(LoadError) as caught:
        companions.check_companions(tmp_path, {"config.json": {}}, architecture)
    assert "no tokenizer.json" in caught.value.problem
    assert "Qwen/Qwen3-VL-4B-Instruct" in caught.value.remedy


def test_there_are_enough_damages():
    assert len(DAMAGES) >= 30


def test_no_folder(tmp_path):
    with pytest.raises(LoadError, match="There is no folder"):
        inspection.inspect(tmp_path / "nothing")


def test_leftovers_beside_a_whole_checkpoint_do_no_harm(copy_of):
    folder = copy_of("sharded")
    (folder / "README.md.incomplete").write_bytes(b"half")
    (folder / "consolidated.safetensors").write_bytes(b"not ours")
    inspection.inspect(folder)


def test_experts_one_by_one_are_whole(copy_of):
    """Some savers write each expert as its own three matrices."""
    folder = copy_of("moe")

    def split(weights):
        for name in [n for n in weights if ".mlp.experts." in n]:
            layer, part = name.rsplit(".", 1)
            for number, matrix in enumerate(weights.pop(name)):
                halves = matrix.T.chunk(2) if part == "gate_up_proj" else [matrix.T]
                names = ["gate_proj", "up_proj"] if part == "gate_up_proj" else ["down_proj"]
                for half_name, half_matrix in zip(names, halves, strict=True):
                    weights[f"{layer}.{number}.{half_name}.weight"] = half_matrix.contiguous()

    edit_weights(folder / WEIGHTS, split)
    inspection.inspect(folder)
