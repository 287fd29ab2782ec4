"""Compare: pictures of any kind and size as one question, numbers, places, words, JSON."""

import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.asking.compare import Qwen3VLCompare
from qwen3vl_nodes.utils.chat.composition import ALWAYS, EACH, NEVER, SEVERAL, TOGETHER
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.errors import InputError, ParseError
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_model import ScriptedModel

COMPARE = {"question": "What?", "system_prompt": "", "seed": 0, "batch": TOGETHER}


def compare(model, images, **inputs):
    given = {"model": model} | COMPARE | inputs
    return run_node(
        Qwen3VLCompare,
        images={name: list(values) for name, values in images.items()},
        **{name: [value] for name, value in given.items()},
    )


def image(height=8, width=8, count=1, value=0.0):
    return torch.full((count, height, width, 3), value)


def sizes(request):
    return [part.size_wh for part in request.messages[-1].parts if isinstance(part, Picture)]


def test_images_batches_and_lists_of_different_sizes_are_one_question():
    model = ScriptedModel("both")
    images = {"image1": [image(8, 16)], "image2": [image(4, 4, count=2)],
              "image3": [image(2, 2), image(6, 3)]}  # fmt: skip
    output = compare(model, images)
    assert output.args[0] == ["both"]
    (request,) = model.requests
    assert sizes(request) == [(16, 8), (4, 4), (4, 4), (2, 2), (3, 6)]
    assert request.number_pictures


def shown(request):
    return [part.pixels for part in request.messages[-1].parts if isinstance(part, Picture)]


def test_a_mask_is_of_the_image_of_its_number():
    """What is hidden in one picture stays to be seen in the others."""
    model = ScriptedModel("both")
    left = torch.zeros(1, 8, 8)
    left[:, :, :4] = 1.0
    images = {"image1": [image(value=1.0)], "image2": [image(value=1.0, count=2)],
              "image3": [image(value=1.0)]}  # fmt: skip
    given = {"model": [model]} | {name: [value] for name, value in COMPARE.items()}
    run_node(
        Qwen3VLCompare, images=images, masks={"mask2": [left], "mask3": [left[0]]},
        mask_use=["crop to the mask"], **given,
    )  # fmt: skip
    assert sizes(model.requests[0]) == [(8, 8), (4, 8), (4, 8), (4, 8)]
    run_node(Qwen3VLCompare, images=images, masks={"mask1": [left]}, **given)
    first, *others = shown(model.requests[1])
    assert (first[:, :4] == 255).all() and (first[:, 4:] == 127).all()
    assert all((pixels == 255).all() for pixels in others)
    with pytest.raises(InputError, match="mask4 and no image4"):
        run_node(Qwen3VLCompare, images=images, masks={"mask4": [left]}, **given)


def test_one_answer_about_each():
    model = ScriptedModel(lambda number, _: str(number))
    assert compare(model, {"image1": [image(count=3)]}, batch=EACH).args[0] == ["0", "1", "2"]
    assert [r.seed for r in model.requests] == [0, 1, 2]


@pytest.mark.parametrize(
    ("ids", "count", "numbered"),
    [(SEVERAL, 1, False), (SEVERAL, 2, True), (ALWAYS, 1, True), (NEVER, 2, False)],
)
def test_vision_ids(ids, count, numbered):
    model = ScriptedModel("x")
    compare(model, {"image1": [image(count=count)]}, vision_ids=ids)
    assert model.requests[0].number_pictures is numbered


def test_a_named_picture_stands_where_it_is_named():
    model = ScriptedModel("x")
    images = {"image1": [image(2, 2)], "image2": [image(4, 4)]}
    compare(model, images, question="{image2} or {image1}?")
    kinds = [
        part if isinstance(part, str) else part.size_wh
        for part in model.requests[0].messages[-1].parts
    ]
    assert kinds == [(4, 4), " or ", (2, 2), "?"]
    with pytest.raises(InputError, match="names {image3}"):
        compare(model, images, question="{image3}")


@pytest.mark.parametrize("images", [{}, {"image1": []}, {"image1": [None]}])
def test_without_a_picture_nothing_is_compared(images):
    with pytest.raises(InputError, match="No picture is connected"):
        compare(ScriptedModel("x"), images)


def test_an_empty_question_is_refused():
    with pytest.raises(InputError, match="question is empty"):
        compare(ScriptedModel("x"), {"image1": [image()]}, question=" ")


def test_words_are_asked_for_once_more_and_no_more():
    answers = iter(["A dog.", "A cat."])
    model = ScriptedModel(lambda *_: next(answers))
    output = compare(model, {"image1": [image()]}, must="cat", must_not="dog")
    assert output.args[0] == ["A cat."] and len(model.requests) == 2
    assert "asked for once more" in output.args[2]
    model = ScriptedModel("A dog.")
    output = compare(model, {"image1": [image()]}, must="cat")
    assert output.args[0] == ["A dog."] and len(model.requests) == 2
    assert "still not as wanted: It must contain: cat." in output.args[2]


def test_only_those_that_do_not_fit_are_asked_again():
    model = ScriptedModel(lambda number, _: f"cat {number}" if number else "dog")
    output = compare(model, {"image1": [image(count=3)]}, batch=EACH, must="cat")
    assert len(model.requests) == 4
    assert output.args[0][1:] == ["cat 1", "cat 2"]


def test_json_only():
    wanted = GenerationOptions(json_schema="{}")
    model = ScriptedModel('Sure: {"a": 1}')
    output = compare(model, {"image1": [image()]}, options=wanted)
    assert output.args[0] == ['{"a": 1}'] and "the JSON was repaired" in output.args[2]
    assert model.prompt_of(0).endswith("Answer with one JSON value, and nothing else.")
    with pytest.raises(ParseError, match="Answer 1 of 1 is no JSON"):
        compare(ScriptedModel("no"), {"image1": [image()]}, options=wanted)


def test_the_nodes_own_limit_counts_more_than_the_options():
    model = ScriptedModel("x")
    options = GenerationOptions(max_new_tokens=9, top_k=3)
    compare(model, {"image1": [image()]}, options=options, max_new_tokens=5)
    assert model.requests[0].options == GenerationOptions(max_new_tokens=5, top_k=3)
