"""Forms as a list, an example or a schema; answers to them as checked values."""

import json
import random

import pytest
from qwen3vl_nodes.utils.errors import InputError, ParseError
from qwen3vl_nodes.utils.parsing.fields import pick, read_answer, split_places
from qwen3vl_nodes.utils.parsing.form_schema import read_form, with_places

SCHEMA = json.dumps({
    "type": "object",
    "properties": {
        "company": {"type": "string"},
        "total": {"type": "number", "minimum": 0},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "required": ["company"],
    "$defs": {"item": {"type": "object", "properties": {"name": {"type": "string"}}}},
})  # fmt: skip

# What a user writes -> the empty form that the model is shown.
FORMS = [
    ("company, date", {"company": "", "date": ""}),
    ("company\ndate", {"company": "", "date": ""}),
    ("公司，日期、总额", {"公司": "", "日期": "", "总额": ""}),
    ("total (number), paid (yes/no), count (int)", {"total": 0, "paid": False, "count": 0}),
    ("total: number; name: text", {"total": 0, "name": ""}),
    ("items (list)", {"items": []}),
    ('"quoted", \'single\'', {"quoted": "", "single": ""}),
    ("rate (in percent)", {"rate (in percent)": ""}),
    ("a,,b,", {"a": "", "b": ""}),
    ("  spaced out  ", {"spaced out": ""}),
    ('{"company": "", "total": 0}', {"company": "", "total": 0}),
    ('{"items": [{"name": ""}]}', {"items": [{"name": ""}]}),
    ('[{"name": "", "price": 0}]', [{"name": "", "price": 0}]),
    ('{"type": ""}', {"type": ""}),
    ('{"type": "object"}', {"type": "object"}),
    (SCHEMA, {"company": "", "total": 0, "items": [{"name": ""}]}),
    ('{"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}', {"a": "x | y"}),
    ('{"type": "array", "items": {"type": "integer"}}', [0]),
    ('{"properties": {"a": {"type": ["string", "null"]}}}', {"a": ""}),
    ('{"properties": {"a": {"anyOf": [{"type": "number"}, {"type": "null"}]}}}', {"a": 0}),
    ('{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"a": {}}}',
     {"a": ""}),
    ('{"type": "object", "properties": {"$ref": {"type": "string"}}}', {"$ref": ""}),
]  # fmt: skip

REFUSED_FORMS = [
    "", "  \n", ",,", "a, a", "{", "[1,", "{}", "[]",
    '{"type": "object", "properties": {"a": {"type": "nothing"}}}',
    '{"type": "object", "properties": {"a": {"$ref": "http://example.com/x"}}}',
    '{"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}',
    '{"properties": {"a": {}}, "patternProperties": {"(a+)+$": {}}}',
    '{"properties": ' + '{"a": {"properties": ' * 20 + "{}" + "}}" * 20 + "}",
    '{"properties": {"a": {"description": "' + "x" * 70_000 + '"}}}',
    ", ".join(f"f{n}" for n in range(501)),
]  # fmt: skip

PLAIN = "company, date, total (number)"
# Form, answer -> value, and the words that say what was odd.
ANSWERS = [
    (PLAIN, '{"company": "A", "date": "2020", "total": 5}',
     {"company": "A", "date": "2020", "total": 5}, ""),
    (PLAIN, '```json\n{"company": "A", "date": "d", "total": 5.5}\n```',
     {"company": "A", "date": "d", "total": 5.5}, ""),
    (PLAIN, 'Here:\n```json\n{"company": "A", "date": "d", "total": 1}\n```\nDone.',
     {"company": "A", "date": "d", "total": 1}, ""),
    (PLAIN, '{"company": "A", "date": "d", "total": "12.50"}',
     {"company": "A", "date": "d", "total": 12.5}, "note: total: '12.50' taken as 12.5"),
    (PLAIN, '{"company": "A", "date": "d", "total": "7"}',
     {"company": "A", "date": "d", "total": 7}, "note: total: '7' taken as 7"),
    (PLAIN, '{"company": "A", "date": "d", "total": ""}',
     {"company": "A", "date": "d", "total": None}, "note: total: '' taken as null"),
    (PLAIN, '{"company": "A", "date": null, "total": null}',
     {"company": "A", "date": None, "total": None}, ""),
    (PLAIN, '{"company": "A", "date": "d", "total": "12,50"}',
     {"company": "A", "date": "d", "total": "12,50"}, "fault: ['total']"),
    (PLAIN, '{"company": "A", "date": "d", "total": "nan"}',
     {"company": "A", "date": "d", "total": "nan"}, "fault: ['total']"),
    (PLAIN, '{"company": "A", "date": "d", "total": "inf"}',
     {"company": "A", "date": "d", "total": "inf"}, "fault: ['total']"),
    (PLAIN, '{"company": "A", "date": "d", "total": 1e999}',
     {"company": "A", "date": "d", "total": None}, ""),
    (PLAIN, '{"company": "A", "date": "d"}', {"company": "A", "date": "d"}, "'total' is a"),
    (PLAIN, '{"company": 5, "date": "d", "total": 1}',
     {"company": 5, "date": "d", "total": 1}, "fault: ['company']"),
    (PLAIN, '{"company": "A", "date": "d", "total": 1, "more": "x"}',
     {"company": "A", "date": "d", "total": 1, "more": "x"}, ""),
    (PLAIN, "{'company': 'A', 'date': 'd', 'total': 1}",
     {"company": "A", "date": "d", "total": 1}, "repaired"),
    (PLAIN, '{"company": "A", "date": "d", "total": 1,}',
     {"company": "A", "date": "d", "total": 1}, "repaired"),
    (PLAIN, '{"company": "A", "date": "d", "total": 1', {"company": "A", "date": "d"}, "cut off"),
    (PLAIN, '```json\n{"company": "A", "da', {"company": "A"}, "cut off"),
    (PLAIN, "I cannot read it.", None, "fault: the answer holds no JSON"),
    (PLAIN, "", None, "fault: the answer holds no JSON"),
    (PLAIN, '[{"company": "A", "date": "d", "total": 1}]',
     {"company": "A", "date": "d", "total": 1}, ""),
    (PLAIN, '[{"company": "A"}, {"company": "B"}]',
     [{"company": "A"}, {"company": "B"}], "fault: the answer"),
    (PLAIN, '{"company": "A", "date": "d", "total": 1}\n{"company": "B"}',
     {"company": "A", "date": "d", "total": 1}, "note: the answer holds 2 JSON values"),
    (PLAIN, '<think>{"x": 1}</think>{"company": "A", "date": "d", "total": 1}',
     {"company": "A", "date": "d", "total": 1}, ""),
    (PLAIN, '<think>hm {"company": "A"}', None, "fault: the answer holds no JSON"),
    (PLAIN, '{"company": "<|im_end|>", "date": "<|image_pad|>", "total": 1}',
     {"company": "<|im_end|>", "date": "<|image_pad|>", "total": 1}, ""),
    (PLAIN, '{"company": "\\ud800", "date": "d", "total": 1}',
     {"company": "\ufffd", "date": "d", "total": 1}, ""),
    (PLAIN, '{"company": "A\\nB", "date": "d", "total": 1}',
     {"company": "A\nB", "date": "d", "total": 1}, ""),
    ("公司", '{"公司": "阿里"}', {"公司": "阿里"}, ""),
    ("公司", "{“公司”：“阿里”}", {"公司": "阿里"}, "repaired"),
    ("paid (yes/no)", '{"paid": "true"}', {"paid": True}, "note: paid: 'true' taken as true"),
    ("paid (yes/no)", '{"paid": "yes"}', {"paid": "yes"}, "fault: ['paid']"),
    ("count (int)", '{"count": "42"}', {"count": 42}, "note"),
    ("count (int)", '{"count": 4.5}', {"count": 4.5}, "fault: ['count']"),
    ("items (list)", '{"items": ["a", "b"]}', {"items": ["a", "b"]}, ""),
    ("items (list)", '{"items": "a, b"}', {"items": "a, b"}, "fault: ['items']"),
    ('[{"name": "", "price": 0}]', '[{"name": "a", "price": "3"}]',
     [{"name": "a", "price": 3}], "note: [0].price: '3' taken as 3"),
    ('[{"name": ""}]', '{"name": "a"}', {"name": "a"}, "fault: the answer"),
    ('[{"name": ""}]', '[]', [], ""),
    (SCHEMA, '{"company": "A", "total": "-1"}', {"company": "A", "total": -1}, "fault: ['total']"),
    (SCHEMA, '{"company": "A", "items": [{"name": 1}]}',
     {"company": "A", "items": [{"name": 1}]}, "fault: ['items'][0]['name']"),
    (SCHEMA, '{"total": 3}', {"total": 3}, "fault: the answer"),
    ('{"seller": {"name": "", "vat": 0}}', '{"seller": {"name": "A", "vat": "19"}}',
     {"seller": {"name": "A", "vat": 19}}, "note: seller.vat"),
]  # fmt: skip


def said(filled) -> str:
    words = ["repaired"] * filled.repaired + ["cut off"] * filled.truncated
    return "; ".join([*words, *(f"note: {n}" for n in filled.notes),
                      *(f"fault: {f}" for f in filled.faults)])  # fmt: skip


def test_the_tables_are_long():
    assert len(FORMS) + len(REFUSED_FORMS) >= 30
    assert len(ANSWERS) >= 40


@pytest.mark.parametrize(("text", "empty"), FORMS)
def test_forms(text: str, empty):
    form = read_form(text)
    assert form.empty == empty
    assert json.loads(form.pattern()) == empty


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a, b", True),
        ('{"a": ""}', True),
        ('{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}', True),
        ('{"properties": {"a": {"type": "number", "minimum": 0}}}', False),
        ('{"properties": {"a": {"description": "the total"}}}', False),
        (SCHEMA, False),
    ],
)
def test_the_schema_is_shown_only_where_the_empty_form_does_not_say_all(text: str, plain: bool):
    assert read_form(text).plain == plain


