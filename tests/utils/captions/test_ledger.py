"""The ledger: one line a picture, whatever its name, and every line counted."""

import threading
import time

import pytest
from caption_runs import allowed
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.captions import ledger as ledger_module
from qwen3vl_nodes.utils.captions.ledger import LEDGER_NAME, STATES, Ledger, LedgerFile


def test_one_line_a_picture_in_the_order_of_the_names():
    ledger = Ledger()
    ledger.add("b10.png", "written", "cut off")
    ledger.add("b9.png", "skipped", "has a caption")
    ledger.add("a.png", "failed", "two\nlines")
    assert str(ledger).splitlines() == [
        "failed  a.png: two lines",
        "skipped b9.png: has a caption",
        "written b10.png: cut off",
        "written 1, skipped 1, failed 1",
    ]
    assert ledger.total == 3


def test_a_name_cannot_break_the_form_of_the_ledger():
    ledger = Ledger()
    ledger.add("a\nwritten b.png", "failed", "caf\udce9.png is broken")
    ledger.add("图 片 é😀 👩\u200d🚀.png", "written")
    ledger.add("x\u202egpj.exe\u2066", "skipped")
    assert str(ledger).splitlines() == [
        "failed  a\\nwritten b.png: caf\\udce9.png is broken",
        "skipped x\\u202egpj.exe\\u2066",
        "written 图 片 é😀 👩\u200d🚀.png",
        "written 1, skipped 1, failed 1",
    ]


@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from(STATES), st.text(max_size=8))))
def test_any_name_and_reason_is_one_line_of_utf_8(entries):
    ledger = Ledger()
    for name, state, detail in entries:
        ledger.add(name, state, detail)
    lines = str(ledger).encode().decode().splitlines()
    assert len(lines) == len(entries) + 1
    assert lines[-1] == ", ".join(f"{s} {sum(e[1] == s for e in entries)}" for s in STATES)


def test_a_dry_run_says_what_would_be():
    ledger = Ledger(dry_run=True)
    ledger.add("a.png", "written")
    ledger.add("b.png", "failed", "why")
    assert str(ledger).splitlines() == [
        "pending a.png", "failed  b.png: why", "would write 1, skipped 0, failed 1",
    ]  # fmt: skip


@pytest.mark.parametrize("whole", ["", "input/pics/x.log"])
def test_a_long_ledger_is_shortened_and_says_so(monkeypatch, whole):
    monkeypatch.setattr(ledger_module, "SHOWN_LINES", 3)
    every = []
    ledger = Ledger(every.append, whole)
    for number in range(10):
        ledger.add(f"{number}.png", "written")
        ledger.add(f"x{number}.png", "failed", "why")
    lines = str(ledger).splitlines()
    assert len(lines) == 8 and len(every) == 20
    assert sum(line.startswith("failed") for line in lines) == 3  # room of their own
    where = f", all of them in {whole}" if whole else ""
    assert lines[-2:] == [f"... and 14 lines more{where}", "written 10, skipped 0, failed 10"]


def test_threads_lose_no_line(tmp_path):
    with LedgerFile(allowed(tmp_path)) as file:
        ledger = Ledger(file.add)

        def add(number):
            for n in range(200):
                ledger.add(f"{number}-{n}.png", "written")

        threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        file.add(ledger.summary)
    lines = (tmp_path / LEDGER_NAME).read_text().splitlines()
    assert len(set(lines)) == 801 and lines[-1] == "written 800, skipped 0, failed 0"


def test_one_thread_at_a_time_enters_a_line():
    inside, together = [], []

    def on_line(line):
        together.extend(inside)
        inside.append(line)
        time.sleep(0.001)
        inside.remove(line)

    ledger = Ledger(on_line)
    threads = [threading.Thread(target=ledger.add, args=(f"{n}", "written")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together and ledger.total == 8


def test_a_disk_that_takes_no_more_ends_the_file_and_not_the_run(tmp_path, monkeypatch):
    tried = []

    class Full:
        def write(self, text):
            tried.append(text)
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module.os, "fdopen", lambda *_args, **_kwargs: Full())
    with LedgerFile(allowed(tmp_path)) as file:
        ledger = Ledger(file.add)
        for _ in range(3):
            ledger.add("a.png", "written")
    assert ledger.count("written") == 3 and len(tried) == 1
