"""Caption Folder with a preset of the user's: its system prompt, and rules a caption keeps to."""

import pytest
from folder_node import captioned, pictures, texts
from qwen3vl_nodes.loaders import user_tasks
from qwen3vl_nodes.nodes.forms.widgets_asking import chosen_caption
from qwen3vl_nodes.utils.captions.wording import Wording
from qwen3vl_nodes.utils.dataset.picture_kinds import Asking, picture_kinds
from qwen3vl_nodes.utils.errors import InputError
from scripted_model import ScriptedModel

OWN = (
    "mine: {title: Mine, group: caption, prompt: Say it., system: Be brief., answer: {must: [cat]}}"
)
ASKING = Asking("model", "", "", 0, None, "white")


def kinds(preset):
    return picture_kinds(preset, "", Wording(), ASKING, chosen_caption).values()


@pytest.fixture
def own(tmp_path, monkeypatch):
    folder = tmp_path / "user"
    folder.mkdir()

    class Host:
        def user_folder(self):
            return folder

    monkeypatch.setattr(user_tasks, "host", Host)
    (folder / "qwen3vl_tasks.yaml").write_text(OWN)


def test_what_a_preset_wants_is_in_its_recipe_and_only_there(own):
    (mine,) = kinds("Mine")
    assert mine.recipe.facts["system_prompt"] == "Be brief."
    assert mine.recipe.facts["answer"]["must"] == ("cat",)
    (ours,) = kinds("Short caption")
    assert "answer" not in ours.recipe.facts and ours.misfit("anything") is None
    assert "It must contain: cat." in str(mine.misfit("a dog")) and mine.misfit("a cat") is None


def test_a_preset_that_rewrites_has_nothing_to_rewrite_in_a_folder():
    with pytest.raises(InputError, match="needs context"):
        kinds("Refine tags")


def test_a_caption_that_does_not_fit_is_asked_for_again_and_then_a_failure(own, comfy):
    folder = pictures(comfy, "a.png")
    answers = iter(["a dog", "a cat"])
    ledger = captioned(ScriptedModel(lambda *_: next(answers)), preset="Mine")
    assert ledger.endswith("written 1, skipped 0, failed 0")
    assert texts(folder) == {"a.txt": "a cat"}
    pictures(comfy, "a.png", "b.png")
    ledger = captioned("a dog", preset="Mine")
    assert ledger.endswith("written 0, skipped 1, failed 1")
    assert "It must contain: cat." in ledger and texts(folder) == {"a.txt": "a cat"}
