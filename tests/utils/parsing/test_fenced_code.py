"""Code out of an answer, and whether it parses; nothing of it is run."""

import random

import pytest
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.text.fenced_code import FENCES, SUFFIXES, CodeLanguage, read_code

MX = '<mxGraphModel><root><mxCell id="0"/></root></mxGraphModel>'
BOMB = '<!DOCTYPE x [<!ENTITY a "b">]><svg>&a;</svg>'
FLOW = "flowchart TD\n    A[Start] --> B{ok?}\n    B -->|yes| C((End))"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"

# Language, answer, words of the fault ("" for none), words of what else is said.
ROWS = [
    ("html", "```html\n<!DOCTYPE html>\n<html><body>x</body></html>\n```", "", ""),
    ("html", "Here:\n```html\n<html><body>x</body></html>\n```\nEnjoy!", "", ""),
    ("html", "<!DOCTYPE html><html><body>x</body></html>", "", "no fence"),
    ("html", "```\n<div>x</div>\n```", "", "no name"),
    ("html", "```xml\n<div>x</div>\n```", "", "named 'xml'"),
    ("html", "```html\n<html><body>x", "cut off", "truncated"),
    ("html", "```html\n<html><body>x</body>\n```", "<html> is not closed", ""),
    ("html", "```html\n<html><body><script>let a = 1;</body></html>\n```", "<script>", ""),
    ("html", "```html\n<style>p{}</style><script>f('</p>')</script><p>x</p>\n```", "", ""),
    ("html", "```html\nnothing\n```", "no element", ""),
    ("html", "```html\n<p>a</p>\n```\nor\n```html\n<p>b</p>\n```", "", "2 such fences"),
    ("html", "```css\np{}\n```\n```html\n<p>b</p>\n```", "", ""),
    ("html", "~~~html\n<p>b</p>\n~~~", "", ""),
    ("html", "````html\n<pre>```</pre>\n````", "", ""),
    ("html", "<think>```html\n<p>a</p>\n```</think>```html\n<p>b</p>\n```", "", ""),
    ("html", "```html\n<p>你好</p>\n```", "", ""),
    ("html", "```html\n<p>&lt;|im_end|&gt; <|image_pad|></p>\n```", "", ""),
    ("html", "```HTML\n<p>x</p>\n```", "", ""),
    ("drawio", f"```xml\n{MX}\n```", "", ""),
    ("drawio", f'```xml\n<?xml version="1.0"?>\n<mxfile><diagram>{MX}</diagram></mxfile>\n```', "",
     ""),
    ("drawio", f"```drawio\n{MX}\n```", "", ""),
    ("drawio", MX, "", "no fence"),
    ("drawio", f"```xml\n{MX[:-10]}\n```", "in line 1", ""),
    ("drawio", f"```xml\n{MX[:-10]}", "cut off", "truncated"),
    ("drawio", "```xml\n<svg/>\n```", "outermost element is 'svg'", ""),
    ("drawio", '```xml\n<mxfile a="1" a="2"/>\n```', "duplicate", ""),
    ("drawio", "```xml\n" + "<mxfile>" * 300 + "</mxfile>" * 300 + "\n```", "nested", ""),
    ("svg", '```svg\n<svg xmlns="http://www.w3.org/2000/svg"><circle r="5"/></svg>\n```', "", ""),
    ("svg", '```xml\n<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>\n```', "", ""),
    ("svg", "Sure. <svg></svg>", "", "no fence"),
    ("svg", "```svg\n<svg><circle></svg>\n```", "mismatched", ""),
    ("svg", f"```svg\n{BOMB}\n```", "entities", ""),
    ("svg", "```svg\n<svg>&nbsp;</svg>\n```", "undefined entity", ""),
    ("mermaid", f"```mermaid\n{FLOW}\n```", "", ""),
    ("mermaid", "```mermaid\nsequenceDiagram\n  A->>B: hello [x\n```", "bracket", ""),
    ("mermaid", "```mermaid\nsequenceDiagram\n  A->>B: hello\n```", "", ""),
    ("mermaid", "```mermaid\nclassDiagram\n  class A {\n    +int x\n  }\n```", "", ""),
    ("mermaid", "```mermaid\n%% comment\n---\n```", "kind of diagram", ""),
    ("mermaid", "```mermaid\n---\ntitle: x\n---\npie\n  \"a\" : 3\n```", "", ""),
    ("mermaid", "```mermaid\nhello world\n```", "kind of diagram", ""),
    ("mermaid", "```mermaid\ngraph TD\n```", "", ""),
    ("mermaid", "```mermaid\nerDiagram\n  A ||--o{ B : has\n```", "", ""),
    ("mermaid", "```mermaid\nmindmap\n```", "nothing in the diagram", ""),
    ("mermaid", "```mermaid\nflowchart TD\n  A[Start --> B\n```", "bracket in line 2", ""),
    ("matplotlib", f"```python\n{PLOT}\n```", "", ""),
    ("matplotlib", f"```py\n{PLOT}\n```", "", ""),
    ("matplotlib", PLOT, "", "no fence"),
    ("matplotlib", "```python\nplt.plot([1, 2)\n```", "in line 1", ""),
    ("matplotlib", "```python\ndef f(:\n```", "in line 1", ""),
    ("matplotlib", "```python\n" + "(" * 5000 + "\n```", "nested deeper", ""),
    ("matplotlib", "```python\nx = " + "-" * 5000 + "1\n```", "nested deeper", ""),
    ("matplotlib", "```python\nx = 1\x00\n```", "null", ""),
    ("matplotlib", "```python\nraise SystemExit\n```", "", ""),
]  # fmt: skip
NO_CODE = [("html", "I cannot."), ("svg", ""), ("mermaid", "<think>graph TD</think>no"),
           ("matplotlib", "plt.plot()"), ("drawio", "<think>```xml")]  # fmt: skip


