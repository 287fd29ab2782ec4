"""The journal: what is ours, whatever its lines have become."""

import json
import threading

import pytest
from caption_runs import allowed, caption_all, made, make, recipe, run, wanted_of
from qwen3vl_nodes.utils.captions import journal as caption_journal_files
from qwen3vl_nodes.utils.captions import sidecars
from qwen3vl_nodes.utils.captions.journal import JOURNAL_NAME, Journal, Mark
from qwen3vl_nodes.utils.captions.policy import OVERWRITE
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.fingerprint import digest

MARK = Mark(digest(b"recipe"), digest(b"picture"), "a-1-7")


def journal_of(folder):
    return Journal(allowed(folder))


def entry(name, text="text", mark=MARK):
    return name, digest(text.encode()), mark


def test_marks_are_known_by_caption_and_content(tmp_path):
    mixed = Mark(MARK.recipe, MARK.picture, "a-5-7", mixed=True)
    journal_of(tmp_path).add([entry("a.txt"), entry("é\udcff.txt", "x", mixed)])
    journal = journal_of(tmp_path)
    assert journal.mark("a.txt", digest(b"text")) == MARK
    assert journal.mark("a.txt", digest(b"edited")) is None
    assert journal.mark("b.txt", digest(b"text")) is None
    assert journal.mark("é\udcff.txt", digest(b"x")) == mixed
    assert journal.knows("a.txt") and not journal.knows("b.txt")


def test_captions_made_alike_are_those_without_others_words(tmp_path):
    mixed = Mark(MARK.recipe, MARK.picture, "1-1-1", mixed=True)
    journal_of(tmp_path).add([entry("a.txt"), entry("b.txt", "b", mixed), entry("c.txt", "c")])
    found = journal_of(tmp_path).made_alike(MARK.recipe, MARK.picture)
    assert found == [("a.txt", digest(b"text")), ("c.txt", digest(b"c"))]
    assert journal_of(tmp_path).made_alike(MARK.recipe, digest(b"another")) == []


@pytest.mark.parametrize(
    "line",
    [
        '{"caption": "b.txt", "conte', "[1]", '"x"', "null", "{}", "[" * 100_000, "\0\xff", "12",
        json.dumps({"caption": "b.txt", "content": "00", "recipe": "00", "picture": "00"}),
        '{"content": 7}', '{"content": "xy"}', '{"content": "00"}', '{"content": null}',
        '{"recipe": []}', '{"picture": 1e999}',
    ],
)  # fmt: skip
def test_a_torn_or_hostile_line_costs_only_its_own_entry(tmp_path, line):
    journal_of(tmp_path).add([entry("a.txt")])
    path = tmp_path / JOURNAL_NAME
    good = path.read_text()
    if line.startswith(('{"content', '{"recipe', '{"picture')):
        line = json.dumps(json.loads(good) | {"caption": "b.txt"} | json.loads(line))
    path.write_text(line + "\n" + good + line)
    journal = journal_of(tmp_path)
    assert journal.mark("a.txt", digest(b"text")) == MARK and not journal.knows("b.txt")
    journal.tidy()
    journal.add([entry("c.txt")])  # on a line of its own
    assert journal_of(tmp_path).knows("c.txt")


@pytest.mark.parametrize(
    "name", ["../../etc/x.txt", "/etc/x.txt", "\ud800.txt", "\0.txt", "s/x.txt"]
)
def test_a_name_in_the_journal_leads_nowhere(tmp_path, name):
    """An equal picture's caption is looked for at a name that a line gives."""
    folder = make(tmp_path / "in", "a.png")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "x.txt").write_text("secret")
    (folder / "s").symlink_to(tmp_path / "etc")
    (picture,) = made(run(folder), wanted_of(run(folder)))
    mark = Mark(recipe().id, picture.facts().digest, "1-1-1")
    journal_of(folder).add([(name, digest(b"secret"), mark)])
    assert caption_all(run(folder), "asked") == ["a.png"]
    assert (folder / "a.txt").read_text() == "asked"


def test_a_crash_between_journal_and_caption_keeps_the_old_one_ours(tmp_path, monkeypatch):
    folder = make(tmp_path, "a.png")
    caption_all(run(folder), "old")
    with monkeypatch.context() as patch:
        patch.setattr(sidecars, "write_in", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            caption_all(run(folder, recipes=[recipe("q")], mode=OVERWRITE), "new")
    assert (folder / "a.txt").read_text() == "old"
    assert caption_all(run(folder, recipes=[recipe("q")], mode=OVERWRITE), "new") == ["a.png"]


def test_nothing_is_written_that_could_not_be_remembered(tmp_path):
    folder = make(tmp_path, "a.png")
    files = run(folder)
    (folder / JOURNAL_NAME).mkdir()
    files.write(made(files, wanted_of(files)))
    assert files.ledger.count("failed") == 1 and not (folder / "a.txt").exists()


def test_what_later_lines_repeat_is_left_out_once_it_is_much(tmp_path, monkeypatch):
    monkeypatch.setattr(caption_journal_files, "_STALE_LINES", 5)
    newer = Mark(MARK.recipe, MARK.picture, "a-7-7")
    journal_of(tmp_path).add([entry("a.txt")] * 6 + [entry("b.txt"), entry("a.txt", mark=newer)])
    path = tmp_path / JOURNAL_NAME
    journal = journal_of(tmp_path)
    journal.tidy()
    assert len(path.read_text().splitlines()) == 2
    journal.add([entry("c.txt")])
    again = journal_of(tmp_path)
    assert again.mark("a.txt", digest(b"text")) == newer
    assert again.knows("b.txt") and again.knows("c.txt")


def test_a_failed_addition_takes_back_no_line_of_another_thread(tmp_path, monkeypatch):
    """Two threads add: the commits of captions, and notes that pictures are unchanged."""
    journal, sync = journal_of(tmp_path), atomic_write.os.fsync
    begun, other_done = threading.Event(), threading.Event()

    def fail_slowly(handle):
        if threading.current_thread() is slow:
            begun.set()
            other_done.wait(0.2)
            raise OSError(28, "No space left on device")
        sync(handle)

    def add_slowly():
        with pytest.raises(OSError, match="No space"):
            journal.add([entry("a.txt")])

    slow = threading.Thread(target=add_slowly)
    monkeypatch.setattr(atomic_write.os, "fsync", fail_slowly)
    slow.start()
    begun.wait()
    journal.add([entry("b.txt")])
    other_done.set()
    slow.join()
    assert journal_of(tmp_path).knows("b.txt") and not journal_of(tmp_path).knows("a.txt")


def test_a_missing_journal_is_an_empty_one(tmp_path):
    journal = journal_of(tmp_path / "nowhere")
    assert not journal.knows("a.txt")
    journal.tidy()
    assert not (tmp_path / "nowhere").exists()
