"""Code in an answer: out of its fence, and a look at whether it parses. Nothing is ever run.

Source of the prompts' answers: Qwen3-VL cookbook "mmcode": the last fence of the answer counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..errors import ParseError
from .thinking import answer_of

CodeLanguage = Literal["html", "drawio", "svg", "mermaid", "matplotlib"]

MAX_CHARACTERS = 2_000_000
MAX_DEPTH = 200
# The names that models give a fence of each language, and the end of its file.
FENCES: dict[CodeLanguage, tuple[str, ...]] = {
    "html": ("html", "htm", "xhtml"),
    "drawio": ("xml", "drawio", "mxfile"),
    "svg": ("svg", "xml"),
    "mermaid": ("mermaid", "mmd"),
    "matplotlib": ("python", "py", "python3"),
}
SUFFIXES: dict[CodeLanguage, str] = {
    "html": ".html", "drawio": ".drawio", "svg": ".svg", "mermaid": ".mmd", "matplotlib": ".py",
}  # fmt: skip
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*$", re.MULTILINE)
_STARTS: dict[CodeLanguage, re.Pattern[str]] = {
    "html": re.compile(r"<!doctype html|<html\b|<body\b|<div\b", re.IGNORECASE),
    "drawio": re.compile(r"<\?xml|<mxfile\b|<mxGraphModel\b"),
    "svg": re.compile(r"<\?xml|<svg\b"),
    "mermaid": re.compile(r"(?:graph|flowchart|sequenceDiagram|classDiagram)\b"),
    "matplotlib": re.compile(r"^(?:import|from) ", re.MULTILINE),
}
_DIAGRAMS = (
    "graph", "flowchart", "sequenceDiagram", "classDiagram", "stateDiagram", "stateDiagram-v2",
    "erDiagram", "journey", "gantt", "pie", "quadrantChart", "requirementDiagram", "gitGraph",
    "mindmap", "timeline", "zenuml", "sankey", "sankey-beta", "xychart", "xychart-beta", "block",
    "block-beta", "packet", "packet-beta", "kanban", "architecture", "architecture-beta", "radar",
    "radar-beta", "treemap", "treemap-beta", "C4Context", "C4Container", "C4Component",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code of an answer. `fault` says why it does not parse, empty if it does.

    `truncated`: its fence, or the answer, has no end.
    """

    code: str
    language: CodeLanguage
    fault: str = ""
    truncated: bool = False
    notes: tuple[str, ...] = ()


def read_code(text: str, language: CodeLanguage) -> Snippet:
    """The code in an answer: the last fence of the language, else of any, else bare code.

    Raises:
        ParseError: no code in the answer, or more than any model writes.
    """
    answer, truncated = answer_of(text)
    if len(answer) > MAX_CHARACTERS:
        raise ParseError(
            f"The answer has {len(answer)} characters, more than any model writes.", "Ask again."
        )
    blocks = _fences(answer)
    named = [block for block in blocks if block[0].lower() in FENCES[language]]
    notes: list[str] = []
    if named or blocks:
        name, code, closed = (named or blocks)[-1]
        truncated |= not closed
        if not named:
            notes.append(f"the fence is named {name!r}" if name else "the fence has no name")
        if len(named) > 1:
            notes.append(f"the answer holds {len(named)} such fences, the last was taken")
    else:
        start = _STARTS[language].search(answer)
        if start is None:
            raise ParseError(
                f"The answer holds no {language} code; it begins: {' '.join(answer[:120].split())}",
                "Ask again with another seed, or say more exactly what is wanted.",
            )
        code = answer[start.start() :]
        notes.append("the code stood in no fence")
    code = code.strip("\n").rstrip() + "\n"
    fault = _CHECKS[language](code)
    if fault and truncated:
        fault = f"the answer was cut off: {fault}"
    return Snippet(code, language, fault, truncated, tuple(notes))


