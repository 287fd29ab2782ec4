"""Folders below a root, and what is done in them, wherever their paths lead meanwhile."""

import errno
import os

import pytest
from caption_runs import allowed, caption_all, made, make, recipe, run, states, wanted_of
from qwen3vl_nodes.utils.captions.journal import JOURNAL_NAME, Journal
from qwen3vl_nodes.utils.captions.ledger import LEDGER_NAME, LedgerFile
from qwen3vl_nodes.utils.captions.sidecars import CAPTION_FORMATS
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.atomic_write import write_in
from qwen3vl_nodes.utils.roots import beneath
from qwen3vl_nodes.utils.roots.allowed_folders import Folder, FolderFile
from qwen3vl_nodes.utils.roots.beneath import open_beneath
from qwen3vl_nodes.utils.roots.open_folder import NotOrdinaryError, OpenFolder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows holds no folders open")
WAYS = pytest.mark.parametrize("openat2", [True, False], ids=["openat2", "folder by folder"])


@pytest.fixture
def place(tmp_path):
    """root/a/b, and secret beside the root."""
    for name in ("root/a/b", "secret/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret" / "b" / "p.png").write_text("secret")
    return tmp_path


def choose(monkeypatch, openat2):
    if not openat2:
        monkeypatch.setattr(beneath, "_openat2", lambda: None)


def become_a_link(folder, to):
    """As somebody does between the look at a path and its opening."""
    folder.rename(folder.with_name("away"))
    folder.symlink_to(to, target_is_directory=True)


@WAYS
@pytest.mark.parametrize("link", ["a", "a/b"])
@pytest.mark.parametrize("make", [True, False])
def test_no_link_on_the_way_is_followed(place, monkeypatch, openat2, link, make):
    choose(monkeypatch, openat2)
    root = place / "root"
    open_beneath(root, root / "a" / "b", make).__exit__(None, None, None)
    become_a_link(root / link, place / "secret")
    with pytest.raises(OSError, match="symbolic links") as caught:
        open_beneath(root, root / "a" / "b", make)
    assert caught.value.errno == errno.ELOOP and str(root / "a" / "b") in str(caught.value)
    with pytest.raises(OSError, match="symbolic links"):
        open_beneath(root, root / "a" / "b" / "c" / "d", make)
    assert sorted(path.name for path in (place / "secret").rglob("*")) == ["b", "p.png"]


@WAYS
def test_what_is_done_in_an_open_folder_is_done_in_it(place, monkeypatch, openat2):
    choose(monkeypatch, openat2)
    root = place / "root"
    with open_beneath(root, root / "a" / "b") as folder:
        become_a_link(root / "a", place / "secret")
        write_in(folder, "x.txt", b"x")
        write_in(folder, "x.txt", b"y")
        write_in(folder, "new.txt", b"z", new=True)
        with pytest.raises(FileNotFoundError):
            folder.read("p.png")
    found = {path.name: path.read_bytes() for path in (root / "away" / "b").iterdir()}
    assert found == {"x.txt": b"y", "new.txt": b"z"}
    assert len(list((place / "secret" / "b").iterdir())) == 1


