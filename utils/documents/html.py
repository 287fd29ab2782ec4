"""Reads HTML of any origin into a tree that is bounded, and writes it back without what could act.

The tree is built by lexbor (selectolax), which follows the HTML standard. It takes minutes for
100,000 open elements or 60,000 attributes, so a pass before it writes every tag anew: known names
and attributes only, everything else as text, nesting counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape, unescape

from ..errors import InputError, ParseError
from .html_names import ATTRIBUTES, BLOCKS, COMMENT, EMPTY, INLINE, LEAVES, SILENT

MAX_CHARACTERS = 4_000_000
MAX_DEPTH = 64
# A page of small print has some thousands.
MAX_TAGS = 100_000
MAX_ATTRIBUTES_TEXT = 10_000

# `<!--` has no end here: the next one is looked for with `find`, whose time does not add up.
_TAG = re.compile(
    r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>|<!--|<[!?/][^<>]*>|<(?:[a-zA-Z!/?][^<>]*)?\Z"
)
_ATTRIBUTE = re.compile(
    r"""(?<![\w-])([a-zA-Z-]{1,20})\s{0,5}=\s{0,5}(?:"([^"]*)"|'([^']*)'|([^\s"'=`]+))"""
)
_WRITTEN = re.compile(r'<(/?)([a-z0-9]+)((?: [a-z-]+="[^"]*")*)>|([^<]+)')
_WRITTEN_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')
_SELF_CLOSING = re.compile(r"/\s*\Z")


@dataclass(slots=True)
class Element:
    """An element of a page: its name, its known attributes, texts and elements in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def elements(self) -> list[Element]:
        """The elements directly in it."""
        return [child for child in self.children if not isinstance(child, str)]


@dataclass(frozen=True, slots=True)
class Markup:
    """A tree of HTML: `body` and what the source said about its end.

    `cut_off`: its end is missing. `open_end`: the last element was not complete. A comment of
    the source is an element `COMMENT` with its text.
    """

    body: Element
    cut_off: bool
    open_end: bool


def read_html(source: str) -> Markup:
    """The tree of a source, in time that grows with its length.

    Raises:
        ParseError: nested deeper than 64, or longer than four million characters.
        InputError: the package selectolax is missing.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise InputError(
            "HTML is read with the package selectolax, which is not installed.",
            "pip install selectolax, or ask for Markdown.",
        ) from None
    if len(source) > MAX_CHARACTERS:
        raise ParseError(
            f"The HTML has {len(source)} characters, more than any model writes.",
            "Ask about fewer pages.",
        )
    writer = _Rewriter()
    writer.read(source)
    tree = LexborHTMLParser("<body>" + "".join(writer.out))
    written = tree.body.html if tree.body else ""
    return Markup(_tree(written or ""), writer.cut_off, writer.open_end)


def _tree(written: str) -> Element:
    """The elements of what lexbor wrote: every tag closed, every attribute in double quotes.

    Going through its text once is five times as fast as asking it for every node.
    """
    root = Element("body")
    parents = [root]
    for closes, tag, attributes, text in _WRITTEN.findall(written):
        if text:
            parents[-1].children.append(unescape(text) if "&" in text else text)
        elif tag == "body":
            continue
        elif closes:
            parents.pop()
        else:
            known = _WRITTEN_ATTRIBUTE.findall(attributes) if attributes else ()
            element = Element(tag, {name: unescape(value) for name, value in known})
            if tag == "hr" and element.attributes.get("class") == COMMENT:
                element = Element(COMMENT, {}, [element.attributes.get("alt", "")])
            parents[-1].children.append(element)
            if tag not in EMPTY:
                parents.append(element)
    return root


class _Rewriter:
    """Writes the tags of a source anew and counts what is open."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.cut_off = False
        self._open: dict[str, int] = {}
        self._leaf = ""
        self._inline: list[str] = []
        self._silent = ""

    @property
    def open_end(self) -> bool:
        """Whether the source ended inside an element of its page."""
        outer = ("html", "body")
        return bool(self._leaf) or any(n for name, n in self._open.items() if name not in outer)

    def read(self, source: str) -> None:
        position, inside_tag, tags = 0, False, 0
        while match := _TAG.search(source, position):
            self._text(source[position : match.start()])
            position = match.end()
            name = (match[2] or "").lower()
            tags += 1
            if tags > MAX_TAGS:
                raise ParseError(
                    f"The HTML has more than {MAX_TAGS} tags.",
                    "No page has so many; ask again, or about fewer pages.",
                )
            if match[0] == "<!--":
                end = source.find("-->", position)
                if end < 0:
                    inside_tag, position = True, len(source)
                    break
                self._comment(source[position:end])
                position = end + 3
            elif name:
                self._tag(name, bool(match[1]), match[3])
            elif position == len(source) and not match[0].endswith(">"):
                inside_tag = True
            else:
                self._text(match[0] if match[0][1:2] not in "!?/" else "")
        self._text(source[position:])
        self.cut_off = inside_tag or self.open_end or any(self._open.values())

    def _text(self, text: str) -> None:
        if text and not self._silent:
            # Character references stay: lexbor reads them. A bare bracket is one of the text.
            self.out.append(text.replace("<", "&lt;").replace(">", "&gt;"))

    def _comment(self, text: str) -> None:
        if not self._silent:
            self.out.append(f'<hr class="{COMMENT}" alt="{escape(text.strip())}">')

    def _tag(self, name: str, closes: bool, rest: str) -> None:
        if self._silent:
            self._silent = "" if closes and name == self._silent else self._silent
        elif name in SILENT:
            if not closes and not _SELF_CLOSING.search(rest):
                self._silent = name
        elif name in EMPTY:
            self.out.append(f"<{name}{_attributes(rest)}>")
        elif name in INLINE:
            self._inline_tag(name, closes, rest)
        elif name in BLOCKS or name in LEAVES:
            self._block_tag(name, closes, rest)

    def _inline_tag(self, name: str, closes: bool, rest: str) -> None:
        if not closes:
            if len(self._inline) < MAX_DEPTH:
                self._inline.append(name)
                self.out.append(f"<{name}{_attributes(rest) if name == 'span' else ''}>")
        elif name in self._inline:
            while self._inline:
                last = self._inline.pop()
                self.out.append(f"</{last}>")
                if last == name:
                    break

    def _block_tag(self, name: str, closes: bool, rest: str) -> None:
        # Open inline elements would be begun anew in every block that follows.
        self.out.extend(f"</{last}>" for last in reversed(self._inline))
        self._inline.clear()
        if name in LEAVES:
            self._leaf = "" if closes else name
        elif closes:
            if not self._open.get(name):
                return
            self._open[name] -= 1
            self._leaf = ""
        else:
            self._open[name] = self._open.get(name, 0) + 1
            if sum(self._open.values()) > MAX_DEPTH:
                raise ParseError(
                    f"The HTML is nested more than {MAX_DEPTH} elements deep.",
                    "It is no page; ask again or lower the temperature.",
                )
        if name not in ("html", "body"):
            self.out.append(f"</{name}>" if closes else f"<{name}{_attributes(rest)}>")


def _attributes(rest: str) -> str:
    """The known attributes of a tag, each once and quoted."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(rest[:MAX_ATTRIBUTES_TEXT]):
        name = match[1].lower()
        if name in ATTRIBUTES and name not in found:
            value = next(part for part in match.groups()[1:] if part is not None)
            found[name] = unescape(value)
    return "".join(f' {name}="{escape(value)}"' for name, value in found.items())
