"""Things over time: read with their seconds, and put on the frames they were seen in."""

import pytest
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.films.tracked_objects import parse_sightings
from qwen3vl_nodes.utils.video.timeline import by_frame, pair_seconds

ANSWER = (
    '```json\n[\n\t{"time": 0.3, "bbox_2d": [100, 200, 300, 400], "label": "red star"},\n'
    '\t{"time": 1.3, "bbox_2d": [200, 200, 400, 400], "label": "red star", "state": "moving"}\n]'
    "\n```"
)
FRAMES = (0.0, 0.55, 1.09, 1.6, 2.1, 2.6)


def test_sightings_have_seconds_and_boxes():
    found = parse_sightings(ANSWER, 200, 100)
    assert [s.seconds for s in found.items] == [0.3, 1.3]
    assert found.items[0].thing.label == "red star"
    assert found.items[0].thing.shape.to_pixels(200, 100) == pytest.approx((20, 20, 60, 40))
    assert found.items[1].thing.attributes == {"state": "moving"}
    assert not found.truncated and not found.repaired and not found.notes


@pytest.mark.parametrize("time", ['"00:01.30"', "1.3", '"1.3s"', '"1.3"'])
@pytest.mark.parametrize("key", ["time", "timestamp", "seconds"])
def test_times_in_every_form(key: str, time: str):
    found = parse_sightings(f'[{{"{key}": {time}, "bbox_2d": [1, 2, 30, 40]}}]', 200, 100)
    assert [s.seconds for s in found.items] == [1.3]


def test_what_has_no_time_is_left_out_and_said():
    found = parse_sightings(
        '[{"bbox_2d": [1, 2, 30, 40]}, {"time": 1, "bbox_2d": [1, 2, 3, 4]}]', 9, 9
    )
    assert len(found.items) == 1
    assert found.notes == ("1 left out, they have no time",)


def test_cut_off_and_unreadable():
    assert parse_sightings(ANSWER[:90], 200, 100).truncated
    with pytest.raises(ParseError):
        parse_sightings('[{"time": 1, "bbox_2d": [1, 2, 3]}]', 200, 100)
    assert parse_sightings("[]", 200, 100).items == ()


def test_every_prefix_gives_the_first_sightings():
    whole = parse_sightings(ANSWER, 200, 100)
    for end in range(len(ANSWER)):
        found = parse_sightings(ANSWER[:end], 200, 100)
        assert found.items == whole.items[: len(found.items)]


def test_a_sighting_is_on_both_frames_of_its_pair():
    assert pair_seconds(FRAMES) == pytest.approx([0.275, 1.345, 2.35])
    frames = by_frame(parse_sightings(ANSWER, 200, 100), FRAMES, 200, 100)
    assert [len(f.items) for f in frames] == [1, 1, 1, 1, 0, 0]
    assert not any(f.notes for f in frames)


def test_a_sighting_at_no_frame_is_left_out_and_said():
    found = parse_sightings('[{"time": 9.0, "bbox_2d": [1, 2, 30, 40]}]', 200, 100)
    frames = by_frame(found, FRAMES, 200, 100)
    assert not any(f.items for f in frames)
    assert frames[0].notes == ("1 left out, at no frame that was shown: 9 s",)


def test_an_odd_number_of_frames_ends_with_a_pair_of_one():
    assert pair_seconds((0.0, 1.0, 2.0)) == [0.5, 2.0]
    found = parse_sightings('[{"time": 2.0, "bbox_2d": [1, 2, 30, 40]}]', 200, 100)
    assert [len(f.items) for f in by_frame(found, (0.0, 1.0, 2.0), 200, 100)] == [0, 0, 1]
