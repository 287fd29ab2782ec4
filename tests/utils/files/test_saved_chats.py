"""Chats on disk: where they may go, what they never replace, and files that are none."""

import os

import pytest
from qwen3vl_nodes.utils.conversation.transcript import Chat, Turn
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import saved_chats
from qwen3vl_nodes.utils.files.saved_chats import chat_stamp, load_chat, save_chat
from qwen3vl_nodes.utils.roots.allowed_folders import AllowedFolders, Root

CHAT = Chat("s", (Turn(("q",), "a"),))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return AllowedFolders((Root("output", tmp_path / "out", writable=True),)).locate("output")


def test_there_and_back_and_over_an_older_save(folder):
    assert chat_stamp(folder, "talk") == ""
    assert save_chat(CHAT, folder, "talk") == "output/talk.json"
    assert load_chat(folder, "talk.json") == CHAT
    first = chat_stamp(folder, "talk")
    save_chat(CHAT.without_last(), folder, "talk.json")
    assert load_chat(folder, "talk").turns == ()
    assert chat_stamp(folder, "talk") not in ("", first)
    assert [path.name for path in folder.path.iterdir()] == ["talk.json"]


@pytest.mark.parametrize("content", [b"", b'{"my": "workflow"}', b"\x00" * 300])
def test_nothing_else_is_ever_replaced(folder, content):
    path = folder.path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is there and is no saved chat"):
        save_chat(CHAT, folder, "mine")
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a\\b", "/etc/x", "c:x", "a\x00b", "../a"])
def test_a_name_is_no_path(folder, name):
    for act in (lambda: save_chat(CHAT, folder, name), lambda: load_chat(folder, name)):
        with pytest.raises(InputError):
            act()
    assert list(folder.path.iterdir()) == []
    assert chat_stamp(folder, name) == ""


def test_a_link_that_leads_out_is_neither_read_nor_written(folder, tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text("mine")
    (folder.path / "talk.json").symlink_to(outside)
    for act in (lambda: save_chat(CHAT, folder, "talk"), lambda: load_chat(folder, "talk")):
        with pytest.raises(InputError, match="leads out|not inside"):
            act()
    assert outside.read_text() == "mine"


def test_a_read_only_folder(tmp_path):
    place = AllowedFolders((Root("pics", tmp_path, writable=False),)).locate("pics")
    with pytest.raises(InputError, match="read-only"):
        save_chat(CHAT, place, "talk")


def test_what_is_no_file_of_text_is_refused(folder, monkeypatch):
    with pytest.raises(InputError, match="cannot be opened"):
        load_chat(folder, "absent")
    os.mkfifo(folder.path / "pipe.json")
    with pytest.raises(InputError, match="no ordinary file"):
        load_chat(folder, "pipe")
    (folder.path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no UTF-8 text"):
        load_chat(folder, "bytes")
    save_chat(CHAT, folder, "talk")
    monkeypatch.setattr(saved_chats, "MAX_CHAT_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        load_chat(folder, "talk")


def test_a_full_disk_leaves_the_older_save(folder, monkeypatch):
    save_chat(CHAT, folder, "talk")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_chats, "write_whole", full)
    with pytest.raises(InputError, match="cannot be written .No space left"):
        save_chat(CHAT.without_last(), folder, "talk")
    monkeypatch.undo()
    assert load_chat(folder, "talk") == CHAT
    monkeypatch.setattr(saved_chats, "sync_folders", lambda _: {folder.path: OSError(5, "I/O")})
    with pytest.raises(InputError, match="cannot be written"):
        save_chat(CHAT, folder, "talk")
