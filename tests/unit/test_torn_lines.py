"""Files of lines that a disk left with half a line, and would not cut: nothing is glued to it."""

import json

from qwen3vl_nodes.utils.captions.json_lines import JSON_LINES_NAME, JsonLines
from qwen3vl_nodes.utils.captions.recipe import Slot
from qwen3vl_nodes.utils.captions.store import Write
from qwen3vl_nodes.utils.files import append_lines
from qwen3vl_nodes.utils.files.append_lines import append_whole, end_last_line


def test_lines_begin_on_a_line_of_their_own(tmp_path):
    path = tmp_path / "lines"
    assert append_whole(path, b"one\n") == 0
    path.write_bytes(b"one\nha")
    assert append_whole(path, b"two\n") == 7
    assert path.read_bytes() == b"one\nha\ntwo\n"


def test_a_line_that_a_failed_write_left_torn_is_dropped_before_the_next(tmp_path):
    store = JsonLines(tmp_path, lambda path: path)
    first, second = (
        Write(Slot(f"{n}.png"), store.encode(Slot(f"{n}.png"), f"cat {n}", {}), None) for n in "ab"
    )
    assert store.write([first]) == [None]
    path = tmp_path / JSON_LINES_NAME
    path.write_bytes(path.read_bytes() + second.content[:30])
    assert store.write([second]) == [None]
    lines = path.read_text().splitlines()
    assert [json.loads(line)["caption"] for line in lines] == ["cat a", "cat b"]
    assert store.content(store.name(second.slot)) == second.content


def test_the_last_line_is_found_however_long_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(append_lines, "_READ_BACK", 4)
    path = tmp_path / "lines"
    for before in (b"", b"\n", b"one\n", b"one\ntwo three\n"):
        for last in (b"", b"x", b"a longer line than is read at once"):
            path.write_bytes(before + last)
            end_last_line(path, lambda line, last=last: line == last)
            assert path.read_bytes() == before
            path.write_bytes(before + last)
            end_last_line(path)
            assert path.read_bytes() == before + last + (b"\n" if last else b"")
