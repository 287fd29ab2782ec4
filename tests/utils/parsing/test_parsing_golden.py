"""The table of golden answers, each row read as written, and every prefix of many."""

import math

import pytest
from golden_answers import Row, golden_rows
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Point
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.detections import parse_detections

ROWS = golden_rows()


def as_written(item: Detection) -> tuple[str, list[float], str, dict]:
    """A detection as the table writes it, in thousandths."""
    shape = item.shape
    if isinstance(shape, Box):
        kind, place = "box", [value * 1000 for value in shape.xyxy]
    elif isinstance(shape, Point):
        kind, place = "point", [shape.x * 1000, shape.y * 1000]
    else:
        kind, place = "3d", shape.to_qwen()
    return kind, place, item.label, dict(item.attributes)


def test_the_table_is_large_and_its_names_differ():
    assert len(ROWS) >= 120
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_golden(row: Row):
    if "unreadable" in row.flags:
        with pytest.raises(ParseError) as caught:
            parse_detections(row.text, 640, 480)
        assert caught.value.problem
        assert caught.value.remedy
        return
    found = parse_detections(row.text, 640, 480)
    items = [as_written(item) for item in found.items]
    assert [(i[0], i[2], i[3]) for i in items] == [(i[0], i[2], i[3]) for i in row.items]
    for item, wanted in zip(items, row.items, strict=True):
        assert item[1] == pytest.approx(wanted[1], abs=1e-9)
    assert found.truncated == ("truncated" in row.flags)
    assert found.repaired == ("repaired" in row.flags)
    assert bool(found.notes) == ("noted" in row.flags), found.notes


LONG = [row for row in ROWS if len(row.text) > 40 and len(row.items) > 0][:80]


@pytest.mark.parametrize("row", LONG, ids=lambda row: row.name)
def test_every_prefix(row: Row):
    """A prefix never crashes, never invents, and says that it is one as soon as JSON began."""
    whole = parse_detections(row.text, 640, 480)
    labels = [item.label for item in whole.items]
    for length in range(len(row.text)):
        try:
            found = parse_detections(row.text[:length], 640, 480)
        except ParseError:
            continue
        for item in found.items:
            assert all(math.isfinite(v) for v in as_written(item)[1])
        if "repaired" not in row.flags and "</think>" not in row.text:
            seen = [item.label for item in found.items]
            assert seen == labels[: len(seen)], row.text[:length]
            # Between two lists nothing is open, so nothing looks cut off.
            between = "]" in row.text[:length] and row.text.count("[{") > 1
            between |= row.text[:length].rstrip(" \n,-").endswith("}")
            assert found.truncated or between or seen == labels or not found.items


def test_prefixes_of_fifty_answers_or_more():
    assert len(LONG) >= 50
