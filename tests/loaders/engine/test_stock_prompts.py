"""Fifty chats of films and pictures: prompt ids and timestamps are the stock processor's own."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
import qwen3vl_nodes
from qwen3vl_nodes.loaders.engine.request.encoding import Preparer
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.images.picture import Clip, Picture
from tiny_checkpoint import build_config

DEMO = Path(str(qwen3vl_nodes.__file__)).parent / "examples" / "demo_model" / "qwen3-vl-demo"
WORDS = ("What happens?", "Which picture has the red star?", "At second 3?", "一颗红星", "a <b> c")


@pytest.fixture(scope="module")
def demo_processor():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(DEMO)


def some_picture(dice: random.Random) -> Picture:
    width, height = dice.randint(40, 700), dice.randint(40, 500)
    return Picture(np.full((height, width, 3), dice.randrange(256), np.uint8))


def some_clip(dice: random.Random) -> Clip:
    count = dice.randint(2, 9)  # the stock processor refuses one frame
    frames = np.full((count, dice.randint(64, 300), dice.randint(64, 300), 3), 90, np.uint8)
    fps = dice.choice((8.0, 24.0, 25.0, 29.97, 60.0))
    indices = tuple(sorted(dice.sample(range(4000), count)))
    if dice.random() < 0.5:
        return Clip(frames, fps, indices, 4001)
    # A film of changing rate: whole milliseconds, which the stock processor can be told of too.
    milliseconds = sorted(dice.sample(range(100_000), count))
    return Clip(frames, fps, indices, 4001, seconds=tuple(ms / 1000 for ms in milliseconds))


def chat(seed: int) -> Request:
    """One to three turns of words, pictures and films in any order, with a film at least."""
    dice = random.Random(seed)
    messages = [Message("system", ("Be brief.",))] if dice.random() < 0.3 else []
    turns = dice.randint(1, 3)
    for turn in range(turns):
        makers = [dice.choice((some_picture, some_clip)) for _ in range(dice.randint(0, 3))]
        if turn == 0:
            makers.append(some_clip)
        parts = [make(dice) for make in makers] + [dice.choice(WORDS)]
        if dice.random() < 0.5:
            dice.shuffle(parts)
        messages.append(Message("user", tuple(parts)))
        if turn < turns - 1:
            messages.append(Message("assistant", (dice.choice(WORDS),)))
    return Request(tuple(messages), number_pictures=dice.random() < 0.4)


def stock_inputs(processor, request: Request):
    """What the stock processor makes of the same chat, fed as its documentation says."""
    from transformers.video_utils import VideoMetadata

    names = {Picture: "image", Clip: "video"}
    wire = [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part}
                if isinstance(part, str)
                else {"type": names[type(part)]}
                for part in message.parts
            ],
        }
        for message in request.messages
    ]
    text = processor.apply_chat_template(
        wire, tokenize=False, add_generation_prompt=True, add_vision_id=request.number_pictures
    )
    parts = [part for message in request.messages for part in message.parts]
    pictures = [part.pixels for part in parts if isinstance(part, Picture)]
    clips = [part for part in parts if isinstance(part, Clip)]
    metadata = [
        VideoMetadata(
            total_num_frames=100_000 if clip.seconds else clip.total_frames,
            fps=1000.0 if clip.seconds else clip.source_fps,
            frames_indices=[round(s * 1000) for s in clip.seconds] or list(clip.indices),
        )
        for clip in clips
    ]
    more = {"images": pictures} if pictures else {}
    return processor(
        text=[text],
        videos=[clip.frames.transpose(0, 3, 1, 2) for clip in clips],
        video_metadata=metadata,
        do_sample_frames=False,
        return_tensors="pt",
        **more,
    )


def stamps(processor, ids) -> list[str]:
    return re.findall(r"<(\d+\.\d) seconds>", processor.tokenizer.decode(ids))


@pytest.mark.parametrize("seed", range(50))
def test_prompt_ids_and_timestamps_are_the_stock_ones(seed: int, demo_processor):
    request = chat(seed)
    encoder = PromptEncoder(demo_processor)
    stock = stock_inputs(demo_processor, request)
    ids = stock["input_ids"][0].tolist()
    ours = encoder.encode(request).inputs
    assert ours["input_ids"][0].tolist() == ids
    config = build_config(demo_processor.tokenizer)
    prepared = Preparer(encoder, config)(request)
    assert prepared.ids.tolist() == ids
    for grid in ("image_grid_thw", "video_grid_thw"):
        assert (grid in ours) == (grid in stock)
        assert grid not in ours or ours[grid].tolist() == stock[grid].tolist()
    clips = [p for m in request.messages for p in m.parts if isinstance(p, Clip)]
    expected = []
    for clip in clips:
        times = [*clip.times, clip.times[-1]]
        expected += [f"{(a + b) / 2:.1f}" for a, b in zip(times[:-1:2], times[1::2], strict=False)]
    assert stamps(demo_processor, ids) == expected
