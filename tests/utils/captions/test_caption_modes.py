"""What becomes of captions that are there: ours, others', edited, added to, and in what order."""

import os

import pytest
from caption_runs import allowed, caption_all, made, make, recipe, run, states, wanted_of
from qwen3vl_nodes.utils.captions import sidecars
from qwen3vl_nodes.utils.captions.policy import (
    APPEND,
    OVERWRITE,
    OVERWRITE_ALL,
    PREPEND,
    SKIP,
)

P, Q, R = recipe("p"), recipe("q"), recipe("r")
ADDING = pytest.mark.parametrize("mode", [APPEND, PREPEND])


def captioned(folder, mode, kind, text):
    """The run, after it wrote what it wants."""
    files = run(folder, recipes=[kind], mode=mode)
    caption_all(files, text)
    return files


def text_of(folder, name="a.txt"):
    return (folder / name).read_bytes().decode()


def test_overwriting_touches_only_our_own(tmp_path):
    folder = make(tmp_path, "ours.png", "edited.png", "theirs.png", "linked.png")
    (folder / "theirs.txt").write_text("mine")
    caption_all(run(folder))
    (folder / "edited.txt").write_text("a caption, edited")
    (folder / "linked.txt").unlink()
    (folder / "linked.txt").symlink_to(folder / "ours.txt")
    files = captioned(folder, OVERWRITE, Q, "new")
    assert states(files).pop("ours.png") == "written"
    assert files.ledger.summary == "written 1, skipped 3, failed 0"
    assert text_of(folder, "theirs.txt") == "mine"
    assert text_of(folder, "edited.txt") == "a caption, edited"
    assert (folder / "linked.txt").is_symlink()


def test_overwriting_does_again_only_what_would_differ(tmp_path):
    folder = make(tmp_path, "a.png", "b.png")
    captioned(folder, SKIP, P, "one")
    assert captioned(folder, OVERWRITE, P, "two").ledger.count("written") == 0
    make(folder, "x.png", "a.png")  # a.png is another picture now
    assert caption_all(run(folder, mode=OVERWRITE)) == ["a.png", "x.png"]
    assert caption_all(run(folder, recipes=[Q], mode=OVERWRITE)) == ["a.png", "b.png", "x.png"]


def test_skipping_does_changed_pictures_again_but_no_other_settings(tmp_path):
    folder = make(tmp_path, "a.png", "b.png")
    captioned(folder, SKIP, P, "one")
    assert caption_all(run(folder, recipes=[Q])) == []
    make(folder, "x.png", "a.png")
    assert caption_all(run(folder, recipes=[Q]), "two") == ["a.png", "x.png"]
    assert text_of(folder) == "two" and text_of(folder, "b.txt") == "one"


@pytest.mark.parametrize("mode", [SKIP, OVERWRITE])
def test_a_picture_with_another_time_is_read_once_and_then_known(tmp_path, mode):
    folder = make(tmp_path, "a.png")
    captioned(folder, SKIP, P, "one")
    os.utime(folder / "a.png", (1, 1))  # the clock of the camera, or a copy
    files = run(folder, mode=mode)
    assert len(wanted_of(files)) == 1
    assert caption_all(run(folder, mode=mode), "two") == []
    assert text_of(folder) == "one"
    assert wanted_of(run(folder, mode=mode)) == []


def test_overwrite_all_replaces_everything_and_goes_on_where_it_stopped(tmp_path):
    folder = make(tmp_path, "a.png", "b.png", "c.png")
    (folder / "a.txt").write_text("mine")
    (folder / "b.txt").write_text("x" * 5_000_000)
    (folder / "c.txt").symlink_to(folder / "precious.txt")
    (folder / "precious.txt").write_text("precious")
    files = run(folder, mode=OVERWRITE_ALL)
    files.write(made(files, wanted_of(files)[1:], "new"))
    assert text_of(folder) == "mine" and text_of(folder, "b.txt") == "new"
    assert not (folder / "c.txt").is_symlink() and text_of(folder, "precious.txt") == "precious"
    assert caption_all(run(folder, mode=OVERWRITE_ALL), "new") == ["a.png"]


@ADDING
def test_words_are_added_once_and_are_then_everybodys(tmp_path, mode):
    folder = make(tmp_path, "a.png")
    (folder / "a.txt").write_bytes(b"\xef\xbb\xbfmine,\r\nand mine\r\n")
    captioned(folder, mode, P, "ours")
    whole = {APPEND: "mine,\r\nand mine ours", PREPEND: "ours mine,\r\nand mine\r\n"}[mode]
    assert text_of(folder) == whole
    for again, kind in ((mode, P), (SKIP, P), (SKIP, Q), (OVERWRITE, P), (OVERWRITE, Q)):
        assert wanted_of(run(folder, recipes=[kind], mode=again)) == []
    make(folder, "x.png", "a.png")  # another picture; the words of others stay what they are
    assert "others' words" in str(captioned(folder, mode, P, "new").ledger)
    assert text_of(folder) == whole


@ADDING
def test_what_is_there_already_is_not_added_again(tmp_path, mode):
    """Added by a run on another folder, renamed, or edited at another place since."""
    folder = make(tmp_path, "a.png")
    (folder / "a.txt").write_text("mine, all")
    captioned(folder, mode, P, "ours")
    captioned(folder, mode, Q, "others")
    captioned(folder, mode, P, "ours")
    assert text_of(folder).count("ours") == 1
    (folder / "a.txt").write_text(text_of(folder) + " edited")
    assert "has these words already" in str(captioned(folder, mode, P, "ours").ledger)
    assert wanted_of(run(folder, recipes=[P], mode=mode)) == []  # it is remembered
    for path in (folder / ".qwen3vl.jsonl",):
        path.unlink()
    assert "has these words already" in str(captioned(folder, mode, P, "ours").ledger)
    assert text_of(folder).count("ours") == 1


