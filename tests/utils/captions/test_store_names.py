"""How caption files are called: endings of one's own, whole names, and files that hold nothing."""

import os

import pytest
from caption_runs import allowed, caption_all, make, recipe, run, states, tree, wanted_of
from qwen3vl_nodes.utils.captions import json_lines
from qwen3vl_nodes.utils.captions.place import SHORT_NAMES, WHOLE_NAMES, Place
from qwen3vl_nodes.utils.captions.policy import APPEND, MODES, OVERWRITE, PREPEND, SKIP
from qwen3vl_nodes.utils.captions.sidecars import ENDINGS, store_maker
from qwen3vl_nodes.utils.captions.view import CaptionView
from qwen3vl_nodes.utils.dataset.piece import Piece
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.roots.listing import FileChoice

BLANK = pytest.mark.parametrize("blank", [b"", b" \n", b"\xef\xbb\xbf", b"\r\n\t"])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("naming", [SHORT_NAMES, WHOLE_NAMES])
def test_endings_and_names_of_text_files(tmp_path, ending, naming):
    store = store_maker("txt", ending, naming)(allowed(tmp_path), False)
    stem = "s/a.b.png" if naming == WHOLE_NAMES else "s/a.b"
    assert store.name(Place("s/a.b.png")) == stem + ending and store.owns(stem + ending)
    assert store.name(Place("s/a.b.png", "tags")) == f"{stem}.tags{ending}"
    assert not store.owns("s/a.other")


def test_json_has_whole_names_too_and_one_file_for_all_needs_none(tmp_path):
    folder, place = allowed(tmp_path), Place("a.png")
    assert store_maker("json", naming=WHOLE_NAMES)(folder, False).name(place) == "a.png.json"
    for naming in (SHORT_NAMES, WHOLE_NAMES):
        store = store_maker("jsonl", naming=naming)(folder, False)
        assert store.name(place) == "captions.jsonl:a.png"


@pytest.mark.parametrize(
    ("kind", "ending"), [("json", ".cap"), ("jsonl", ".tags"), ("txt", ".html"), ("txt", "/../x")]
)
def test_other_endings_are_refused(kind, ending):
    with pytest.raises(InputError) as caught:
        store_maker(kind, ending)
    assert ending in caught.value.problem and ".txt" in caught.value.remedy


def with_store(folder, maker, **chosen):
    files = run(folder, **chosen)
    files.store = maker(allowed(folder), False)
    return files


def test_pictures_of_one_stem_have_captions_of_their_own_under_whole_names(tmp_path):
    folder, maker = make(tmp_path, "a.png", "a.jpg"), store_maker("txt", naming=WHOLE_NAMES)
    files = run(folder)
    caption_all(files)
    assert files.ledger.count("failed") == 2 and "choose a.jpg.txt" in str(files.ledger)
    assert caption_all(with_store(folder, maker), lambda name: f"of {name}") == ["a.jpg", "a.png"]
    found = {path.name: path.read_text() for path in folder.glob("*.txt")}
    assert found == {"a.png.txt": "of a.png", "a.jpg.txt": "of a.jpg"}
    assert caption_all(with_store(folder, maker)) == []
    assert caption_all(with_store(folder, maker, recipes=[recipe("q")], mode=OVERWRITE)) != []


@BLANK
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["txt", "json"])
def test_a_file_that_holds_nothing_is_no_caption(tmp_path, blank, mode, form):
    if form == "json" and mode in (APPEND, PREPEND):
        mode = SKIP
    folder = make(tmp_path, "a.png")
    (folder / f"a.{form}").write_bytes(blank)
    files = run(folder, mode=mode, form=form)
    assert caption_all(files, "a cat") == ["a.png"], str(files.ledger)
    text = (folder / f"a.{form}").read_text()
    assert text == "a cat" if form == "txt" else '"caption": "a cat"' in text
    again = run(folder, recipes=[recipe("q")], mode=OVERWRITE, form=form)
    assert len(wanted_of(again)) == 1  # it is ours, with nobody else's words in it


@pytest.mark.parametrize("mine", [b"x", b"\xff", b" x\n", "猫".encode()])
def test_the_shortest_captions_are_captions(tmp_path, mine):
    folder = make(tmp_path, "a.png")
    (folder / "a.txt").write_bytes(mine)
    before = tree(tmp_path)
    assert states(run(folder)) == {} and wanted_of(run(folder)) == []
    assert tree(tmp_path) == before


def test_text_that_comes_while_the_model_runs_stays(tmp_path):
    folder = make(tmp_path, "a.png")
    (folder / "a.txt").write_text("\n")
    files = run(folder)

    def meanwhile(_name):
        (folder / "a.txt").write_text("mine")
        return "ours"

    caption_all(files, meanwhile)
    assert (folder / "a.txt").read_text() == "mine" and states(files) == {"a.png": "skipped"}


def piece_of(folder, count=1, kind="txt"):
    view = CaptionView.of(allowed(folder), allowed(folder), FileChoice(), store_maker(kind))
    return Piece(view, 0, count, only_without_caption=True)


@BLANK
def test_a_piece_takes_pictures_whose_captions_are_blank(tmp_path, blank):
    folder = make(tmp_path, "a.png", "b.png")
    (folder / "a.txt").write_text("mine")
    (folder / "b.txt").write_bytes(blank)
    assert [name for _, name, _ in piece_of(folder).candidates()] == ["b.png"]


def test_what_a_prompt_looks_at_does_not_grow_with_the_folder(tmp_path, monkeypatch):
    """Of the pictures none but the first few are looked at, however many have no caption."""
    folder = make(tmp_path, *(f"{n:03}.png" for n in range(300)))
    (folder / "000.txt").write_text("mine")
    piece, looks = piece_of(folder), []
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: looks.append(path) or look(path, **more))
    first = piece.first()
    assert first[0] == "001.png" and len(first) < 40 and len(looks) < 45


def test_lines_are_read_once_while_the_file_stays_the_same(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png", "b.png", "c.png")
    caption_all(run(folder, form="jsonl"))
    parse, parsed = json_lines.place_of, []
    monkeypatch.setattr(json_lines, "place_of", lambda line: parsed.append(line) or parse(line))
    monkeypatch.setattr(json_lines, "_remembered", {})
    for _ in range(3):
        assert list(piece_of(folder, kind="jsonl").candidates()) == []
    assert len(parsed) == 3
    lines = (folder / "captions.jsonl").read_text().splitlines(keepends=True)
    (folder / "captions.jsonl").write_text("".join(lines[1:]))
    assert [name for _, name, _ in piece_of(folder, kind="jsonl").candidates()] == ["a.png"]
