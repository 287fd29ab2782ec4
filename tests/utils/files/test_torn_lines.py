"""Files of lines that a disk left with half a line, and would not cut: nothing is glued to it."""

import json

from caption_runs import allowed, recipe
from qwen3vl_nodes.utils.captions.json_lines import JSON_LINES_NAME, JsonLines
from qwen3vl_nodes.utils.captions.place import Place
from qwen3vl_nodes.utils.captions.record import Record
from qwen3vl_nodes.utils.files import append_lines
from qwen3vl_nodes.utils.files.append_lines import append_whole, end_last_line
from qwen3vl_nodes.utils.roots.open_folder import OpenFolder


def test_lines_begin_on_a_line_of_their_own(tmp_path):
    path = tmp_path / "lines"
    with OpenFolder.at(tmp_path) as folder:
        assert append_whole(folder, "lines", b"one\n") == 0
        path.write_bytes(b"one\nha")
        assert append_whole(folder, "lines", b"two\n") == 7
    assert path.read_bytes() == b"one\nha\ntwo\n"


def test_a_line_that_a_failed_write_left_torn_is_dropped_before_the_next(tmp_path):
    store = JsonLines(allowed(tmp_path))
    first, second = (
        Record(place, recipe(), content=store.encode(place, f"cat {place.stem}", {}))
        for place in map(Place, ("a.png", "b.png"))
    )
    assert store.write([first]) == [None]
    path = tmp_path / JSON_LINES_NAME
    path.write_bytes(path.read_bytes() + second.content[:30])
    assert store.write([second]) == [None]
    lines = path.read_text().splitlines()
    assert [json.loads(line)["caption"] for line in lines] == ["cat a", "cat b"]
    assert store.content(store.name(second.place)) == second.content


def test_the_last_line_is_found_however_long_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(append_lines, "_READ_BACK", 4)
    path = tmp_path / "lines"
    for before in (b"", b"\n", b"one\n", b"one\ntwo three\n"):
        for last in (b"", b"x", b"a longer line than is read at once"):
            with OpenFolder.at(tmp_path) as folder:
                path.write_bytes(before + last)
                end_last_line(folder, "lines", lambda line, last=last: line == last)
                assert path.read_bytes() == before
                path.write_bytes(before + last)
                end_last_line(folder, "lines")
                assert path.read_bytes() == before + last + (b"\n" if last else b"")
