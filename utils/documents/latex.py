r"""Reads LaTeX tables: `tabular` and its kin, with `\multicolumn` and `\multirow`.

Source of the format: LaTeX2e unofficial reference manual, "tabular", and the packages multirow,
booktabs, makecell, tabularx and longtable. No macro is expanded; what is unknown stays as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .tables import MAX_COLUMNS, CellSpan, Table, TableBuilder

ENVIRONMENTS = ("tabular", "tabular*", "tabularx", "tabulary", "array", "longtable", "tblr")
MAX_DEPTH = 32

# A piece of a table's source; what is none of these is plain text.
_PIECE = re.compile(
    r"""\\begin\s*\{(?P<begin>[a-zA-Z]+\*?)\}
    |\\end\s*\{(?P<end>[a-zA-Z]+\*?)\}
    |(?P<row>\\\\\*?(?:\[[^\[\]\n]{0,20}\])?|\\tabularnewline\b)
    |(?P<math>\$\$?(?:[^$&\n\\]|\\[^\\\n])+\$\$?|\\\((?:[^\\\n]|\\[^\\()\n])*\\\))
    |(?P<symbol>\\[^a-zA-Z\s])
    |\\(?P<command>[a-zA-Z]+\*?)[ \t]*
    |(?P<cell>&)
    |(?P<open>\{)
    |(?P<close>\})
    |(?P<tilde>~)""",
    re.VERBOSE,
)
_BEGIN = re.compile(r"\\begin\s*\{(" + "|".join(re.escape(e) for e in ENVIRONMENTS) + r")\}")
_COMMENT = re.compile(r"^[ \t]*%.*\n?", re.MULTILINE)
_OPTION = re.compile(r"\s*\[[^\[\]]{0,200}\]")
_TRIM = re.compile(r"\([lr]{1,2}(?:\{[^{}]{0,20}\})?\)")  # of cmidrule
_SPACE = re.compile(r"\s*")
# Commands that draw or set something, by how many arguments go with them.
_SILENT = {
    "hline": 0, "toprule": 0, "midrule": 0, "bottomrule": 0, "cline": 1, "cmidrule": 1,
    "addlinespace": 0, "specialrule": 3, "morecmidrules": 0, "hhline": 1, "Xhline": 1,
    "cdashline": 1, "hdashline": 0, "rowcolor": 1, "cellcolor": 1, "columncolor": 1, "color": 1,
    "textcolor": 1,
    "vspace": 1, "hspace": 1, "vspace*": 1, "hspace*": 1, "centering": 0, "raggedright": 0,
    "raggedleft": 0, "arraybackslash": 0, "small": 0, "footnotesize": 0, "scriptsize": 0,
    "tiny": 0, "normalsize": 0, "large": 0, "Large": 0, "bfseries": 0, "itshape": 0, "noindent": 0,
    "label": 1, "rotatebox": 1, "scalebox": 1, "raisebox": 1, "parbox": 1, "fontsize": 2,
    "selectfont": 0, "setlength": 2, "arrayrulecolor": 1, "endhead": 0, "endfirsthead": 0,
    "endfoot": 0, "endlastfoot": 0, "par": 0, "strut": 0, "phantom": 1, "bf": 0, "it": 0, "rm": 0,
    "mbox": 0, "multicolumn": 2, "displaystyle": 0, "href": 1, "diagbox": 0, "left": 0, "right": 0,
}  # fmt: skip
# Rules that may have a width in brackets, and no argument.
_RULES = ("toprule", "midrule", "bottomrule", "addlinespace")
# Rules that end the rows of headings.
_HEAD_ENDS = ("midrule", "endhead")
_SYMBOLS = {
    "ldots": "…", "dots": "…", "textbackslash": "\\", "textasciitilde": "~", "quad": " ",
    "qquad": " ", "textasciicircum": "^", "textbar": "|", "textless": "<", "textgreater": ">",
    "checkmark": "✓", "times": "×", "pm": "±", "cdot": "·", "degree": "°", "textdegree": "°",
    "rightarrow": "→", "to": "→", "leftarrow": "←", "bullet": "•", "textbullet": "•", "leq": "≤",
    "geq": "≥", "neq": "≠", "approx": "≈", "textendash": "–", "textemdash": "—", "euro": "€",
    "pounds": "£", "S": "§", "copyright": "©", "textregistered": "®", "texttrademark": "™",
    "newline": "\n", "linebreak": "\n", "uparrow": "↑", "downarrow": "↓",
}  # fmt: skip
_MULTI = re.compile(r"\s*\\(multicolumn|multirow|multirowcell)\b")


@dataclass(frozen=True, slots=True)
class LatexTable:
    """A table and the end of its source in the text that it was found in."""

    table: Table
    start: int
    end: int


def find_tables(text: str) -> list[LatexTable]:
    """Every table of a text in order, nested ones as text of their cell.

    One whose end is missing has its whole rows and `complete` False.

    Raises:
        ParseError: spans that claim more places than any page has.
    """
    found, position = [], 0
    while begin := _BEGIN.search(text, position):
        reader = _TabularReader(text, begin.end(), begin[1])
        table, position = reader.read()
        found.append(LatexTable(table, begin.start(), position))
    return found


def latex_text(source: str) -> str:
    """The text of a piece of LaTeX: formatting gone, symbols as characters, math as it is."""
    out: list[str] = []
    position = 0
    while match := _PIECE.search(source, position):
        out.append(source[position : match.start()])
        position = match.end()
        kind = match.lastgroup
        if kind == "math":
            out.append(match[0])
        elif kind == "row":
            out.append("\n")
        elif kind == "symbol":
            out.append(" " if match[0][1] in ",;:! " else match[0][1].strip("/"))
        elif kind == "tilde":
            out.append(" ")
        elif kind == "begin":
            if match["begin"] in ENVIRONMENTS:
                position = _skip(source, position, 1)
        elif kind == "cell":
            out.append(" ")
        elif kind == "command":
            name = match["command"]
            if name in _SYMBOLS:
                out.append(_SYMBOLS[name])
                # `\quad{}`: empty braces only end the name.
                position = position + 2 if source.startswith("{}", position) else position
            elif name in ("multirow", "multirowcell"):
                position = _skip(source, position, 2)
            elif name in _SILENT:
                position = _skip_silent(source, position, name)
            elif source.startswith(("{", "["), position):  # \textbf{x}: the x stays
                position = _skip(source, position, 0)
            else:
                out.append(match[0])
    out.append(source[position:])
    lines = (" ".join(line.split()) for line in "".join(out).split("\n"))
    return "\n".join(line for line in lines if line)


def _skip_silent(source: str, position: int, name: str) -> int:
    """The position behind what belongs to a command that shows nothing."""
    if name == "cmidrule" and (trim := _TRIM.match(source, position)):
        position = trim.end()
    if _SILENT[name] or name in _RULES:
        return _skip(source, position, _SILENT[name])
    return position


def _skip(source: str, position: int, arguments: int) -> int:
    """The position behind options and so many arguments in braces."""
    while option := _OPTION.match(source, position):
        position = option.end()
    for _ in range(arguments):
        start = _SPACE.match(source, position)
        behind = start.end() if start else position
        if not source.startswith("{", behind):
            return position
        end = _closing(source, behind)
        if end < 0:
            return position
        position = end + 1
        while option := _OPTION.match(source, position):
            position = option.end()
    return position


def _closing(source: str, start: int) -> int:
    """Where the brace opened at `start` closes; -1 if it does not, or is nested too deep."""
    depth, position = 0, start
    for match in re.finditer(r"\\.|[{}]", source[start : start + 20_000], re.DOTALL):
        if match[0] == "{":
            depth += 1
            if depth > MAX_DEPTH:
                return -1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return position + match.start()
    return -1


class _TabularReader:
    r"""Reads one environment from behind its `\begin{...}`."""

    def __init__(self, text: str, start: int, name: str):
        self.text, self.name = text, name
        # Width first, then the columns.
        arguments = 2 if name in ("tabular*", "tabularx", "tabulary") else 1
        self.position = _skip(text, start, arguments)
        self.builder = TableBuilder()
        self.head_ends = 0
        self.caption = ""

    def read(self) -> tuple[Table, int]:
        """The table and the position behind its end."""
        row: list[str] = []
        cell_start = position = self.position
        braces = inner = 0
        while match := _PIECE.search(self.text, position):
            position = match.end()
            kind = match.lastgroup
            top = braces == 0 and inner == 0
            if kind == "begin":
                inner += 1
            elif kind == "end" and inner:
                inner -= 1
            elif kind == "end":
                row.append(self.text[cell_start : match.start()])
                self._row(row)
                return self._finish(True), position
            elif kind == "open":
                braces += 1
            elif kind == "close":
                braces = max(0, braces - 1)
            elif kind == "cell" and top:
                row.append(self.text[cell_start : match.start()])
                cell_start = position
            elif kind == "row" and top:
                row.append(self.text[cell_start : match.start()])
                self._row(row)
                row, cell_start = [], position
            elif kind == "command" and match["command"] in _HEAD_ENDS and top:
                self.head_ends = self.head_ends or self.builder.rows
        return self._finish(False), len(self.text)

    def _row(self, sources: list[str]) -> None:
        cleaned = [_COMMENT.sub("", source) for source in sources]
        if "\\caption" in cleaned[0]:
            start = cleaned[0].index("\\caption")
            end = _skip(cleaned[0], start + len("\\caption"), 1)
            self.caption = latex_text(cleaned[0][start + len("\\caption") : end]).strip("{}")
            cleaned[0] = cleaned[0][:start] + cleaned[0][end:]
        spans = [_span(source) for source in cleaned]
        if len(spans) == 1 and not spans[0].text and spans[0].rows == spans[0].columns == 1:
            return  # a rule between rows
        self.builder.add_row(self._without_covered(spans))

    def _without_covered(self, spans: list[CellSpan]) -> list[CellSpan]:
        """The cells without the empty ones that stand below a `multirow`.

        LaTeX wants them there; a model may leave them out, as HTML does: then there is text.
        """
        covered = self.builder.covered(self.builder.rows)
        kept, column = [], 0
        for span in spans:
            if column not in covered:
                kept.append(span)
            elif span.text:
                return spans
            column += span.columns
        return kept

    def _finish(self, complete: bool) -> Table:
        table = self.builder.finish(self.caption, complete)
        heads = self.head_ends
        if not heads:  # LaTeX marks no cell as a heading by itself
            return table
        cells = tuple(replace(cell, heading=cell.row < heads) for cell in table.cells)
        return replace(table, cells=cells)


def _span(source: str) -> CellSpan:
    """One cell's source with its spans taken off."""
    rows = columns = 1
    for _ in range(3):  # a multirow in a multicolumn, and the other way round
        match = _MULTI.search(source)
        if match is None:
            break
        count_at = _skip(source, match.end(), 0)
        end = _closing(source, count_at) if source.startswith("{", count_at) else -1
        if end < 0:
            break
        count = _count(source[count_at + 1 : end])
        if match[1] == "multicolumn":
            columns = max(columns, count)
            rest = _skip(source, end + 1, 1)
        else:
            rows = max(rows, count)
            rest = _skip(source, end + 1, 1)
        source = source[: match.start()] + source[rest:]
    return CellSpan(latex_text(source), rows, columns)


def _count(text: str) -> int:
    digits = text.strip().lstrip("-")
    return min(int(digits), MAX_COLUMNS) if digits.isdecimal() and len(digits) < 7 else 1
