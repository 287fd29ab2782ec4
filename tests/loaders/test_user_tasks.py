"""The user's own tasks: seen at once, and a broken file costs no menu."""

import pytest
from qwen3vl_nodes.loaders import user_tasks
from qwen3vl_nodes.loaders.user_tasks import known_tasks
from qwen3vl_nodes.utils.chat.tasks import all_tasks

OWN = "mine: {title: Mine, group: caption, prompt: Say it.}\n"


@pytest.fixture
def file(tmp_path, monkeypatch):
    class Host:
        def user_folder(self):
            return tmp_path

    monkeypatch.setattr(user_tasks, "host", Host)
    return tmp_path / "qwen3vl_tasks.yaml"


def test_without_a_file_there_are_ours(file):
    assert known_tasks().tasks == all_tasks() and known_tasks().problem is None


def test_a_file_that_appears_changes_and_goes_is_followed(file):
    file.write_text(OWN)
    assert known_tasks().tasks["mine"].title == "Mine"
    file.write_text(OWN + "other: {title: Other, group: caption, prompt: Say more.}\n")
    assert set(known_tasks().tasks) - set(all_tasks()) == {"mine", "other"}
    file.unlink()
    assert known_tasks().tasks == all_tasks()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"mine: [", "no YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"mine: {title: Tags, group: caption, prompt: x}", "the title 'Tags'"),
        (b"#" * 1_000_001, "no ordinary file of at most"),
    ],
)
def test_a_broken_file_costs_no_menu_and_is_said(file, content, message, caplog):
    file.write_bytes(content)
    known = known_tasks()
    assert known.tasks == all_tasks()
    assert message in str(known.problem) and message in caplog.text


def test_a_folder_in_its_place(file):
    file.mkdir()
    assert "no ordinary file" in str(known_tasks().problem)
