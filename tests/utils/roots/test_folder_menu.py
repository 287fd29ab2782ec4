"""The menu of folders: what is in it, how much of it, and what it costs."""

import logging
import os
from types import SimpleNamespace

import pytest
from canary_tree import LINKS_THAT_STAY, make_canary_tree
from qwen3vl_nodes.utils.roots import folder_menu as folder_menu_files
from qwen3vl_nodes.utils.roots.folder_menu import MAX_DEPTH, folder_menu


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is remembered of other tests."""
    monkeypatch.setattr(folder_menu_files, "_memory", {})
    monkeypatch.setattr(folder_menu_files, "_told", set())


@pytest.fixture
def scans(monkeypatch):
    """The folders whose entries were listed."""
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    return listed


def make(root, *names):
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def below(root):
    return folder_menu([("r", root)])[1:]


def test_roots_come_as_given_and_folders_as_a_person_sorts_them(tmp_path):
    make(tmp_path, "z/set11", "z/set9/b", "z/Set10", "a/x")
    (tmp_path / "z" / "file.png").touch()
    assert folder_menu([("z", tmp_path / "z"), ("a", tmp_path / "a"), ("no", tmp_path / "no")]) == [
        "z", "z/set9", "z/set9/b", "z/Set10", "z/set11", "a", "a/x", "no"
    ]  # fmt: skip


def test_what_is_hidden_leads_out_or_cannot_be_named_is_left_out(tmp_path):
    tree = make_canary_tree(tmp_path)
    make(tmp_path / "input", "a:b", "c\\d", "e\nf", "...", "g\udce9", "日本 ~x")
    menu = tree.allowed().menu()
    assert menu == [
        "input", *(f"input/{name}" for name in LINKS_THAT_STAY), "input/pics", "input/pics/deep",
        "input/日本 ~x", "output", "temp", "photos", "photos/2024", "training", "training/set 1",
    ]  # fmt: skip
    for name in menu:
        assert tree.allowed().locate(name).name == name


def test_a_link_is_offered_but_not_looked_into(tmp_path):
    """One to a folder above would have no end."""
    make(tmp_path, "a/b")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert below(tmp_path) == ["r/a", "r/a/b", "r/a/up"]


def test_it_goes_no_deeper_than_it_says(tmp_path):
    make(tmp_path, "/".join(str(depth) for depth in range(1, 10)))
    assert below(tmp_path)[-1] == "r/1/2/3/4/5/6"
    assert len(below(tmp_path)) == MAX_DEPTH


def test_many_folders_share_the_places_and_the_upper_ones_come_first(
    tmp_path, monkeypatch, caplog, scans
):
    monkeypatch.setattr(folder_menu_files, "MAX_NAMES", 20)
    make(tmp_path / "many", *(f"{n}/x" for n in range(30)))
    make(tmp_path / "few", "a/b")
    roots = [(name, tmp_path / name) for name in ("many", "few")]
    with caplog.at_level(logging.WARNING):
        menu = folder_menu(roots)
        assert len(scans) == 4  # three of the small root, and only the first of the large one
        assert folder_menu(roots) == menu
    assert menu == ["many", *(f"many/{n}" for n in range(16)), "few", "few/a", "few/a/b"]
    assert [record.message for record in caplog.records] == [
        f"The menu of folders shows only 16 of those in {tmp_path / 'many'}"
    ]


def test_a_slow_disk_does_not_hold_the_menu_up(tmp_path, monkeypatch, caplog):
    make(tmp_path, "a/b/c", "d")
    monkeypatch.setattr(folder_menu_files, "MAX_SECONDS", -1)
    with caplog.at_level(logging.WARNING):
        assert below(tmp_path) == ["r/a", "r/d"]
    assert "shows only 2" in caplog.text


def test_a_slow_walk_is_good_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_menu_files, "SLOW_SECONDS", -1)
    monkeypatch.setattr(folder_menu_files, "REST", 1e9)
    make(tmp_path, "a")
    assert below(tmp_path) == ["r/a"]
    make(tmp_path, "b")
    assert below(tmp_path) == ["r/a"]
    assert folder_menu([("other", tmp_path)])[1:] == ["other/a", "other/b"]
    assert len(folder_menu_files._memory) == 1


def test_a_quick_one_is_always_the_newest(tmp_path, scans):
    make(tmp_path, "a/b", "c")
    assert below(tmp_path) == ["r/a", "r/a/b", "r/c"] and len(scans) == 4
    make(tmp_path, "a/new")
    (tmp_path / "c").rmdir()
    assert below(tmp_path) == ["r/a", "r/a/b", "r/a/new"]
    assert not folder_menu_files._memory


def test_a_link_is_judged_each_time(tmp_path):
    root = make(tmp_path / "root", "a")
    (tmp_path / "out").mkdir()
    (root / "link").symlink_to(root / "hop")
    (root / "hop").symlink_to(root / "a")
    assert "r/link" in below(root)
    (root / "a" / "file").touch()
    for end in (tmp_path / "out", root / "a" / "file"):
        (root / "hop").unlink()
        (root / "hop").symlink_to(end)
        assert below(root) == ["r/a"]


def test_a_folder_that_cannot_be_listed_is_offered_alone(tmp_path, monkeypatch):
    make(tmp_path, "a/b", "c/d")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert below(tmp_path) == ["r/a", "r/c", "r/c/d"]


def windows_entry(**facts):
    """A folder as Windows lists it."""
    stat = SimpleNamespace(st_file_attributes=16, st_reparse_tag=0)
    stat.__dict__.update(facts)
    return SimpleNamespace(
        name="a", is_dir=lambda: True, is_symlink=lambda: False, stat=lambda **_: stat
    )


def test_windows_tells_hidden_folders_and_junctions_in_its_own_way(monkeypatch):
    monkeypatch.setattr(folder_menu_files, "_ON_WINDOWS", True)
    plain, hidden = windows_entry(), windows_entry(st_file_attributes=18)
    junction, cloud = (windows_entry(st_reparse_tag=tag) for tag in (0xA0000003, 0x9000001A))
    offered, link = folder_menu_files._is_offered, folder_menu_files._is_link
    assert [offered(entry) for entry in (plain, hidden, junction)] == [True, False, True]
    assert [link(entry) for entry in (plain, junction, cloud)] == [False, True, False]
