"""What is told of a run while it goes on."""

from types import SimpleNamespace

from qwen3vl_nodes.loaders.engine.scheduler.meter import Meter


def draft(text):
    return SimpleNamespace(written=lambda: text, token_ids=[1, 2], interrupted=lambda: None)


def test_an_answered_request_is_named_no_more_though_its_text_was_the_last_one():
    told = []
    meter = Meter(told.append)
    meter.report({3: draft("one"), 4: draft("two")})
    meter.finish(2)
    meter.report({4: draft("two")})  # sooner than the text is made again
    assert [(progress.index, progress.text) for progress in told] == [(3, "one"), (None, "")]
    assert told[-1].finished == 1 and told[-1].running == 1
