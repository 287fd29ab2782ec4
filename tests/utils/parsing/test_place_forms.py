"""Answers of other models and packs: read as what they say, or named as unreadable."""

import json

import pytest
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections
from qwen3vl_nodes.utils.detection.socket_values import to_box_value
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.detections import parse_detections

WIDTH, HEIGHT = 640, 480
A, CAT, DOG = ("a", 1, 2, 30, 40), ("cat", 1, 2, 30, 40), ("dog", 5, 6, 70, 80)

# (answer, [(label, coordinates in thousandths), …]); boxes have four, points two.
READ = {
    "corner and size": (
        '[{"x":80,"y":120,"width":160,"height":120,"label":"cat"}]', [("cat", 80, 120, 240, 240)]),
    "corner and size in one letter": (
        '{"x":10,"y":20,"w":30,"h":40,"name":"a"}', [("a", 10, 20, 40, 60)]),
    "left, top and size": (
        '{"left":10,"top":20,"width":30,"height":40}', [("", 10, 20, 40, 60)]),
    "four sides": ('{"left":10,"top":20,"right":30,"bottom":40}', [("", 10, 20, 30, 40)]),
    "corners by name": ('{"x1":1,"y1":2,"x2":30,"y2":40,"label":"a"}', [A]),
    "corners from nought": ('{"x0":1,"y0":2,"x1":30,"y1":40}', [("", 1, 2, 30, 40)]),
    "least and largest": ('{"xmin":1,"ymin":2,"xmax":30,"ymax":40}', [("", 1, 2, 30, 40)]),
    "with an underscore": ('{"x_min":1,"y_min":2,"x_max":30,"y_max":40}', [("", 1, 2, 30, 40)]),
    "numbers as texts": ('{"x1":"1","y1":"2","x2":"30","y2":"40"}', [("", 1, 2, 30, 40)]),
    "within a box": (
        '{"box":{"xmin":1,"ymin":2,"xmax":30,"ymax":40},"label":"a"}', [A]),
    "size within a box": (
        '{"bbox_2d":{"x":10,"y":20,"width":30,"height":40}}', [("", 10, 20, 40, 60)]),
    "a point": ('[{"x":80,"y":120}]', [("", 80, 120)]),
    "points": ('{"points":[[100,200],[300,400]]}', [("", 100, 200), ("", 300, 400)]),
    "points and their labels": (
        '{"points":[[100,200],[300,400]],"labels":["a","b"]}', [("a", 100, 200), ("b", 300, 400)]),
    "boxes of one label": (
        '{"boxes":[[1,2,30,40],[5,6,70,80]],"label":"a"}', [A, ("a", *DOG[1:])]),
    "boxes and labels": (
        '{"bboxes":[[1,2,30,40],[5,6,70,80]],"labels":["cat","dog"]}',
        [CAT, DOG]),
    "boxes and label": (
        '{"bbox_2d":[[1,2,30,40],[5,6,70,80]],"label":["cat","dog"]}',
        [CAT, DOG]),
    "boxes and objects": (
        '{"objects":["cat","dog"],"boxes":[[1,2,30,40],[5,6,70,80]]}',
        [CAT, DOG]),
    "the box left out keeps its label": (
        '{"bbox_2d":[[5,5,5,5],[5,6,70,80]],"label":["cat","dog"]}', [DOG]),
    "one box, several labels": (
        '{"bbox_2d":[1,2,30,40],"label":["a","b"]}', [("a, b", 1, 2, 30, 40)]),
    "coordinates": ('{"coordinates":[10,20,30,40],"label":"a"}', [("a", 10, 20, 30, 40)]),
    "location": ('{"location":[10,20],"label":"a"}', [("a", 10, 20)]),
    "a box, and where it stands in a row": (
        '{"bbox_2d":[1,2,30,40],"position":[0,3],"label":"a"}', [A]),
    "a box with its polygon": (
        '{"bbox_2d":[1,2,30,40],"polygon":[[1,2],[30,2],[30,40]],"label":"a"}', [A]),
    "a box with key points": (
        '{"bbox_2d":[1,2,30,40],"points":[[1,2]],"label":"a"}', [A]),
    "by name alone": ('{"cat":[1,2,30,40],"dog":[5,6,70,80]}', [CAT, DOG]),
    "a list of lists": ("[[1,2,30,40],[5,6,70,80]]", [("", 1, 2, 30, 40), ("", 5, 6, 70, 80)]),
    # What has four numbers and is no place is none.
    "colors beside a caption": ('{"caption":"a cat","colors":[255,200,100,50]}', []),
    "colors alone": ('{"colors":[255,200,100,50]}', []),
    "a size": ('{"image_size":[1,2,640,480]}', []),
    "scores": ('{"scores":[0.1,0.2,0.3,0.4],"caption":"x"}', []),
    "years": ('{"title":"x","years":[1990,1991,1992,1993]}', []),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_forms_of_other_models_are_read(name):
    answer, expected = READ[name]
    found = parse_detections(answer, WIDTH, HEIGHT)
    assert [(item.label, *item.shape.to_qwen()) for item in found.items] == expected


@pytest.mark.parametrize(
    "key",
    ["label", "text_content", "name", "category", "class", "object_name", "class_name",
     "category_name", "object", "ref", "text", "description", "name_en"],
)  # fmt: skip
def test_every_key_for_a_name_gives_the_label(key):
    (item,) = parse_detections(f'[{{"bbox_2d":[1,2,30,40],"{key}":"cat"}}]', WIDTH, HEIGHT).items
    assert item.label == "cat"
    assert item.attributes == ({"name_en": "cat"} if key == "name_en" else {})


def test_a_description_is_no_label_beside_a_name():
    answer = '[{"bbox_2d":[1,2,30,40],"name_en":"cat","description":"asleep"}]'
    (item,) = parse_detections(answer, WIDTH, HEIGHT).items
    assert (item.label, item.attributes["description"]) == ("cat", "asleep")


@pytest.mark.parametrize(("language", "label"), [("en", "cat"), ("zh", "\u732b")])
@pytest.mark.parametrize(
    "names",
    ['"names":{"en":"cat","zh":"\u732b"}', '"name_en":"cat","name_zh":"\u732b"',
     '"name":{"english":"cat","chinese":"\u732b"}'],
)  # fmt: skip
def test_names_in_two_languages(names, language, label):
    answer = f'[{{"bbox_2d":[1,2,30,40],{names}}}]'
    (item,) = parse_detections(answer, WIDTH, HEIGHT, language=language).items
    assert item.label == label


@pytest.mark.parametrize(
    "answer",
    ["(342,308),(670,766)", "It is at (342, 308), (670, 766).",
     '{"polygon":[[1,2],[30,4],[50,60]],"label":"a"}', '{"segmentation":[1,2,30,4,50,60]}',
     '[{"quad":[1,2,30,2,30,40,1,40],"label":"a"}]', '{"bbox_2d":[1,2,30,2,30,40,1,40]}',
     '{"xywh":[1,2,30,40],"label":"a"}', '[{"box_2d":[1,2,30,40],"label":"a"}]',
     "<box>(1,2),(3,4)</box>"],
)  # fmt: skip
def test_what_would_be_another_place_is_unreadable_and_not_nothing(answer):
    with pytest.raises(ParseError, match="cannot be read"):
        parse_detections(answer, WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "answer", ["(1, 2) and (3, 4) are pairs.", "f(1,2) = (3,4)", "(2024), (5)"]
)
def test_pairs_in_a_sentence_are_no_places(answer):
    assert parse_detections(answer, WIDTH, HEIGHT).items == ()


def test_a_repeated_key_that_is_cut_off_is_said():
    answer = '{"label":"cat","bbox_2d":[100,200,300,400],"label":"dog","bbox_2d":[500,500,600,6'
    found = parse_detections(answer, WIDTH, HEIGHT)
    assert found.truncated and [item.label for item in found.items] == ["cat"]
    whole = parse_detections(answer + "00]}", WIDTH, HEIGHT)
    assert not whole.truncated and [item.label for item in whole.items] == ["cat", "dog"]


def test_labels_that_are_not_one_for_each_place_are_said():
    found = parse_detections(
        '{"bbox_2d":[[1,2,30,40],[5,6,70,80]],"label":["a","b","c"]}', WIDTH, HEIGHT
    )
    assert [item.label for item in found.items] == ["a, b, c", "a, b, c"]
    assert any("3 labels for 2 places" in note for note in found.notes)


def test_pixels_as_sockets_carry_them_come_back():
    """What Boxes to Text writes of a BOX."""
    box = Detection("cat", Box.from_pixels(80, 120, 240, 240, WIDTH, HEIGHT))
    text = json.dumps(to_box_value(Detections(WIDTH, HEIGHT, (box,))))
    (item,) = parse_detections(text, WIDTH, HEIGHT, "pixels").items
    assert item.shape.to_pixels(WIDTH, HEIGHT) == (80, 120, 240, 240) and item.label == "cat"
    assert any("choose the units pixels" in n for n in parse_detections(text, WIDTH, HEIGHT).notes)
