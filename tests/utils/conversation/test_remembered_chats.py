"""Chats between runs: by name, and no more than there is room for."""

from qwen3vl_nodes.utils.conversation.remembered_chats import RememberedChats
from qwen3vl_nodes.utils.conversation.transcript import Chat


def test_each_name_has_its_chat():
    chats = RememberedChats()
    one = Chat("one")
    chats.put("a", one)
    assert chats.get("a") is one
    assert chats.get("b") == Chat()


def test_the_one_unused_for_longest_is_forgotten_and_that_is_said(caplog):
    chats = RememberedChats(most=2)
    for name in "ab":
        chats.put(name, Chat(name))
    chats.get("a")
    chats.put("c", Chat("c"))
    assert [chats.get(name).system_prompt for name in "abc"] == ["a", "", "c"]
    assert "The chat 'b' of 0 turns is forgotten." in caplog.text
