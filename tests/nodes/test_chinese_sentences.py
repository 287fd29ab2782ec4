"""What the server says has its Chinese in web/words/zh.json, and the browser finds it."""

import json
import re
import shutil
import subprocess

import pytest
from pack_sentences import errors, says_something, texts
from qwen3vl_pack import ROOT

CHINESE = json.loads((ROOT / "web" / "words" / "zh.json").read_text("utf-8"))
ERRORS = errors()
# So many of a hundred may be without Chinese for a while; they are shown in English.
MISSING_PERCENT = 2
TRANSLATE = """
import { translator } from "%s";
let given = "";
for await (const part of process.stdin) given += part;
const { sentences, said } = JSON.parse(given);
const translate = translator(sentences);
const began = performance.now();
const answers = said.map(translate);
console.log(JSON.stringify({ answers, ms: performance.now() - began }));
"""
by_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def translated(said):
    script = TRANSLATE % (ROOT / "web" / "js" / "sentences.js").as_uri()
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps({"sentences": CHINESE, "said": said}),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def filled(text, values):
    """The places of a pattern, `{}` or `{0}`, filled in order."""
    rest = iter(values)
    return re.sub(
        r"\{(\d?)\}", lambda place: values[int(place[1])] if place[1] else next(rest), text
    )


def test_the_sentences_of_errors_have_their_chinese():
    sentences = {part for pair in ERRORS for part in pair if says_something(part)}
    assert len(sentences) > 700
    missing = sorted(sentences - CHINESE.keys())
    assert len(missing) * 100 <= MISSING_PERCENT * len(sentences), missing


def test_chinese_has_the_places_of_its_english_and_is_chinese():
    for english, chinese in CHINESE.items():
        places = {int(n) for n in re.findall(r"\{(\d)\}", chinese)}
        assert places == set(range(english.count("{}"))), english
        assert "{}" not in chinese and re.search(r"[\u4e00-\u9fff。]|^\{0\} / \{1\}", chinese)


def test_nothing_is_left_over_from_sentences_that_are_said_no_more():
    source = "\n".join(texts()).casefold()
    # Reports are put together of parts, so the longest part of each is looked for.
    parts = {key: re.split(r"\{\}|[:,;.] ", key.removeprefix("- ").casefold()) for key in CHINESE}
    pieces = {key: max(some, key=len).strip() for key, some in parts.items()}
    gone = [key for key, piece in pieces.items() if piece not in source]
    assert len(gone) * 100 <= MISSING_PERCENT * len(CHINESE), gone


@by_node
def test_an_error_is_shown_in_chinese_with_its_values():
    values = ["'a.png'", "7", "x-y", "3.5", "Mount", "q", "z"]
    pairs = [p for p in ERRORS if all(part in CHINESE for part in p)]
    assert len(pairs) > 350
    said = [" ".join(filled(part, values) for part in pair) for pair in pairs]
    wanted = []
    for problem, remedy in pairs:
        what = filled(CHINESE[problem], values)
        wanted.append(what + " " * (what[-1] not in "。！？：") + filled(CHINESE[remedy], values))
    answers = translated(said)["answers"]
    assert [a for a, w in zip(answers, wanted, strict=True) if a != w] == []


@by_node
@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("Picture 2 of 3: The question is empty. Write a question.",
         "第 2 张图像（共 3 张）：问题为空。请写一个问题。"),
        ("written 1, skipped 0, failed 1\n\nfailed  b.png: b.png is empty. Replace it.\n"
         "written a.png\n    A red star.",
         "已写 1，跳过 0，失败 1\n\n失败  b.png：b.png 是空的。请替换它。\n"
         "已写  a.png\n    A red star."),
        ("2 found: star, square\n- star at 1, 2, 30 x 40 pixels",
         "找到 2 个：star, square\n- star：位于 1, 2，30 x 40 像素"),
        ("3 of 8, 1.2 a second, 41 tokens/s, about 5 s left",
         "3 / 8，每秒 1.2 个，41 词元/秒，约剩 5 秒"),
        ("Something new. Write a question.", "Something new. 请写一个问题。"),
        ("a cat on a mat", "a cat on a mat"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_a_box_shows(english, chinese):
    assert translated([english])["answers"] == [chinese]


@by_node
def test_hostile_texts_are_matched_quickly():
    hostile = [
        "a is empty. " * 300,
        "Picture 1 of 2: " * 240,
        ": . {} " * 500,
        "x" * 4000,
        "\n" * 4000,
    ]
    assert translated(hostile)["ms"] < 5000
