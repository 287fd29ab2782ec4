"""No text from a workflow, and no name from a disk, leads out of the allowed folders."""

import ntpath
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from canary_tree import LINKS, LINKS_THAT_STAY, SECRET, make_canary_tree
from hypothesis import given
from hypothesis import strategies as st
from path_payloads import PAYLOADS, payloads_for
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.roots import allowed_folders, safe_paths
from qwen3vl_nodes.utils.roots.allowed_folders import AllowedFolders, Folder, Root
from qwen3vl_nodes.utils.roots.safe_paths import names_in, real_inside

OUT = [
    "..", "../x", "a/../../x", "/etc/passwd", "\\\\server\\share", "C:\\x", "c:x", "~/x", "a\0b",
    "//x", "a/..", "..\\x", "a\\..\\..\\x", " /etc", "\\x", "a.txt:x", "a/b:x:$DATA", "...",
    "a/.. /x", ". .", "a\nb", "a\x85", "/input/pics", "~input/pics",
]  # fmt: skip
IN = ["", ".", "a", "a/b", "a//b", "./a", "a\\b", "日本", "..a", "a..", "a/~", "$HOME", "%2e%2e/x"]
WHY_UNNAMEABLE = [("x" * 5000, "too long"), ("a\ud800", "half a char")]


@pytest.fixture
def tree(tmp_path):
    return make_canary_tree(tmp_path)


def inside(root, text):
    """A workflow's text below a root, as `AllowedFolders.locate` looks it up."""
    return real_inside(root, Path(root, *names_in(text)))


def located(tree, name):
    return tree.allowed().locate(name)


@pytest.mark.parametrize("text", OUT)
def test_ways_out_are_refused(tree, text):
    with pytest.raises(InputError, match="is not inside"):
        inside(tree.base / "input", text)
    for name in (text, f"input/{text}" if text[:1] not in "/\\~Cc" else text):
        with pytest.raises(InputError, match="is not inside"):
            located(tree, name)


@pytest.mark.parametrize("text", IN)
def test_ways_in_are_taken(tree, text):
    assert inside(tree.base / "input", text).is_relative_to(tree.base / "input")
    folder = located(tree, f"input/{text}")
    assert folder.path == tree.base.joinpath("input", *folder.name.split("/")[1:])
    assert folder.root.name == "input" and ".." not in folder.name.split("/")


@pytest.mark.parametrize(("text", "why"), WHY_UNNAMEABLE)
def test_what_no_system_takes_for_a_name_is_said(tree, text, why):
    folder = located(tree, "input")
    for ask in (lambda: located(tree, f"input/{text}"), lambda: folder.check(folder.path / text)):
        with pytest.raises(InputError, match=why):
            ask()
    with pytest.raises(InputError, match="NUL"):
        folder.check(folder.path / "a\0b")


def test_the_name_of_a_folder_is_the_menus(tree):
    for text in ("photos/2024", "photos//2024/", "photos\\2024", "./photos/./2024"):
        folder = located(tree, text)
        assert (folder.name, folder.path) == ("photos/2024", tree.base / "photos" / "2024")


@pytest.mark.parametrize("text", ["", "nowhere", "Input", "input2/x", "captions", "input /pics"])
def test_an_unknown_root_names_the_known_ones(tree, text):
    with pytest.raises(InputError, match="input, output, temp, photos, training"):
        located(tree, text)


def test_a_problem_of_the_owners_list_is_said_for_unknown_roots_alone(tree):
    problem = InputError("The list is broken.", "Mend it.")
    folders = AllowedFolders(tree.allowed().roots[:3], problem)
    assert folders.locate("input/pics").name == "input/pics"
    with pytest.raises(InputError, match="The list is broken"):
        folders.locate("photos/2024")


@pytest.mark.parametrize("is_file", [False, True])
def test_an_owners_root_that_is_not_there_says_so_and_comes_back(tmp_path, is_file):
    drive = tmp_path / "drive"
    folders = AllowedFolders((Root("temp", tmp_path / "temp", True), Root("d", drive, True)))
    if is_file:
        drive.touch()
    with pytest.raises(InputError, match="is not there.*Connect its drive"):
        folders.locate("d/x")
    assert folders.locate("temp/x").path == tmp_path / "temp" / "x"  # ComfyUI will make it
    drive.unlink(missing_ok=True)
    drive.mkdir()
    assert folders.locate("d/x").path == drive / "x"


