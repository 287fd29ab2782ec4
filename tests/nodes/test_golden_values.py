"""What earlier releases wrote is still ours: recipe ids, model identities, journals, captions.

The values in data/ were made by the code of the first release. They are data, not results: a
test here that fails says that *overwrite own* would caption every user's folders anew.
"""

import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest
from folder_node import FOLDER, captioned
from node_running import run_node
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.settings import Adapter, LoadSettings
from qwen3vl_nodes.nodes.folders.save_captions import Qwen3VLSaveCaptions
from qwen3vl_nodes.nodes.forms.widgets_asking import chosen_caption
from qwen3vl_nodes.utils.captions.ledger import LEDGER_NAME
from qwen3vl_nodes.utils.captions.recipe import Recipe
from qwen3vl_nodes.utils.captions.wording import Wording
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.dataset.picture_kinds import Asking, picture_kinds
from qwen3vl_nodes.utils.files.fingerprint import published
from qwen3vl_nodes.utils.files.folder_lock import HOLDER_NAME, LOCK_NAME
from scripted_model import ScriptedModel

DATA = Path(__file__).parent / "data"
GOLDEN = json.loads((DATA / "golden_values.json").read_text("utf-8"))
OLD_RUNS = DATA / "old_runs"
FORMATS = ("txt", "json", "jsonl")
PICTURES = ("10_dog/d.png", "a.png", "bad.png", "edited.png", "saved.png")
MADE = ("10_dog/d.png", "10_dog/d.png [tags]", "a.png", "a.png [tags]", "edited.png [tags]")
FRAME = {
    "prefix": "It's ", "suffix": ' "é"', "trigger_word": "sks {class}", "max_characters": 200,
    "replace": "cat => dog\nvery =>",
}  # fmt: skip
NODE = FOLDER | FRAME | {
    "more_presets": "Tags", "instructions": "Say 'so'.", "system_prompt": "You see\nwell.",
    "seed": 7, "options": GenerationOptions(max_new_tokens=64, temperature=0.5, stop=("\n",)),
    "exclude": "saved.png", "background": "black",
}  # fmt: skip


def wording(values):
    replacements, *others = values
    return Wording(tuple(map(tuple, replacements)), *others)


def local_model(name, adapters):
    model = LocalModel(LoadSettings(name))
    for adapter in adapters:
        model = model.with_adapter(Adapter(*adapter))
    return model


def asked_kinds(case):
    options = case["options"]
    if options is not None:
        options = GenerationOptions(**options | {"stop": tuple(options.get("stop", ()))})
    asking = Asking(
        case["model"], case["instructions"], case["system_prompt"], case["seed"], options, "white"
    )
    words = wording(case["wording"])
    return picture_kinds(case["preset"], case["more_presets"], words, asking, chosen_caption)


@pytest.mark.parametrize("case", GOLDEN["recipes"], ids=lambda case: case["about"])
def test_a_recipe_keeps_its_id(case):
    made = Recipe(case["variant"], wording(case["wording"]), case["facts"])
    assert made.id.hex() == case["id"]


@pytest.mark.parametrize("case", GOLDEN["identities"], ids=lambda case: case["identity"])
def test_a_model_keeps_its_identity(case):
    assert local_model(case["model"], case["adapters"]).identity == case["identity"]


@pytest.mark.parametrize("case", GOLDEN["kinds"], ids=lambda case: case["about"])
def test_the_same_widgets_are_the_same_recipes_and_seeds(case):
    """Fails too when a preset's prompt is edited: its captions are then of another making."""
    made = asked_kinds(case)
    assert {variant: kind.recipe.id.hex() for variant, kind in made.items()} == case["ids"]
    seeds = [kind.seed_for(bytes(range(16)), attempt=1) for kind in made.values()]
    assert seeds == case["seeds"]


@pytest.mark.parametrize(
    ("value", "others"),
    [
        (
            Wording(),
            {
                "replacements": (("a", "b"),), "max_characters": 1, "trigger_word": "t",
                "prefix": "p", "suffix": "s",
            },
        ),
        (Adapter("a"), {"name": "b", "strength": 0.5, "merged": False}),
    ],
    ids=["wording", "adapter"],
)  # fmt: skip
def test_no_field_is_left_out_of_an_identity(value, others):
    """A field added to either must be told from its default; then it gets a line here."""
    assert set(others) == {field.name for field in fields(value)}
    changed = {replace(value, **{name: other}).identity for name, other in others.items()}
    assert len(changed | {value.identity}) == len(others) + 1


def test_a_field_that_is_added_changes_no_older_identity():
    assert published("Kind", {"a": 1}, {"b": (None, None)}) == "Kind(a=1)"
    assert published("Kind", {"a": 1}, {"b": (2, None), "c": (0, 0)}) == "Kind(a=1, b=2)"


