"""Enhance Prompt: the right words in the right language, and answers that are checked."""

import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.asking.enhance import (
    AS_WRITTEN,
    IN_CHINESE,
    IN_ENGLISH,
    Qwen3VLEnhancePrompt,
)
from qwen3vl_nodes.utils.chat.tasks import tasks_in
from qwen3vl_nodes.utils.errors import GenerationError, InputError
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_model import ScriptedModel

INPUTS = {"prompt": "A cat", "target": "Qwen-Image", "language": AS_WRITTEN, "seed": 0}
GOOD = " ".join(["A grey cat sits on a red roof in the morning light."] * 4)
ZH = "一只灰色的猫坐在红色的屋顶上，" * 5
PICTURE = torch.zeros(1, 8, 8, 3)


def enhance(model, **inputs):
    return run_node(Qwen3VLEnhancePrompt, model=model, **(INPUTS | inputs))


def system_of(model):
    return model.requests[0].messages[0].parts[0]


def test_a_prompt_in_one_out():
    model = ScriptedModel(f'"{GOOD}"')
    output = enhance(model)
    assert output.args[0] == GOOD
    assert output.ui["text"] == [GOOD]
    assert "Qwen-Image" in system_of(model) and "English" in system_of(model)
    assert model.prompt_of(0).endswith("A cat") and len(model.requests) == 1


@pytest.mark.parametrize(
    ("prompt", "language", "chinese"),
    [("A cat", AS_WRITTEN, False), ("一只猫", AS_WRITTEN, True), ("一只猫", IN_ENGLISH, False),
     ("A cat", IN_CHINESE, True)],
)  # fmt: skip
def test_the_language_is_the_prompts_or_the_chosen_one(prompt, language, chinese):
    model = ScriptedModel(ZH if chinese else GOOD)
    enhance(model, prompt=prompt, language=language)
    assert ("中文" in system_of(model)) is chinese
    assert len(model.requests) == 1


def test_an_answer_that_does_not_fit_is_asked_for_once_more():
    answers = iter(["Too short.", GOOD])
    model = ScriptedModel(lambda *_: next(answers))
    output = enhance(model)
    assert output.args[0] == GOOD and "asked for once more" in output.args[1]
    assert "at least 30 words, and has 2" in model.prompt_of(1)
    output = enhance(ScriptedModel(ZH))
    assert "still not as wanted: " in output.args[1] and "in English" in output.args[1]


def test_line_breaks_go_where_one_paragraph_is_wanted():
    broken = GOOD.replace(". ", ".\n", 1)
    assert enhance(ScriptedModel(broken)).args[0] == GOOD


def test_pictures():
    model = ScriptedModel("Replace the cat with a dog and keep the rest as it is.")
    enhance(model, target="Qwen-Image-Edit", image=PICTURE)
    assert isinstance(model.requests[0].messages[1].parts[0], Picture)
    with pytest.raises(InputError, match="Qwen-Image-Edit looks at a picture, and none is linked"):
        enhance(model, target="Qwen-Image-Edit")
    model = ScriptedModel(GOOD)
    output = enhance(model, image=PICTURE)
    assert "Qwen-Image looks at no picture" in output.args[1]
    assert model.requests[0].messages[1].parts == (model.prompt_of(0),)


def test_every_target_of_the_menu_works():
    for one in tasks_in("enhance"):
        image = PICTURE if one.picture == "required" else None
        enhance(ScriptedModel(f"{one.answer.begins} {GOOD}"), target=one.title, image=image)


def test_nothing_in_nothing_out():
    with pytest.raises(InputError, match="The prompt is empty"):
        enhance(ScriptedModel(GOOD), prompt=" ")
    with pytest.raises(GenerationError, match="wrote no prompt"):
        enhance(ScriptedModel(""))
    with pytest.raises(InputError, match="no enhancer 'Nope'"):
        enhance(ScriptedModel(GOOD), target="Nope")


def test_the_users_own_enhancer_is_in_the_menu(tmp_path, monkeypatch):
    from qwen3vl_nodes.loaders import user_tasks

    class Host:
        def user_folder(self):
            return tmp_path

    monkeypatch.setattr(user_tasks, "host", Host)
    (tmp_path / "qwen3vl_tasks.yaml").write_text(
        "enhance_mine: {title: Mine, group: enhance, prompt: 'Do {prompt}', fields: [prompt]}"
    )
    schema = Qwen3VLEnhancePrompt.GET_SCHEMA()
    menu = next(one for one in schema.inputs if one.id == "target")
    assert "Mine" in menu.options
    model = ScriptedModel("done")
    assert enhance(model, target="Mine").args[0] == "done"
    assert model.prompt_of(0) == "Do A cat"
    (tmp_path / "qwen3vl_tasks.yaml").write_text("broken: [")
    with pytest.raises(InputError, match="is no YAML"):
        enhance(model, target="Mine")
