"""The training program: it learns, resumes, exports, and its forward is the stock forward."""

import json
import random

import numpy as np
import pytest
import torch
from checkpoint import checkpoint_files, export_weights
from talks import lessons
from training import packing, train
from training.network import Network

TINY = {
    "vision_config": {
        "depth": 3,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 48,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0, 1, 2],
    },
    "text_config": {
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "intermediate_size": 48,
    },
}


def tiny_config() -> dict:
    config = json.loads((checkpoint_files.CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    for part, values in TINY.items():
        config[part] |= values
    return config


def test_twenty_steps_on_the_cpu_learn_something_and_resume(tmp_path, capsys):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(tiny_config()), encoding="utf-8")
    shared = [
        "--budget",
        "900",
        "--reach",
        "0.05",
        "--workers",
        "0",
        "--config",
        str(config),
        "--folder",
        str(tmp_path),
        "--shares",
        '{"pages": 0, "clips": 0.05}',
        "--minutes",
        "30",
        "--warm",
        "2",
    ]
    torch.set_num_threads(2)
    train.train(train.parse([*shared, "--steps", "4"]))
    last = train.train(train.parse([*shared, "--steps", "20", "--resume"]))
    assert torch.load(tmp_path / "state.pt")["state"]["step"] == 20
    losses = [loss for name, (loss, _, _) in last.items() if name != "cells"]
    assert sum(losses) / len(losses) < 7.3  # ln(2048) is 7.6
    assert "step 20" in capsys.readouterr().out
    weights = export_weights.exported(export_weights.export(tmp_path / "state.pt", tmp_path).parent)
    Network(tiny_config()).load_state_dict(weights)


def stock_model():
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = Qwen3VLConfig(**{k: v for k, v in tiny_config().items() if k != "architectures"})
    return Qwen3VLForConditionalGeneration(config).float().eval()


@pytest.mark.parametrize("family", ["shapes", "several", "printed"])
def test_logits_are_those_of_the_stock_class(family):
    from transformers import AutoProcessor

    torch.manual_seed(0)
    network, stock = Network(tiny_config()).eval(), stock_model()
    missing, unexpected = stock.load_state_dict(network.state_dict(), strict=False)
    assert unexpected == [] and missing in ([], ["lm_head.weight"])
    stock.tie_weights()
    processor = AutoProcessor.from_pretrained(checkpoint_files.CHECKPOINT)
    lesson = lessons.FAMILIES[family](random.Random(11), (160, 128))
    talk = lesson.talks[0]
    row = packing.lay_out(lesson)
    batch = packing.collate(
        [row], packing.pixels_of(lesson), [c for v in lesson.visuals for c in v.cells]
    )
    places = torch.from_numpy(np.flatnonzero(np.isin(row.segments, (0, 1))))
    with torch.no_grad():
        ids = {k: v.long() if v.dtype == torch.int32 else v for k, v in batch.items()}
        _, mine = network(
            ids["pixels"], ids["ids"], ids["positions"], ids["segments"], ids["slots"], places
        )
        text = packing.beginning(lesson) + f"{talk.turns[0][0]}<|im_end|>\n<|im_start|>assistant\n"
        inputs = processor(
            text=[text],
            images=[v.frames[0] for v in lesson.visuals],
            size={**checkpoint_files.IMAGE_PIXELS, "shortest_edge": 32 * 32},  # not enlarged
            return_tensors="pt",
        )
        theirs = stock(**inputs).logits[0]
    assert torch.allclose(mine[: len(theirs)], theirs, atol=2e-4)