class OldModel(ScriptedModel):
    """Answers by the picture's size, under the identity of a model with adapters."""

    def __init__(self):
        super().__init__(self._said)
        self.identity = local_model("Tiny", [["style 'a'", 0.5, True], ["b", -2.0, False]]).identity

    def _said(self, _number, request):
        width, _ = request.messages[-1].parts[0].size_wh
        return f"A cat of {width} very small pixels."


class Unopened(OldModel):
    """Of which nothing may be asked."""

    @contextmanager
    def open(self):
        raise AssertionError("an old caption was asked for anew")
        yield


def save_captions(form, mode):
    """The ledger of Save Captions for one picture."""
    one = FRAME | {"folder": "input/pics", "mode": mode, "place": FOLDER["place"], "format": form}
    lists = {name: [value] for name, value in one.items()}
    return run_node(
        Qwen3VLSaveCaptions, names=["saved.png"], captions=[" A saved cat. "], **lists
    )[0]  # fmt: skip


def old_run(comfy, form):
    """input/pics as the first release left it."""
    folder = comfy / "input" / "pics"
    shutil.copytree(OLD_RUNS / form, folder)
    return folder


def lines_of(ledger):
    """Label → the rest of its line."""
    found = {}
    for line in ledger.splitlines()[:-1]:
        said = re.fullmatch(r"(\w+) +(.*?\.png(?: \[\w+\])?)(.*)", line)
        assert said, line
        found[said[2]] = said[1] + said[3]
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_an_old_run_is_up_to_date_under_its_recipe(comfy, form):
    """Twice: at first the copies' stamps are new and the pictures are read, then no longer."""
    folder = old_run(comfy, form)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.name[0] != "."}
    for _ in range(2):
        lines = lines_of(captioned(Unopened(), **NODE | {"mode": "overwrite own", "format": form}))
        assert {label: lines.pop(label) for label in MADE} == dict.fromkeys(
            MADE, "skipped: is up to date"
        )
        edited = "skipped: its caption was written or edited by others, or by a run on another"
        assert lines.pop("edited.png").startswith(edited)
        assert set(lines) == {"bad.png", "bad.png [tags]"}
        assert all(line.startswith("failed") for line in lines.values())
        assert lines_of(save_captions(form, "overwrite own")) == {
            "saved.png": "skipped: is up to date"
        }
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("form", FORMATS)
def test_an_old_run_is_ours_to_overwrite(comfy, form):
    """The journal's lines are still read: other settings write all but what a person edited."""
    old_run(comfy, form)
    widgets = NODE | {"mode": "overwrite own", "format": form, "seed": 8}
    ledger = captioned(OldModel(), **widgets)
    lines = lines_of(ledger)
    assert {lines[label] for label in MADE} == {"written"}
    assert lines["edited.png"].startswith("skipped")
    assert ledger.endswith("written 5, skipped 1, failed 2")


def write_run(folder, form):
    """What the first release was made to write: both nodes, and a person who edits a caption."""
    captioned(OldModel(), **NODE | {"format": form})
    ledger = (folder / LEDGER_NAME).read_bytes()
    save_captions(form, "skip existing")
    (folder / LEDGER_NAME).write_bytes(ledger)
    edited = folder / ("captions.jsonl" if form == "jsonl" else f"edited.{form}")
    edited.write_text(edited.read_text("utf-8").replace("of 10 ", "of ten ", 1), "utf-8")


def said_in(path):
    """A file's text, or its objects in one order; without times, and reasons of failures."""
    text = path.read_text("utf-8")
    if path.suffix in (".txt", ".log"):
        return sorted(re.sub(r"(?m)^(failed.*?):.*$", r"\1", text).splitlines())
    lines = [text] if path.suffix == ".json" else text.splitlines()
    objects = [json.loads(line) for line in lines]
    varying = {"time", "stamp", "content"}  # a content holds the time
    return sorted(
        ({name: said for name, said in one.items() if name not in varying} for one in objects),
        key=lambda one: (str(one.get("file_name")), str(one["caption"]), str(one.get("variant"))),
    )


def files_in(folder):
    """The files by name, without those of a run that goes on."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}
    return found - {LOCK_NAME, HOLDER_NAME}


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_writes_what_the_first_release_wrote(comfy, form):
    """Captions, journal and ledger; facts that others do not know may be added."""
    old, folder = OLD_RUNS / form, comfy / "input" / "pics"
    for name in PICTURES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(old / name, folder / name)
    write_run(folder, form)
    assert files_in(folder) == files_in(old)
    for name in files_in(old) - set(PICTURES):
        for ours, theirs in zip(said_in(folder / name), said_in(old / name), strict=True):
            if isinstance(ours, dict) and isinstance(theirs, dict):
                assert {key: ours.get(key) for key in theirs} == theirs, name
            else:
                assert ours == theirs, name
