"""The owner's file: what it may say, what is said about mistakes, and when it is read again."""

import logging
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from qwen3vl_nodes.loaders.host import comfyui, comfyui_folders, owner_settings
from qwen3vl_nodes.loaders.host.owner_settings import MAX_BYTES, OwnerSettings, read_settings
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.roots.allowed_folders import Root
from qwen3vl_pack import ROOT


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where the file would be; nothing is remembered of others."""
    monkeypatch.setattr(owner_settings, "_last", ("", OwnerSettings()))
    monkeypatch.setattr(owner_settings, "_logged", set())
    return tmp_path / "qwen3vl.toml"


def write(file, text):
    file.write_text(text, encoding="utf-8")
    return file


def folder(name, rest="path = '/x'"):
    return f"[folders.{name}]\n{rest}\n"


def test_folders_are_read_only_unless_the_owner_says_otherwise(file, monkeypatch):
    monkeypatch.setenv("HOME", "/home/owner")
    monkeypatch.setenv("USERPROFILE", "/home/owner")
    text = folder("photos", "path = '/srv/photos'")
    text += folder("'set 1'", "path = '~/sets'\naccess = 'read-write'")
    write(file, text + folder("'日本'", "path = '/x'\naccess = 'read-only'"))
    assert read_settings(file).folders == (
        Root("photos", Path("/srv/photos"), False),
        Root("set 1", Path("/home/owner/sets"), True),
        Root("日本", Path("/x"), False),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "[folders]\n", "\ufeff[folders]\r\n"])
def test_an_empty_file_lists_nothing(file, text):
    assert read_settings(write(file, text)) == OwnerSettings()


# The file, and what the error says; every error also names the file.
MISTAKES = [
    ("[folder.x]\npath = '/x'", "'folder', which is unknown.*Remove it; folders"),
    ("path = '/x'", "'path', which is unknown"),
    ("folders = 3", "'folders' is 3, but must be a table"),
    (
        "[folders]\nphotos = '/x'",
        r"'folders.photos' is '/x', but must be a table.*\[folders.name\]",
    ),
    ("[[folders]]\npath = '/x'", "must be a table"),
    (folder("a", "path = '/x'\nacess = 'read-only'"), r"\[folders.a\].*'acess'.*path, access"),
    (folder("a", "path = '/x'\naccess = 'write'"), r"\[folders.a\].*'write'.*read-only or read-w"),
    (folder("a", "path = '/x'\naccess = true"), "access = True"),
    (folder("a", "path = '/x'\naccess = ['read-only']"), "access = "),
    (folder("a", "access = 'read-only'"), r"\[folders.a\] needs a path.*None"),
    (folder("a", "path = 7"), "needs a path in quotes, but has 7"),
    (folder("a", "path = ''"), "not a whole path"),
    (folder("a", "path = 'photos'"), "'photos', which is not a whole path.*from the start"),
    (folder("a", "path = '../photos'"), "not a whole path"),
    (folder("a", "path = '$HOME/photos'"), "not a whole path"),
    (folder("a", "path = '~nobody_of_this_name/x'"), "not a whole path"),
    (folder("a", 'path = "/x\\u0000"'), "not a whole path"),
    (folder("a", "path = '/'"), "is a whole disk.*folder of pictures itself"),
    (folder("a", "path = '/proc'"), "belongs to the system"),
    (folder("a", "path = '/dev/shm/x'"), "belongs to the system"),
    (folder("a", f"path = '{ROOT}'"), "holds this pack's own files"),
    (folder("a", f"path = '{ROOT / 'examples'}'"), "holds this pack's own files"),
    (folder("a", f"path = '{ROOT.parent}'"), "holds this pack's own files"),
    (folder("input"), "'input'.*is ComfyUI's own input folder"),
    (folder("Output"), "ComfyUI's own output"),
    (folder("TEMP"), "ComfyUI's own temp"),
    (folder("''"), "is empty"),
    (folder("' '"), "is empty"),
    (folder("' a'"), "begins or ends with a space"),
    (folder("'a/b'"), "has a '/'"),
    (folder("'a\\b'"), "has a '"),
    (folder("'a.b'"), "has a '.'"),
    (folder("'..'"), "has a '.'"),
    (folder("'c:'"), "has a ':'"),
    (folder("'~'"), "has a '~'"),
    (folder('"a\\nb"'), "invisible character"),
    (folder('"a\\u202eb"'), "invisible character"),
    (folder("photos") + folder("Photos"), "'Photos'.*same as 'photos' but for capitals"),
    (folder("a") + folder("a"), "not readable TOML"),
    (folder("a", 'path = "C:\\photos\\users"'), "not readable TOML.*single quotes"),
    (folder("日本"), r"not readable TOML.*\[folders.'my set'\]"),
    ("[folders", "not readable TOML"),
    ("a = " + "[" * 100_000, "not readable TOML"),
    ("#" * (MAX_BYTES + 1), "more than 1,048,576 bytes"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=range(len(MISTAKES)))
def test_every_mistake_is_named_with_its_remedy(file, text, said):
    with pytest.raises(InputError, match=said) as caught:
        read_settings(write(file, text))
    assert str(file) in caught.value.problem
    assert caught.value.remedy.endswith((".", "it.")) and len(str(caught.value)) < 600


def test_what_is_no_text_is_no_list(file):
    file.write_bytes(b"\xff\xfe[\0f\0")
    with pytest.raises(InputError, match="save it as UTF-8"):
        read_settings(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_settings(file)


def test_a_python_without_a_reader_says_what_to_install(file, monkeypatch):
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install tomli"):
        read_settings(write(file, ""))


def test_no_file_says_nothing(file):
    assert owner_settings.owner_settings(file) == OwnerSettings()


def test_it_is_read_again_when_it_has_changed(file, monkeypatch):
    reads = []
    monkeypatch.setattr(
        owner_settings, "read_settings", lambda path: reads.append(path) or read_settings(path)
    )
    write(file, folder("a"))
    for _ in range(3):
        assert [root.name for root in owner_settings.owner_settings(file).folders] == ["a"]
    assert len(reads) == 1
    write(file, folder("b") + folder("c"))
    assert [root.name for root in owner_settings.owner_settings(file).folders] == ["b", "c"]
    file.unlink()
    assert owner_settings.owner_settings(file) == OwnerSettings()


def test_files_of_two_places_are_not_taken_for_each_other(file, tmp_path):
    (tmp_path / "other").mkdir()
    for path, name in ((file, "a"), (tmp_path / "other" / file.name, "b")):
        os.utime(write(path, folder(name)), (1, 1))
        assert [root.name for root in owner_settings.owner_settings(path).folders] == [name]


def test_a_broken_file_is_a_problem_that_the_log_tells_once(file, caplog):
    write(file, "[folders.x")
    with caplog.at_level(logging.WARNING):
        found = [owner_settings.owner_settings(file) for _ in range(3)]
    assert all(not settings.folders for settings in found)
    assert "not readable TOML" in str(found[-1].problem)
    assert len(caplog.records) == 1
    write(file, folder("a"))
    assert owner_settings.owner_settings(file).problem is None


def test_a_file_that_may_not_be_read_is_read_once_it_may(file, monkeypatch):
    """Leave to read it does not change its stamp."""

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    write(file, folder("a"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert "Permission denied" in str(owner_settings.owner_settings(file).problem)
    assert owner_settings.owner_settings(file).folders


def test_a_folder_that_is_not_there_does_not_break_the_others(file, tmp_path, caplog):
    (tmp_path / "file").touch()
    write(file, "".join(
        folder(name, f"path = '{tmp_path / place}'")
        for name, place in (("gone", "nowhere"), ("here", "."), ("file", "file"))
    ))  # fmt: skip
    with caplog.at_level(logging.WARNING):
        settings = owner_settings.owner_settings(file)
        assert owner_settings.owner_settings(file) == settings
    assert [root.name for root in settings.folders] == ["gone", "here", "file"]
    assert [re.findall("'(.*?)'", record.message)[0] for record in caplog.records] == [
        "gone",
        "file",
    ]


def test_the_example_can_be_used_as_it_is():
    settings = read_settings(ROOT / "qwen3vl.toml.example")
    assert [(r.name, r.writable) for r in settings.folders] == [
        ("photos", False),
        ("training", True),
    ]


def test_the_owners_file_is_kept_out_of_git_and_off_the_web():
    assert owner_settings.OWNER_PATH == ROOT / "qwen3vl.toml"
    assert "qwen3vl.toml" in (ROOT / ".gitignore").read_text().splitlines()
    served = ("web", "example_workflows", "examples", "locales")  # what ComfyUI serves of a pack
    assert not any(owner_settings.OWNER_PATH.is_relative_to(ROOT / name) for name in served)


@pytest.fixture
def comfy(tmp_path, monkeypatch):
    """ComfyUI's three folders in a temporary place."""
    names = ("input", "output", "temp")
    for name in names:
        (tmp_path / name / "below").mkdir(parents=True)
    asked = {f"get_{n}_directory": lambda n=n: str(tmp_path / n) for n in names}
    monkeypatch.setitem(sys.modules, "folder_paths", SimpleNamespace(**asked))
    return tmp_path