def test_folders_are_made_only_where_that_is_wanted(place):
    root = place / "root"
    with pytest.raises(FileNotFoundError):
        open_beneath(root, root / "x" / "y")
    with open_beneath(root, root / "x" / "y", make=True):
        assert (root / "x" / "y").is_dir()
    (root / "file").touch()
    for make_it in (True, False):
        with pytest.raises(NotADirectoryError):
            open_beneath(root, root / "file", make_it)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_ordinary_files_are_opened_and_none_is_waited_for(place, kind):
    path = place / "root" / "x"
    {
        "link": lambda: path.symlink_to(place / "secret" / "b" / "p.png"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    with OpenFolder.at(path.parent) as folder:
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_APPEND):
            with pytest.raises(NotOrdinaryError):
                folder.open("x", flags)
        with pytest.raises(FileExistsError):
            folder.open("x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_file_that_changes_between_the_look_and_the_opening_is_refused(place, monkeypatch, kind):
    """The handle is looked at too: the name could be another file's by then."""
    path = place / "root" / "x"
    if kind == "link":
        path.symlink_to(place / "secret" / "b" / "p.png")
    else:
        os.mkfifo(path)
    monkeypatch.setattr(OpenFolder, "_check_before", lambda *_: None)
    with OpenFolder.at(path.parent) as folder, pytest.raises(OSError):
        folder.read("x")


def test_more_bytes_than_are_wanted_are_not_read(place):
    (place / "root" / "x").write_bytes(b"12345")
    with OpenFolder.at(place / "root") as folder:
        assert folder.read("x", 5).read() == b"12345"
        with pytest.raises(OSError, match="more than 4 bytes"):
            folder.read("x", 4)


def test_a_picture_is_opened_below_its_root(place, monkeypatch):
    root = place / "root"
    (root / "a" / "b" / "p.png").write_text("mine")
    (root / "a" / "inside.png").symlink_to(root / "a" / "b" / "p.png")
    (root / "a" / "out.png").symlink_to(place / "secret" / "b" / "p.png")
    folder = allowed(root / "a", root)
    for name in ("b/p.png", "inside.png"):
        with FolderFile(folder, name).open() as file:
            assert file.read() == b"mine"
    with pytest.raises(InputError, match="leads out"):
        FolderFile(folder, "out.png").open()
    check = Folder.check

    def swapped_after(self, *asked):
        real = check(self, *asked)
        become_a_link(root / "a", place / "secret")
        return real

    monkeypatch.setattr(Folder, "check", swapped_after)
    with pytest.raises(InputError, match="leads out"):
        FolderFile(folder, "b/p.png").open()


@pytest.mark.parametrize("name", [JOURNAL_NAME, LEDGER_NAME, "captions.jsonl"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_files_of_ours_are_never_links_or_pipes(place, name, kind):
    """Neither to be read nor to be written; Folder Images and Review read captions.jsonl."""
    target = place / "secret" / "mine"
    target.write_text("mine")
    root = place / "root"
    (root / name).symlink_to(target) if kind == "link" else os.mkfifo(root / name)
    open_it = {
        JOURNAL_NAME: Journal,
        LEDGER_NAME: LedgerFile,
        "captions.jsonl": lambda folder: CAPTION_FORMATS["jsonl"](folder, False),
    }[name]
    with pytest.raises(NotOrdinaryError):
        open_it(allowed(root))
    assert target.read_text() == "mine"


@pytest.mark.parametrize("form", ["txt", "jsonl"])
def test_a_journal_that_becomes_a_link_in_mid_run_takes_no_line_with_it(tmp_path, form):
    folder = make(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "precious").write_text("precious")
    files = run(folder, form=form)
    first, second = made(files, wanted_of(files))
    files.write([first])
    (folder / JOURNAL_NAME).unlink()
    (folder / JOURNAL_NAME).symlink_to(tmp_path / "precious")
    files.write([second])
    assert states(files) == {"a.png": "written", "b.png": "failed"}
    assert (tmp_path / "precious").read_text() == "precious"
    assert "no ordinary file" in str(files.ledger)


@pytest.mark.parametrize("which", ["in", "in/sub"])
@pytest.mark.parametrize("form", ["txt", "json", "jsonl"])
def test_a_folder_renamed_in_mid_run_is_not_made_again(tmp_path, which, form):
    folder = make(tmp_path / "in", "sub/a.png")
    files = run(folder, form=form)
    wanted = made(files, wanted_of(files))
    (tmp_path / which).rename(tmp_path / "renamed")
    files.write(wanted)
    if form == "jsonl" and which == "in/sub":  # its file lies above
        assert states(files) == {"sub/a.png": "written"}
    else:
        assert states(files) == {"sub/a.png": "failed"}
        assert "its folder is no longer there" in str(files.ledger)
    assert not (tmp_path / which).exists()
    assert [path.name for path in (tmp_path / "renamed").rglob("a.*")] == ["a.png"]


def test_folders_below_the_output_folder_are_made(tmp_path):
    folder = make(tmp_path / "in", "sub/a.png")
    caption_all(run(folder, tmp_path / "out", recipes=[recipe()]))
    assert (tmp_path / "out" / "sub" / "a.txt").exists()