@pytest.mark.parametrize("text", REFUSED_FORMS, ids=lambda text: text[:30])
def test_refused_forms(text: str):
    with pytest.raises((InputError, ParseError)) as caught:
        read_form(text)
    assert caught.value.remedy


@pytest.mark.parametrize(("form", "answer", "value", "words"), ANSWERS)
def test_answers(form: str, answer: str, value, words: str):
    filled = read_answer(answer, read_form(form))
    assert filled.value == value
    assert (words in said(filled)) if words else said(filled) == ""
    assert filled.valid == ("fault" not in said(filled))
    json.loads(filled.to_json())


@pytest.mark.parametrize(("form", "answer"), [(a[0], a[1]) for a in ANSWERS if len(a[1]) > 30])
def test_every_prefix_of_an_answer_is_cut_off_or_none(form: str, answer: str):
    read = read_form(form)
    whole = read_answer(answer, read)
    for length in range(len(answer)):
        part = read_answer(answer[:length], read)
        rest = answer[length:].strip(" `\n")
        assert part.truncated or not part.valid or part.value == whole.value or "}" not in rest
        if part.truncated:
            assert not part.valid


def test_fuzzed_answers_give_a_value_or_a_typed_error():
    dice = random.Random(4)
    answers = [row[1] for row in ANSWERS if row[1]]
    forms = [read_form(row[0]) for row in ANSWERS]
    pieces = ["{", "}", "[", "]", '"', ",", ":", "null", "1e999", "-", "\\u", "\ud800", "[" * 80]
    for _ in range(4000):
        text = dice.choice(answers)
        for _ in range(dice.randint(1, 5)):
            at = dice.randrange(len(text) + 1)
            text = text[:at] + dice.choice(pieces) + text[at + dice.randint(0, 3) :]
        try:
            filled = read_answer(text, dice.choice(forms))
        except ParseError:
            continue
        json.dumps(filled.value, allow_nan=False).encode("utf-8")


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"properties": {"a": {"$ref": "#"}}, "$ref": "#"}, {"a": 1}),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, {"a": 1}),
        ({"properties": {"a": {"pattern": "^(a|aa)+$"}}}, {"a": "a" * 80 + "!"}),
        ({"properties": {"a": {"pattern": "("}}}, {"a": "x"}),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/x0"}},
                "$defs": {f"x{n}": {"allOf": [{"$ref": f"#/$defs/x{n + 1}"}] * 2}
                          for n in range(30)} | {"x30": {}},
            },
            {"a": 1},
        ),
    ],
    ids=["circle", "nowhere", "slow pattern", "wrong pattern", "multiplying"],
)  # fmt: skip
def test_schemas_that_cannot_be_applied_are_refused_in_time(schema, answer):
    with pytest.raises(InputError) as caught:
        read_answer(json.dumps(answer), read_form(json.dumps(schema)))
    assert caught.value.remedy


