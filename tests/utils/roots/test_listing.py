"""Pictures of a folder: which are meant, in which order, and what cannot be listed."""

import os
from pathlib import Path

import pytest
from qwen3vl_nodes.utils.roots.listing import PICTURE_ENDINGS, FileChoice, list_files, patterns
from qwen3vl_nodes.utils.text.natural_sort import natural_key


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder, include="", exclude="", recursive=True, on_unlisted=pytest.fail):
    choice = FileChoice(recursive, patterns(include), patterns(exclude))
    return list_files(folder, choice, on_unlisted)


def test_sorted_by_name_with_numbers_as_numbers(tmp_path):
    touch(tmp_path, "img10.png", "img2.png", "IMG1.png", "b/x.png", ".hidden.png", "notes.txt")
    touch(tmp_path, ".cache/y.png")
    assert listed(tmp_path) == ["b/x.png", "IMG1.png", "img2.png", "img10.png"]
    assert listed(tmp_path, recursive=False) == ["IMG1.png", "img2.png", "img10.png"]


def test_folders_come_in_the_order_of_their_names(tmp_path):
    touch(tmp_path, "s10/a.png", "s2/b10.png", "s2/b9.png", "s2/t/a.png", "c.png", "z.png")
    assert listed(tmp_path) == [
        "c.png", "s2/b9.png", "s2/b10.png", "s2/t/a.png", "s10/a.png", "z.png"
    ]  # fmt: skip


def test_every_ending_counts_in_capitals_too(tmp_path):
    touch(tmp_path, *(f"a{ending.upper()}" for ending in PICTURE_ENDINGS))
    touch(tmp_path, "a.png.txt", "png", "a.png_")
    assert len(listed(tmp_path)) == len(PICTURE_ENDINGS)


def test_a_folder_named_like_a_picture_is_a_folder(tmp_path):
    touch(tmp_path, "x.png/a.png")
    assert listed(tmp_path) == ["x.png/a.png"]
    assert listed(tmp_path, recursive=False) == []


NAMES = ["10_cat/a.jpg", "10_cat/b.PNG", "Dog/a.jpg", "a.jpg", "a [1].png", "é.png"]


@pytest.mark.parametrize(
    ("include", "exclude", "meant"),
    [
        ("", "", [0, 1, 2, 3, 4, 5]),
        ("*.jpg", "", [0, 2, 3]),
        ("*.JPG", "", [0, 2, 3]),
        ("10_cat/*", "", [0, 1]),
        ("10_cat\\*", "", [0, 1]),
        ("*.jpg", "10_cat/*", [2, 3]),
        ("", "*", []),
        ("a.jpg", "", [0, 2, 3]),
        ("dog/*, *.png", "", [1, 2, 4, 5]),
        ("dog/*\n*.png;é*", "", [1, 2, 4, 5]),
        ("a ?1?.png", "", [4]),
        ("e\u0301.png", "", [5]),
        ("", "E\u0301*", [0, 1, 2, 3, 4]),
        ("nothing", "", []),
    ],
)
def test_patterns(tmp_path, include, exclude, meant):
    touch(tmp_path, *NAMES)
    assert sorted(listed(tmp_path, include, exclude)) == sorted(NAMES[n] for n in meant)


def test_a_name_whose_accents_are_split_is_met_by_a_typed_pattern(tmp_path):
    touch(tmp_path, "e\u0301.png")
    assert len(listed(tmp_path, "é.png")) == 1 and listed(tmp_path, "", "é.png") == []


def test_patterns_are_one_a_line_or_between_commas():
    assert patterns(" a*, b ;c\n\n d\\e , ") == ("a*", "b", "c", "d/e")
    assert patterns("") == ()


def test_a_folder_that_is_a_link_is_told_and_not_followed(tmp_path):
    touch(tmp_path, "in/a.png", "elsewhere/b.png")
    (tmp_path / "in" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "circle").symlink_to("circle")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    told = []
    names = listed(tmp_path / "in", on_unlisted=lambda name, error: told.append((name, str(error))))
    assert names == ["a.png", "loop.png"]
    assert [name for name, _ in told] == ["out/"] and "links to folders" in told[0][1]


@pytest.mark.parametrize("locked", ["", "b"])
def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch, locked):
    touch(tmp_path, "a.png", "b/c.png")
    scandir = os.scandir

    def refuse(path):
        if Path(path) == tmp_path / locked:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told = []
    names = listed(tmp_path, on_unlisted=lambda name, error: told.append((name, str(error))))
    assert names == (["a.png"] if locked else [])
    assert told[0][0] == (f"{locked}/" if locked else "")
    assert "cannot be listed (Permission denied). Make it readable." in told[0][1]


def test_natural_order_takes_any_name():
    names = ["a", "A", "a1", "a01", "²", "a²", "1a", "", "a\udcff"]
    assert sorted(names, key=natural_key) == ["1a", "a01", "a1", "A", "a", "a²", "a\udcff", "²", ""]
    assert natural_key("a2") < natural_key("a10")
