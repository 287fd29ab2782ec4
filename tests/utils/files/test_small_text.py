"""Small text files: only regular ones, only so large, and no link on the last step."""

import os

import pytest
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.small_text import read_small_text


def test_a_text_is_read_with_or_without_its_mark(tmp_path):
    for name, data in (("a.json", "{}é".encode()), ("b.json", "{}é".encode("utf-8-sig"))):
        (tmp_path / name).write_bytes(data)
        assert read_small_text(tmp_path / name) == "{}é"


def test_a_large_file_is_refused_without_reading_it_all(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 11)
    assert read_small_text(tmp_path / "a", most_bytes=11)
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_small_text(tmp_path / "a", most_bytes=10)


def test_what_is_no_text_is_said(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="no UTF-8"):
        read_small_text(tmp_path / "a")
    with pytest.raises(InputError, match="cannot be opened"):
        read_small_text(tmp_path / "missing")
    with pytest.raises(InputError):
        read_small_text(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_links_and_pipes_are_refused(tmp_path):
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match="cannot be opened"):
        read_small_text(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        read_small_text(tmp_path / "pipe")