def given(monkeypatch, settings):
    monkeypatch.setattr(comfyui_folders, "owner_settings", lambda: settings)


def test_comfyuis_folders_come_first_and_can_be_written(comfy, monkeypatch):
    given(monkeypatch, OwnerSettings((Root("photos", comfy / "photos", False),)))
    folders = comfyui.allowed_folders()
    assert [(r.name, r.path, r.writable) for r in folders.roots] == [
        ("input", comfy / "input", True),
        ("output", comfy / "output", True),
        ("temp", comfy / "temp", True),
        ("photos", comfy / "photos", False),
        *(
            (f"example {n}", ROOT / "examples" / n, False)
            for n in ("images", "videos", "documents")
        ),
    ]


def test_a_broken_file_leaves_comfyuis_folders_in_the_menu(comfy, monkeypatch, file):
    settings = owner_settings.owner_settings(write(file, "nonsense"))
    given(monkeypatch, settings)
    folders = comfyui.allowed_folders()
    assert folders.menu()[:6] == [
        f"{n}{b}" for n in ("input", "output", "temp") for b in ("", "/below")
    ]
    assert folders.locate("input/below").path == comfy / "input" / "below"
    with pytest.raises(InputError, match="qwen3vl.toml is not readable TOML"):
        folders.locate("photos/2024")