def test_a_schema_is_never_fetched(monkeypatch: pytest.MonkeyPatch):
    import urllib.request

    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: pytest.fail("fetched"))
    schema = {"properties": {"a": {"$id": "http://example.com/a", "$ref": "#/x"}}}
    with pytest.raises(InputError):
        read_answer('{"a": 1}', read_form(json.dumps(schema)))


def test_values_with_their_places():
    form = with_places(read_form("company, total (number)"))
    answer = {
        "company": {"value": "A", "bbox_2d": [1, 2, 30, 40]},
        "total": {"value": 5, "bbox_2d": None},
    }
    filled = read_answer(json.dumps(answer), form)
    assert filled.valid, filled.faults
    value, places = split_places(filled.value)
    assert value == {"company": "A", "total": 5}
    assert places == {"company": [1, 2, 30, 40]}


def test_places_in_lists_are_named_by_their_path():
    form = with_places(read_form('{"items": [{"name": ""}]}'))
    answer = {"items": [{"name": {"value": "a", "bbox_2d": [1, 2, 3, 4]}}]}
    value, places = split_places(read_answer(json.dumps(answer), form).value)
    assert value == {"items": [{"name": "a"}]}
    assert places == {"items[0].name": [1, 2, 3, 4]}


def test_a_schema_with_places_keeps_what_it_asks():
    form = with_places(read_form(SCHEMA))
    wrong = {"company": {"value": "A"}, "total": {"value": -1}}
    assert not read_answer(json.dumps(wrong), form).valid


@pytest.mark.parametrize(
    ("path", "value"),
    [("a", {"b": [1, 2]}), ("a.b", [1, 2]), ("a.b[1]", 2), ("a.b[-1]", 2), ("", None)],
)
def test_pick(path: str, value):
    whole = {"a": {"b": [1, 2]}}
    assert pick(whole, path) == (value if path else whole)


@pytest.mark.parametrize("path", ["x", "a.x", "a.b[2]", "a.b[-3]", "a.b.c", "a[0]"])
def test_pick_says_what_is_there(path: str):
    with pytest.raises(InputError, match="There is no") as caught:
        pick({"a": {"b": [1, 2]}}, path)
    assert "There " in caught.value.remedy