def test_the_table_is_long():
    assert len(ROWS) >= 50
    assert {row[0] for row in ROWS} == set(FENCES) == set(SUFFIXES)


@pytest.mark.parametrize(("language", "answer", "fault", "words"), ROWS)
def test_golden(language: CodeLanguage, answer: str, fault: str, words: str):
    found = read_code(answer, language)
    assert (fault.lower() in found.fault.lower()) if fault else found.fault == ""
    said = " ".join([*found.notes, *["truncated"] * found.truncated])
    assert (words in said) if words else said == ""
    assert "```" not in found.code.replace("<pre>```</pre>", "")
    assert found.code.endswith("\n")


def test_the_last_fence_counts():
    answer = "```html\n<p>a</p>\n```\nBetter:\n```html\n<p>b</p>\n```"
    assert read_code(answer, "html").code == "<p>b</p>\n"


@pytest.mark.parametrize(("language", "answer"), NO_CODE)
def test_no_code_is_an_error(language: CodeLanguage, answer: str):
    with pytest.raises(ParseError, match="holds no") as caught:
        read_code(answer, language)
    assert caught.value.remedy


@pytest.mark.parametrize(("language", "answer"), [(r[0], r[1]) for r in ROWS if len(r[1]) < 300])
def test_every_prefix(language: CodeLanguage, answer: str):
    for length in range(len(answer)):
        try:
            found = read_code(answer[:length], language)
        except ParseError:
            continue
        # What is cut off inside a fence says so.
        if answer.count("```") == 2 and "```" in answer[:length] and "<think>" not in answer:
            closed = answer[:length].count("```") == 2
            assert found.truncated != closed


def test_fuzzed_answers():
    dice = random.Random(7)
    pieces = ["```", "```html\n", "<", ">", "</svg>", "&", "(", "]", "{", '"', "\n", "\x00", "é"]
    for _ in range(3000):
        language, text, *_ = dice.choice(ROWS)
        for _ in range(dice.randint(1, 5)):
            at = dice.randrange(len(text) + 1)
            text = text[:at] + dice.choice(pieces) + text[at + dice.randint(0, 3) :]
        try:
            found = read_code(text, language)
        except ParseError:
            continue
        assert isinstance(found.fault, str)


def test_nothing_is_run(monkeypatch: pytest.MonkeyPatch):
    import builtins

    for name in ("exec", "eval"):
        monkeypatch.setattr(builtins, name, lambda *a, **k: pytest.fail("run"))
    assert read_code("```python\nprint(1)\n```", "matplotlib").fault == ""
