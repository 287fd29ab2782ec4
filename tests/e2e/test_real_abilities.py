"""Thinking switches, thinking budgets and films on real servers, each by its effect.

The servers serve the demo with a chat template that has a switch. Those that are not set up here
are skipped by name; see `real_servers.py`.
"""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from evaluation import scores
from qwen3vl_nodes.loaders.servers import remote_model
from qwen3vl_nodes.loaders.servers.profiles import Profile
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.chat.tasks import task
from qwen3vl_nodes.utils.images.picture import Clip, Picture
from real_servers import COMMANDS, RealServer
from world import clips, scenes

pytestmark = pytest.mark.server
GREEDY = {"temperature": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
FILMS = 6


@pytest.fixture(scope="module", params=COMMANDS)
def model(request, tmp_path_factory):
    server = RealServer(request.param, tmp_path_factory.mktemp("able"), able=True)
    if not server.command:
        pytest.skip(f"{request.param} is not set up here")
    server.start()
    profile = Profile(
        "real", (f"http://127.0.0.1:{server.port}",), dialect=request.param,
        model=str(server.checkpoint) if request.param == "transformers" else "",
        min_pixels=102_400, max_pixels=655_360,
    )  # fmt: skip
    yield remote_model.find(profile, "", lambda: None)[0]
    server.stop()


def answers(model, *asked, watch=lambda _progress: None, **options):
    chosen = GenerationOptions(**GREEDY | {"max_new_tokens": 300} | options)
    requests = [Request((Message("user", parts),), chosen) for parts in asked]
    with model.open() as engine:
        replies = dict(engine.generate(requests, watch))
    assert all(isinstance(reply, Reply) for reply in replies.values()), replies
    return [replies[n] for n in range(len(requests))]


PICTURE = Picture(np.asarray(scenes.random_scene(random.Random(3_200_001), (320, 320)).draw()))
WORDS = (PICTURE, "Describe the image in one sentence.")


def test_the_thinking_switch_is_in_the_prompt(model):
    lengths = {}
    for thinking in (None, True, False):
        [reply] = answers(model, WORDS, thinking=thinking, max_new_tokens=60)
        lengths[thinking] = reply.prompt_tokens
        if thinking is False:  # else what it says may all be a thought
            assert reply.text and not reply.thinking
    assert lengths[True] < lengths[False], lengths
    if model.dialect.id != "llama_cpp":  # it always tells its template one or the other
        assert lengths[None] < lengths[True], lengths


def test_an_answer_that_a_server_took_for_a_thought_is_the_answer(model):
    """vLLM with a reasoning parser, of a model that does not think."""
    if model.dialect.id == "llama_cpp":
        pytest.skip("llama.cpp always tells its template to think, or not to")
    [reply] = answers(model, WORDS, max_new_tokens=60)
    assert reply.text.startswith("A ") and not reply.thinking, reply


LONG = json.dumps({"type": "array", "minItems": 900, "items": {"type": "integer", "maximum": 9}})


def test_text_grows_while_it_is_written(model):
    if "json_schema" in model.dialect.cannot:  # so hot that it goes on and on
        long = {"temperature": 2.0, "top_p": 1.0, "top_k": 0}
    else:
        long = {"json_schema": LONG}
    texts = []
    [reply] = answers(
        model, WORDS, thinking=False, max_new_tokens=300,
        watch=lambda progress: texts.append(progress.text.strip()), **long,
    )  # fmt: skip
    # A part of it was there before the whole; how many parts, is a matter of speed.
    assert any(text and text != reply.text for text in texts), texts
    assert all(reply.text.startswith(text) for text in texts), texts


def test_a_thinking_budget_ends_the_thought(model):
    if "thinking_budget" in model.dialect.cannot:
        pytest.skip(f"{model.dialect.title} cannot: thinking_budget")
    [free] = answers(model, WORDS, thinking=True, max_new_tokens=60)
    [bound] = answers(model, WORDS, thinking=True, thinking_budget=3, max_new_tokens=60)
    assert free.thinking and not free.text  # the demo does not end a thought
    assert len(bound.thinking) < len(free.thinking) and bound.text


def film(seed):
    """A film of the demo's world at two frames a second, and what happens in it when."""
    made = clips.random_clip(random.Random(4_400_000 + seed), (256, 192))
    count = 2 * round(made.seconds)
    numbers = np.linspace(0, made.total_frames - 1, count).round().astype(int)
    frames = np.stack([np.asarray(made.frame(int(n))) for n in numbers])
    clip = Clip(frames, clips.SOURCE_FPS, tuple(map(int, numbers)), made.total_frames)
    return clip, [(e.thing.name, e.start, e.end) for e in made.events]


def test_films_are_told_by_their_times(model):
    if not model.dialect.tries_films:
        pytest.skip(f"{model.dialect.title} gets films as pictures")
    assert model.takes_films
    shown = [film(n) for n in range(FILMS)]
    words = task("video_events").fill()
    replies = answers(model, *[(clip, words) for clip, _ in shown])
    counts = [scores.event_ends(r.text, t) for r, (_, t) in zip(replies, shown, strict=True)]
    right, wanted = map(sum, zip(*counts, strict=True))
    print(f"{model.dialect.title}: {right} of {wanted} starts and ends")
    assert right >= 0.9 * wanted


def test_the_same_frames_at_other_times_are_another_film(model):
    """A server may know frames again by their bytes, but not their times."""
    if not model.dialect.tries_films:
        pytest.skip(f"{model.dialect.title} gets films as pictures")
    clip, _ = film(0)
    words = task("video_events").fill()
    [usual] = answers(model, (clip, words))
    [slow] = answers(model, (replace(clip, source_fps=clip.source_fps / 2), words))
    [again] = answers(model, (clip, words))
    assert usual.text == again.text != slow.text
