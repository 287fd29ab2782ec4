"""No text from a workflow leads out of its root."""

import ntpath
import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils import safe_paths
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.safe_paths import inside

OUT = [
    "..", "../x", "a/../../x", "/etc/passwd", "\\\\server\\share", "C:\\x", "c:x", "~/x", "a\0b",
    "//x", "a/..", "..\\x", "a\\..\\..\\x", " /etc", "\\x",
]  # fmt: skip


@pytest.mark.parametrize("text", OUT)
def test_ways_out_are_refused(tmp_path, text):
    with pytest.raises(InputError, match="is not inside"):
        inside(tmp_path, text)


@pytest.mark.parametrize("text", ["", ".", "a", "a/b", "a//b", "./a", "a\\b", "日本", "..a", "a.."])
def test_ways_in_are_taken(tmp_path, text):
    assert inside(tmp_path, text).is_relative_to(tmp_path.resolve())


@pytest.mark.parametrize(("text", "why"), [("x" * 5000, "too long"), ("a\ud800", "half a char")])
def test_what_no_system_takes_for_a_name_is_said(tmp_path, text, why):
    with pytest.raises(InputError, match=why):
        inside(tmp_path, text)


def test_links_are_followed_and_then_checked(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "real").mkdir()
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root / "real")
    assert inside(root, "in") == (root / "real").resolve()
    for text in ("out", "out/x"):
        with pytest.raises(InputError):
            inside(root, text)


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root" / "x").symlink_to(tmp_path / "root2")
    with pytest.raises(InputError):
        inside(tmp_path / "root", "x")


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