def test_a_read_only_root_is_read_and_says_what_to_do_about_writing(tree):
    folder = located(tree, "photos/2024")
    assert folder.check(folder.path / "a.txt") == tree.base / "photos/2024/a.txt"
    with pytest.raises(InputError, match="'photos' is read-only.*output folder.*qwen3vl.toml"):
        folder.check(folder.path / "a.txt", write=True)
    folder = located(tree, "training/set 1")
    assert folder.check(folder.path / "a.txt", write=True) == folder.path / "a.txt"


def test_links_are_followed_and_then_checked(tree):
    """Both for a name that a workflow gave and for what the disk holds."""
    folder = located(tree, "input")
    assert located(tree, "input/link_in").path == tree.base / "input" / "pics"
    for link in LINKS:
        for name in (link, f"{link}/{SECRET}"):
            if link in LINKS_THAT_STAY:
                assert tree.is_allowed(folder.check(folder.path / name))
            elif link != "link_loop":  # what lies in it cannot be opened anyway
                with pytest.raises(InputError, match="link that leads out.*list the real folder"):
                    folder.check(folder.path / name)
                with pytest.raises(InputError, match="link that leads out"):
                    located(tree, f"input/{name}")


@pytest.mark.parametrize("name", [" lead", "~old", "d\\e", "C:a", "a\nb", "...", "\udce9"])
def test_the_disk_may_hold_any_name(tree, name):
    folder = located(tree, "input/pics")
    assert folder.check(folder.path / name / "x.png") == folder.path / name / "x.png"


def test_a_folder_may_look_beside_itself_but_not_beside_its_root(tree):
    folder = located(tree, "input/pics")
    assert folder.check(folder.path.parent / "a.txt") == tree.base / "input" / "a.txt"
    for path in (tree.base / "a.txt", folder.path / "../../a.txt", tree.base / "photos" / "2024"):
        with pytest.raises(InputError, match="is not inside"):
            folder.check(path)


def test_a_link_that_may_not_be_followed_is_outside(tree, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", refuse)
    with pytest.raises(InputError, match="link that leads out"):
        located(tree, "input/link_in")


def test_a_long_text_is_refused_before_the_disk_is_asked(tree, monkeypatch):
    """Following a million names takes minutes."""
    monkeypatch.setattr(allowed_folders, "real_inside", None)
    with pytest.raises(InputError, match="too long"):
        located(tree, "input/" + "x/" * 1_000_000)


def test_a_root_may_itself_be_a_link(tree):
    (tree.base / "shelf").symlink_to(tree.base / "photos")
    folder = AllowedFolders((Root("shelf", tree.base / "shelf", False),)).locate("shelf/2024")
    assert folder.path == tree.base / "photos" / "2024"
    assert folder.check(folder.path / "a.txt") == folder.path / "a.txt"


def test_a_sibling_with_the_same_beginning_is_outside(tree):
    with pytest.raises(InputError):
        real_inside(tree.base / "input", tree.base / "input2")


@given(st.text(alphabet=st.sampled_from(list("./\\~:aC\0 "))))
def test_no_text_escapes(text):
    root = os.path.realpath("some/root")
    try:
        found = inside(root, text)
    except InputError:
        return
    assert os.path.commonpath([root, found]) == root


@pytest.mark.parametrize("leads_to", [r"D:\pictures", r"\\.\NUL", r"\\server\share\x"])
def test_a_junction_to_another_drive_is_outside(monkeypatch, tmp_path, leads_to):
    """Windows' commonpath raises for two drives instead of finding nothing in common."""
    places = {str(tmp_path): r"C:\ComfyUI\input"}
    windows = SimpleNamespace(
        realpath=lambda path: places.get(str(path), leads_to), commonpath=ntpath.commonpath
    )
    monkeypatch.setattr(safe_paths, "os", SimpleNamespace(path=windows))
    with pytest.raises(InputError, match="is not inside"):
        inside(tmp_path, "linked")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *[(name, "device") for name in ("nul", "CON.txt", "aux .tar.gz", "COM¹", "lpt9", "conin$")],
        *[(name, "dot or a space") for name in ("a.", "a ", "pics/b. ")],
    ],
)
def test_what_windows_reads_as_something_else_is_refused_there(monkeypatch, tree, name, why):
    folder = located(tree, "input")
    assert located(tree, f"input/{name}") and folder.check(folder.path / name)
    monkeypatch.setattr(safe_paths, "_ON_WINDOWS", True)
    with pytest.raises(InputError, match=why):
        names_in(f"input/{name}")  # the real Windows takes the end off before it tells
    with pytest.raises(InputError, match=why):
        folder.check(folder.path / name)
    with pytest.raises(InputError, match="colon"):
        folder.check(folder.path / "a.txt:x")
    for harmless in ("console", "nullable.txt", "com10", "a.b"):
        assert located(tree, f"input/{harmless}")


