"""Zoom: crops, boxes, sheet and transcript of a scripted model, and of a real engine."""

import json

import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.agents.zoom import Qwen3VLZoom
from scripted_model import ScriptedModel

INPUTS = {"question": "What is small?", "max_looks": 3, "system_prompt": "", "seed": 5}
OUTPUTS = ("answer", "crops", "boxes", "transcript", "sheet", "thinking", "report")


@pytest.fixture(autouse=True)
def temp_folder(comfy, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(comfy / "temp"))
    (comfy / "temp").mkdir()


def call(box, index=0, label="star") -> str:
    arguments = {"label": label, "bbox_2d": box, "img_idx": index}
    said = json.dumps({"name": "image_zoom_in_tool", "arguments": arguments})
    return f"<tool_call>\n{said}\n</tool_call>"


class Talker(ScriptedModel):
    """Gives its answers one after the other, whatever the request's number."""

    def __init__(self, *answers: str, **more):
        super().__init__(lambda *_: answers[len(self.requests) - 1], **more)


def zoom(model, image, **inputs) -> dict:
    made = run_node(Qwen3VLZoom, model=model, image=image, **(INPUTS | inputs))
    return dict(zip(OUTPUTS, made.args, strict=True)) | {"ui": made.ui}


def test_a_look_and_an_answer(images):
    model = Talker(call([500, 0, 750, 500]), "A red star.")
    found = zoom(model, images(1, 200, 400))
    assert found["answer"] == "A red star."
    assert found["boxes"] == [
        [{"x": 200, "y": 0, "width": 100, "height": 100, "label": "star", "look": 1}]
    ]
    (crop,) = found["crops"]
    assert crop.shape == (1, 512, 512, 3)
    assert crop.dtype == torch.float32
    assert found["sheet"].shape[0] == 1
    assert found["transcript"].splitlines()[0] == "user: What is small?"
    assert found["report"].startswith("1 closer look in 2 steps\n")
    assert [len(request.messages) for request in model.requests] == [2, 4]
    assert [request.seed for request in model.requests] == [5, 6]
    assert found["ui"]["text"] == ["A red star."]


def test_several_images_are_one_talk(images):
    model = Talker(call([0, 0, 500, 500], index=1), "Done.")
    found = zoom(model, images(2, 100, 100))
    assert [len(frame) for frame in found["boxes"]] == [0, 1]
    assert len(model.requests[0].messages[-1].parts) == 3
    assert model.requests[0].number_pictures is False


def test_without_a_look_it_says_what_the_crops_are(images):
    image = images(1)
    found = zoom(Talker("Nothing is small."), image)
    assert found["boxes"] == [[]]
    (crop,) = found["crops"]
    assert torch.allclose(crop, image, atol=1 / 255)
    assert "crops holds the whole first image" in found["report"]


def test_an_answer_that_never_comes_is_said(images):
    found = zoom(Talker(*[call([0, 0, 500, 500])] * 9), images(1), max_looks=1)
    assert found["answer"] == ""
    assert "There is no answer." in found["report"]
    assert "already" in found["report"] or "any more" in found["report"]


def test_a_cut_off_reply_is_said(images):
    found = zoom(Talker("I think", stopped_by="length"), images(1))
    assert found["answer"] == "I think"
    assert "cut off" in found["report"]


def test_an_engine_reads_the_whole_talk(model, images):
    """A random checkpoint calls nothing: its words are the answer, and no step fails."""
    from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions

    found = zoom(model, images(1), options=GenerationOptions(max_new_tokens=4))
    assert found["report"].startswith("It did not look closer")


def test_each_step_reads_only_what_is_new(model, images):
    """The talk goes on where it ended: pages of the steps before are shared, not read again."""
    from qwen3vl_nodes.utils.agents.zoom_talk import ZoomTalk
    from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
    from qwen3vl_nodes.utils.chat.requests import Reply
    from qwen3vl_nodes.utils.images.tensors import pictures_from_tensor

    options = GenerationOptions(max_new_tokens=1, temperature=0.0)
    talk = ZoomTalk(pictures_from_tensor(images(1, 200, 400)), "What?", 2, options=options)
    prompts, read = [], []
    with model.open() as engine:
        stepper = engine._attached()
        reads = stepper.read

        def counted(passages, *rest):
            read[-1] += sum(one.end - one.start for one in passages)
            return reads(passages, *rest)

        stepper.read = counted
        for turn in (call([500, 0, 750, 500]), call([0, 0, 250, 500]), "A star."):
            read.append(0)
            ((_, reply),) = engine.generate([talk.request()])
            prompts.append(reply.prompt_tokens)
            talk.take(Reply(turn, "", "end", 1, 1, 1.0, 0.5))
    assert len(talk.looks) == 2
    assert read[0] == prompts[0]
    # What came with a look is new: the call, the crop, and the marks around them.
    for n in (1, 2):
        assert read[n] <= prompts[n] - prompts[n - 1] + 1
