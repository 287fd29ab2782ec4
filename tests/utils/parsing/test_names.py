"""Names in several languages."""

import pytest
from qwen3vl_nodes.utils.parsing.detections import parse_detections
from qwen3vl_nodes.utils.parsing.names import CHINESE, ENGLISH, language_of, name_in


@pytest.mark.parametrize(
    "item",
    [
        {"name_zh": "米饭", "name_en": "Rice"},
        {"name_en": "Rice", "name_cn": "米饭"},
        {"names": {"zh": "米饭", "en": "Rice"}},
        {"name": {"en": "Rice", "zh": "米饭"}},
        {"names": {"Chinese": "米饭", "English": "Rice"}},
        {"names": {"zh-CN": "米饭", "en": "Rice"}},
        {"english_name": "Rice", "chinese_name": "米饭"},
        {"English name": "Rice", "Chinese name": "米饭"},
        {"中文名": "米饭", "英文名": "Rice"},
        {"label_zh": "米饭", "label_en": "Rice"},
        {"Name_EN": "Rice", "Name_ZH": " 米饭 "},
    ],
)
def test_both_names_are_found(item):
    assert name_in(item, ENGLISH) == "Rice"
    assert name_in(item, CHINESE) == "米饭"
    assert name_in(item, "fr") in ("Rice", "米饭")


@pytest.mark.parametrize(
    "item", [{}, {"name_en": 5}, {"names": []}, {"names": {"en": ""}}, {"scene": "x", "en": "y"}]
)
def test_no_name_is_empty(item):
    assert name_in(item) == ""


def test_the_other_language_is_better_than_none():
    assert name_in({"name_zh": "米饭"}, ENGLISH) == "米饭"


def test_the_language_of_words():
    assert language_of("米饭, rice") == CHINESE
    assert language_of("Reis, größer") == ENGLISH


def test_the_language_chooses_the_label():
    text = '[{"bbox_2d": [1, 2, 30, 40], "name_zh": "米饭", "name_en": "Rice"}]'
    labels = [
        parse_detections(text, 100, 100, language=language).items[0].label
        for language in (ENGLISH, CHINESE)
    ]
    assert labels == ["Rice", "米饭"]
