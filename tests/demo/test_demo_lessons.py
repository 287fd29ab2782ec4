"""Lessons are rendered as the stock processor renders them, in formats the pack can parse."""

import json
import random
import re

import numpy as np
import pytest
from checkpoint import tokens
from checkpoint.checkpoint_files import CHECKPOINT, IMAGE_PIXELS
from evaluation import scores
from qwen3vl_nodes.utils.chat.tasks import tasks_in
from qwen3vl_nodes.utils.parsing.detections import parse_detections
from talks import blank_talks, grounding_talks, lessons, phrasing, wordings
from training import packing

SIZES = {"pages": (448, 480), "clips": (160, 128)}


@pytest.fixture(scope="module")
def processor():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(CHECKPOINT)


def lesson_of(family: str, seed: int = 1) -> lessons.Lesson:
    return lessons.FAMILIES[family](random.Random(seed), SIZES.get(family, (192, 160)))


@pytest.mark.parametrize("family", list(lessons.FAMILIES))
def test_every_task_is_known_and_its_json_parses(family):
    for seed in range(6):
        for talk in lesson_of(family, seed).talks:
            assert talk.task in packing.TASKS
            for question, answer in talk.turns:
                assert answer and "{" + "}" not in question
                if "```json" in answer:
                    assert scores.fenced_json(answer) is not None, answer


@pytest.mark.parametrize("family", [f for f in lessons.FAMILIES if f != "clips"])
def test_rows_are_what_the_processor_renders(family, processor):
    for seed in range(3):
        lesson = lesson_of(family, seed)
        row = packing.lay_out(lesson)
        for number, talk in enumerate(lesson.talks, 1):
            mine = row.ids[np.isin(row.segments, (0, number))].tolist()
            assert mine == rendered(lesson, talk, processor)


def rendered(lesson, talk, processor) -> list[int]:
    """The ids of a chat through template and processor, up to the last answer's end."""
    content = [{"type": "text", "text": lesson.lead}] if lesson.lead else []
    content += [{"type": "image"} for _ in lesson.visuals]
    messages = [{"role": "system", "content": lesson.system}] if lesson.system else []
    for number, (question, answer) in enumerate(talk.turns):
        words = [{"type": "text", "text": question}]
        messages.append({"role": "user", "content": words if number else content + words})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    text = processor.apply_chat_template(
        messages, tokenize=False, add_vision_id=lesson.numbered, tools=list(lesson.tools) or None
    )
    pictures = [visual.frames[0] for visual in lesson.visuals] or None
    # Lessons also show small pictures as small as they are, which the processor enlarges.
    size = {**IMAGE_PIXELS, "shortest_edge": 32 * 32}
    inputs = processor(text=[text], images=pictures, size=size, return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    return ids[
        : len(ids) - ids[::-1].index(processor.tokenizer.convert_tokens_to_ids("<|im_end|>"))
    ]


def test_a_clip_is_written_with_the_time_of_each_pair():
    lesson = lesson_of("clips")
    times = lesson.visuals[0].pair_times
    written = re.findall(r"<(\d+\.\d) seconds>", packing.beginning(lesson))
    assert written == [f"{t:.1f}" for t in times]
    assert len(packing.pixels_of(lesson)) == len(times) == len(lesson.visuals[0].cells)


def test_boxes_read_by_the_pack_are_the_boxes_of_the_scene():
    rng = random.Random(2)
    scene = lessons.random_scene(rng, (320, 200), 3)
    talk = next(t for t in iter(lambda: lessons.TALKS[7][0](rng, scene), None) if t.task == "boxes")
    found = parse_detections(talk.turns[0][1], 320, 200).items
    assert found
    for item in found:
        x1, y1, x2, y2 = item.shape.to_pixels(320, 200)
        assert max(scores.iou((x1, y1, x2, y2), t.box) for t in scene.things) > 0.9


def test_what_is_asked_for_in_vain_is_not_there():
    """Also when several categories are asked for: then an answer of nothing names none of them."""
    rng, several = random.Random(4), 0
    for _ in range(300):
        scene = lessons.random_scene(rng, (240, 200))
        talk = grounding_talks.boxes(rng, scene)
        question, answer = talk.turns[0]
        if talk.task != "absent":
            continue
        assert parse_detections(answer, 240, 200).items == ()
        assert not any(re.search(rf"\b{t.name}s?\b", question) for t in scene.things)
        several += "," in question.split("JSON")[0].rpartition("categories")[2]
    assert several > 3


def test_a_picture_of_nothing_has_nothing_to_say():
    for seed in range(20):
        answers_by_task = {t.task: t.turns[0][1] for t in blank_talks.talks(random.Random(seed))}
        assert answers_by_task["caption_short"] == blank_talks.CAPTION
        assert answers_by_task["count"].startswith("There are 0 ")
        assert answers_by_task["yes_no"] == "No."
        for task in ("absent", "points"):
            assert parse_detections(answers_by_task[task], 9, 9).items == ()


def test_every_caption_preset_of_the_pack_is_taught():
    rng, asked = random.Random(0), set()
    scene = lessons.random_scene(rng, (200, 200))
    for _ in range(600):
        asked.add(lessons.TALKS[0][0](rng, scene).turns[0][0])
        asked.add(lessons.TALKS[1][0](rng, scene).turns[0][0])
    # The later ones ask for photos of the world, of which the demo knows nothing.
    assert {task.prompt for task in tasks_in("caption")[:8]} <= asked


def test_a_repeated_field_of_a_prompt_is_filled_in_everywhere():
    rng = random.Random(0)
    own = phrasing.preset("ground_by_points").replace("{things}", "red star")
    asked = {
        phrasing.ask(rng, wordings.POINTS, "red star", preset_id="ground_by_points")
        for _ in range(40)
    }
    assert own in asked


def test_the_tokenizer_splits_digits_and_knows_the_control_tokens():
    tokenizer = packing.tokenizer()
    assert tokenizer.encode("1234").tokens == ["1", "2", "3", "4"]
    for token, _ in tokens.CONTROL:
        assert tokenizer.encode(token).tokens == [token]
    text = 'Ünïcode, "quotes"\n\t{"a": [1, 2]}'
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_chats_of_one_row_do_not_see_each_other():
    torch = pytest.importorskip("torch")
    from training.network import chat_mask

    mask = chat_mask(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0, 0]
    assert mask[4].tolist() == [True, True, False, False, True, False]
    assert mask[3].tolist() == [True, True, True, True, False, False]


def test_signatures_are_json():
    for lesson in (lesson_of("agent", seed) for seed in range(4)):
        assert json.loads(json.dumps(lesson.tools[0]))["function"]["parameters"]["required"] == [
            "action"
        ]