@ADDING
def test_our_own_caption_is_replaced_when_its_picture_changed(tmp_path, mode):
    folder = make(tmp_path, "a.png")
    captioned(folder, SKIP, P, "old")
    make(folder, "x.png", "a.png")
    captioned(folder, mode, P, "new")
    assert text_of(folder) == "new"
    assert caption_all(run(folder, recipes=[Q], mode=OVERWRITE), "q")[0] == "a.png"


@ADDING
def test_another_recipe_is_added_to_our_own_caption(tmp_path, mode):
    folder = make(tmp_path, "a.png")
    captioned(folder, SKIP, P, "one")
    captioned(folder, mode, recipe("q", prefix="; ", suffix="; "), "; two; ")
    assert text_of(folder) == {APPEND: "one; two; ", PREPEND: "; two; one"}[mode]


@ADDING
def test_a_caption_that_is_not_there_is_written(tmp_path, mode):
    folder = make(tmp_path, "a.png")
    captioned(folder, mode, P, "ours")
    assert text_of(folder) == "ours"
    assert caption_all(run(folder, recipes=[Q], mode=OVERWRITE), "new") == ["a.png"]


@pytest.mark.parametrize("mode", [SKIP, OVERWRITE, APPEND, PREPEND, OVERWRITE_ALL])
@pytest.mark.parametrize("form", ["txt", "json"])
def test_a_caption_that_others_changed_while_the_model_ran_stays_theirs(tmp_path, mode, form):
    if form == "json" and mode in (APPEND, PREPEND):
        mode = OVERWRITE
    folder = make(tmp_path, "a.png", "b.png", "c.png")
    caption_all(run(folder, recipes=[P], form=form))
    for name in ("a", "b") if mode != SKIP else "abc":
        (folder / f"{name}.{form}").unlink() if mode == SKIP else None
    files = run(folder, recipes=[Q], mode=mode, form=form)
    done = made(files, wanted_of(files), "new")
    assert len(done) == 3
    (folder / f"a.{form}").write_text("written meanwhile")
    (folder / f"b.{form}").unlink(missing_ok=True)
    (folder / f"b.{form}").mkdir()
    files.write(done)
    assert text_of(folder, f"a.{form}") == "written meanwhile"
    assert files.ledger.summary == "written 1, skipped 2, failed 0"
    assert str(files.ledger).count("changed by others meanwhile") == 2


def test_a_caption_changed_between_the_journal_and_the_write_stays_theirs(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png")
    captioned(folder, SKIP, P, "old")
    files = run(folder, recipes=[Q], mode=OVERWRITE)
    add = files.journal.add

    def edited_meanwhile(entries):
        add(entries)
        (folder / "a.txt").write_text("edited")

    monkeypatch.setattr(files.journal, "add", edited_meanwhile)
    caption_all(files, "new")
    assert text_of(folder) == "edited" and states(files) == {"a.png": "skipped"}


def test_a_caption_that_appears_just_before_the_rename_stays_theirs(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png")
    write = sidecars.write_in

    def after_somebody_else(opened, name, data, new):
        (folder / name).write_text("theirs")
        write(opened, name, data, new)

    monkeypatch.setattr(sidecars, "write_in", after_somebody_else)
    files = captioned(folder, SKIP, P, "new")
    assert text_of(folder) == "theirs" and states(files) == {"a.png": "skipped"}


def test_a_text_file_never_gets_the_json_of_its_neighbour(tmp_path):
    folder = make(tmp_path, "a.png")
    caption_all(run(folder, form="json"), "in json")
    caption_all(run(folder), "in txt")
    assert text_of(folder) == "in txt"


@pytest.mark.parametrize("second", ["json", "jsonl"])
def test_formats_may_change_between_runs(tmp_path, second):
    folder = make(tmp_path, "a.png", "b.png")
    caption_all(run(folder), "in txt")
    for form in (second, "txt", second):
        files = run(folder, form=form)
        caption_all(files, f"in {form}")
    assert text_of(folder) == "in txt"
    name = {"json": "a.json", "jsonl": "captions.jsonl"}[second]
    assert f'"caption": "in {second}"' in text_of(folder, name)
    assert files.ledger.summary == "written 0, skipped 2, failed 0"


def test_two_runs_on_nested_folders_at_once_lose_nothing(tmp_path):
    folder = make(tmp_path, "pics/a.png", "pics/b.png")
    outer = run(folder)
    inner = run(folder / "pics")
    inner.source = allowed(folder / "pics", folder)
    theirs, ours = made(inner, wanted_of(inner), "inner"), made(outer, wanted_of(outer), "outer")
    inner.write(theirs[:1])
    outer.write(ours)
    inner.write(theirs[1:])
    assert text_of(folder, "pics/a.txt") == "inner" and text_of(folder, "pics/b.txt") == "outer"
    assert outer.ledger.summary == "written 1, skipped 1, failed 0" == inner.ledger.summary
    assert caption_all(run(folder, recipes=[Q], mode=OVERWRITE)) == ["pics/b.png"]