def use(tree, folder):
    """What a node does with a folder, where no guard is asked; what leads out is only told."""
    if not tree.is_allowed(folder.path):
        return [str(folder.path)]
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        caption = folder.check(folder.path / "caption.txt", write=folder.root.writable)
        if not tree.is_allowed(caption):
            return [str(caption)]
        caption.write_text("x")
    except (InputError, OSError):  # a file is in the way, or a name is too long for this disk
        pass
    return []


def run_payloads(tree, payloads):
    """Everything outside that payloads reached; (places told, folders located)."""
    escapes, count = [], 0
    bases = [located(tree, name) for name in ("input/pics", "photos/2024")]
    for text in payloads:
        try:
            folder = located(tree, text)
            count += 1
            escapes += use(tree, folder)
        except InputError:
            pass
        for base in bases:
            try:
                real = base.check(base.root.path / text, write=base.root.writable)
            except InputError:
                continue
            escapes += [] if tree.is_allowed(real) else [str(real)]
    return escapes, count


def test_no_payload_reaches_what_is_outside(tree):
    payloads = payloads_for(tree)
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 2500
    before = tree.state()
    with tree.alarm() as touched:
        escapes, count = run_payloads(tree, payloads)
    assert escapes == [] and touched == []
    assert tree.state() == before
    assert count > 500  # many are only odd names, and those must work


def test_payloads_are_refused_before_the_disk_is_asked(tree, monkeypatch):
    """What names_in lets pass is a plain path below a root: only a link can lead it out."""
    monkeypatch.setattr(allowed_folders, "real_inside", lambda _root, path: path)
    for text in payloads_for(tree):
        try:
            folder = located(tree, text)
        except InputError:
            continue
        assert os.path.normpath(folder.path) == str(folder.path)
        assert any(folder.path.is_relative_to(root.path) for root in tree.allowed().roots)


def test_payloads_find_a_missing_guard(tree, monkeypatch):
    monkeypatch.setattr(
        allowed_folders, "real_inside", lambda _root, path: Path(os.path.realpath(path))
    )
    plain = [text for text in PAYLOADS if text.startswith("input/link") and text.isascii()]
    plain = [text for text in plain if "\0" not in text]
    escapes, _ = run_payloads(tree, plain)
    assert len(escapes) > 40


def test_the_alarm_goes_off(tree):
    secret = tree.outside / SECRET
    for touch in (
        secret.read_text,
        lambda: list(tree.outside.iterdir()),
        lambda: (tree.base / "input" / "link_file").open().close(),
        (tree.base / "new").mkdir,
        lambda: secret.rename(tree.base / "input" / "stolen"),
    ):
        with tree.alarm() as touched:
            touch()
        assert len(touched) == 1
        with tree.alarm() as touched:
            (tree.base / "input" / "pics" / "a.txt").read_text()
        assert touched == []


def test_a_folder_is_a_value(tree):
    root = Root("input", tree.base / "input", True)
    assert located(tree, "input/pics") == Folder(root, tree.base / "input" / "pics", "input/pics")