def _fences(answer: str) -> list[tuple[str, str, bool]]:
    """(name, code, whether it was closed) of every fence, in order."""
    found: list[tuple[str, str, bool]] = []
    opened: re.Match[str] | None = None
    for mark in _FENCE.finditer(answer):
        if opened is None:
            opened = mark
        elif mark[1].startswith(opened[1]) and not mark[2]:
            found.append((opened[2], answer[opened.end() + 1 : mark.start()], True))
            opened = None
    if opened is not None:
        found.append((opened[2], answer[opened.end() + 1 :], False))
    return found


def _html_fault(code: str) -> str:
    # Script and style are not read: whether a script is good shows only when it runs.
    lower = code.lower()
    if "<" not in code:
        return "there is no element in it"
    for name in ("html", "body", "script", "style"):
        opened = len(re.findall(rf"<{name}\b", lower))
        if opened > lower.count(f"</{name}"):
            return f"<{name}> is not closed"
    return ""


def _xml_fault(roots: tuple[str, ...]) -> Callable[[str], str]:
    def check(code: str) -> str:
        from xml.parsers import expat

        names: list[str] = []
        depth = 0

        def begin(name: str, _: object) -> None:
            nonlocal depth
            depth += 1
            if depth > MAX_DEPTH:
                raise ParseError("nested too deep", "")
            if not names:
                names.append(name)

        def end(_: str) -> None:
            nonlocal depth
            depth -= 1

        def refuse(*_: object) -> None:
            # Entities can grow without bound or name files.
            raise ParseError("it declares entities, which no diagram needs", "")

        # A parser of the standard library without any handler that loads what is named.
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = begin, end
        parser.EntityDeclHandler = refuse
        try:
            parser.Parse(code.strip().encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            return f"{expat.errors.messages.get(error.code, str(error))} in line {error.lineno}"
        except ParseError as error:
            return error.problem
        if names[0].rpartition(":")[2] not in roots:
            return f"its outermost element is {names[0][:40]!r}, not {' or '.join(roots)}"
        return ""

    return check


def _mermaid_fault(code: str) -> str:
    lines = [line.strip() for line in code.splitlines()]
    if lines and lines[0] == "---":  # settings before the diagram
        rest = lines[1:]
        lines = rest[rest.index("---") + 1 :] if "---" in rest else []
    words = [line for line in lines if line and not line.startswith("%%")]
    if not words or re.split(r"[\s:;]", words[0])[0] not in _DIAGRAMS:
        return "its first line names no kind of diagram"
    if len(words) < 2 and not re.search(r"[;\s]\S", words[0]):
        return "there is nothing in the diagram"
    depth: list[str] = []
    pairs = {"]": "[", ")": "(", "}": "{"}
    for number, line in enumerate(words, 1):
        # Arrows and quoted words hold brackets of their own.
        bare = re.sub(r'"[^"\n]*"|[-=.<>|o{}]{2,}', "", line)
        for char in bare:
            if char in "[({":
                depth.append(char)
            elif char in pairs and depth and depth[-1] == pairs[char]:
                depth.pop()
        if depth and depth[-1] != "{":  # a block of a class or entity goes on over lines
            return f"a bracket in line {number} is not closed"
    return "a bracket is not closed" if depth else ""


def _python_fault(code: str) -> str:
    import ast

    if len(code) > 200_000 or _deepest(code) > MAX_DEPTH:
        return "it is longer, or nested deeper, than a drawing needs"
    try:
        ast.parse(code)
    except SyntaxError as error:
        return f"{error.msg} in line {error.lineno}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or "it cannot be parsed"
    return ""


def _deepest(code: str) -> int:
    """The deepest nesting of brackets and signs, before a parser that recurses sees them."""
    depth = deepest = run = 0
    for char in code:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth = max(0, depth - 1)
        run = run + 1 if char in "-~+" else 0
        deepest = max(deepest, run)
    return deepest


_CHECKS: dict[CodeLanguage, Callable[[str], str]] = {
    "html": _html_fault,
    "drawio": _xml_fault(("mxfile", "mxGraphModel")),
    "svg": _xml_fault(("svg",)),
    "mermaid": _mermaid_fault,
    "matplotlib": _python_fault,
}
