"""What an answer has to be (words, length, language, form), and what is wrong with one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import InputError

Language = Literal["", "en", "zh"]
LANGUAGES: dict[Language, str] = {"": "any language", "en": "English", "zh": "Chinese"}

_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
# Scripts without spaces between words: kana, Thai, Hangul's neighbours included.
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_FENCED = re.compile(r"\A```[\w+-]*\s*\n(.*?)\n?```\Z", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』"}
_PARAGRAPHS = re.compile(r"\n\s*\n")
# An English answer may name a Chinese sign, a Chinese one an English brand.
_MOST_FOREIGN = 0.25
MAX_WORDS = 200


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """What an answer must be; every field may be left out.

    `must` and `must_not` are words or phrases; upper and lower case are the same. Lengths count
    words, in Chinese characters; 0 is no bound. `paragraphs` 1 allows no blank line; `begins` is
    how it must start, `sections` are words that must head a part, in this order. `json_only`
    wants one JSON value and nothing around it, `json_schema` one that fits this schema.
    """

    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    min_words: int = 0
    max_words: int = 0
    language: Language = ""
    paragraphs: int = 0
    begins: str = ""
    sections: tuple[str, ...] = ()
    json_only: bool = False
    json_schema: str = ""

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise InputError(
                f"{self.language!r} is no language here.", "Use en, zh, or leave it out."
            )
        if self.max_words and self.min_words > self.max_words:
            raise InputError(
                f"An answer of {self.min_words} words at least cannot have {self.max_words} "
                "at most.",
                "Lower the first or raise the second.",
            )
        both = {w.casefold() for w in self.must} & {w.casefold() for w in self.must_not}
        if both:
            raise InputError(
                f"{', '.join(sorted(both))} must occur and must not occur.",
                "Take it out of one of the two.",
            )

    def __bool__(self) -> bool:
        return self != AnswerRules()

    def problems(self, answer: str) -> tuple[str, ...]:
        """What is wrong with an answer, a sentence each; empty when nothing is."""
        found = [f"It must contain: {word}." for word in self.must if not says(answer, word)]
        found += [f"It must not contain: {w}." for w in self.must_not if says(answer, w)]
        found += self._length(answer)
        if self.language and not is_in(answer, self.language):
            found.append(f"It must be in {LANGUAGES[self.language]}.")
        if self.paragraphs and len(_PARAGRAPHS.split(answer.strip())) > self.paragraphs:
            number = "one paragraph" if self.paragraphs == 1 else f"{self.paragraphs} paragraphs"
            found.append(f"It must be {number}, without headings or lists.")
        if self.begins and not answer.lstrip().casefold().startswith(self.begins.casefold()):
            found.append(f"It must begin with: {self.begins}")
        found += self._sections(answer)
        if self.json_only and not is_json(answer):
            found.append("It must be one valid JSON value and nothing else.")
        elif self.json_schema and (misfit := schema_misfit(answer, self.json_schema)):
            found.append(f"The JSON must fit the schema, but {misfit}.")
        return tuple(found)

    def _length(self, answer: str) -> list[str]:
        count = length(answer, self.language)
        unit = "characters" if self.language == "zh" else "words"
        if self.max_words and count > self.max_words:
            return [f"It must have at most {self.max_words} {unit}, and has {count}."]
        if count < self.min_words:
            return [f"It must have at least {self.min_words} {unit}, and has {count}."]
        return []

    def _sections(self, answer: str) -> list[str]:
        at = 0
        for name in self.sections:
            place = answer.casefold().find(name.casefold(), at)
            if place < 0:
                order = ", ".join(self.sections)
                return [f"It must have these parts in this order: {order}."]
            at = place + len(name)
        return []

    def and_words(self, must: tuple[str, ...], must_not: tuple[str, ...]) -> AnswerRules:
        """These rules with more words."""
        return replace(self, must=(*self.must, *must), must_not=(*self.must_not, *must_not))

    def and_json(self, json_schema: str | None) -> AnswerRules:
        """These rules, with JSON as the options want it; None wants none, "{}" any.

        Raises:
            InputError: no JSON schema.
        """
        if json_schema is None:
            return self
        check_schema(json_schema)
        schema = "" if json_schema.strip() in ("", "{}") else json_schema
        return replace(self, json_only=True, json_schema=schema)


def ask_again(problems: tuple[str, ...]) -> str:
    """What to say to a model whose answer had these problems."""
    return "Write the whole answer again. " + " ".join(problems) + " Only the answer."


def words_in(lines: str) -> tuple[str, ...]:
    """Words and phrases of a text field, one a line or between commas; each once.

    Raises:
        InputError: more than can be meant.
    """
    words = [part.strip() for part in re.split(r"[,，\n]", lines)]
    found = tuple(dict.fromkeys(word for word in words if word))
    if len(found) > MAX_WORDS:
        raise InputError(
            f"{len(found)} words are asked of one answer.", f"Give at most {MAX_WORDS}."
        )
    return found


def says(text: str, words: str) -> bool:
    """Whether a text has these words as words: "masks" does not say "sks".

    Where a script puts no spaces between words, any place counts.
    """
    wanted, given = words.casefold(), text.casefold()
    if not wanted.strip():
        return True
    before = r"(?<!\w)" if not _UNSPACED.match(wanted[0]) else ""
    after = r"(?!\w)" if not _UNSPACED.match(wanted[-1]) else ""
    spaced = r"\s+".join(re.escape(part) for part in wanted.split())
    return re.search(f"{before}{spaced}{after}", given) is not None


def length(text: str, language: Language = "") -> int:
    """Words of a text; of Chinese its characters, with each foreign word as one."""
    if language == "zh" or (not language and is_in(text, "zh")):
        return len(_CJK.findall(text)) + len(_WORD.findall(_CJK.sub(" ", text)))
    return len(_WORD.findall(text))


def is_in(text: str, language: Language) -> bool:
    """Whether most of a text is in this language, as far as its letters tell."""
    chinese = len(_CJK.findall(text))
    latin_words = len(_WORD.findall(_CJK.sub(" ", text)))
    total = chinese + latin_words
    if not total:
        return True
    if language == "zh":
        return latin_words <= total * _MOST_FOREIGN * 2
    return chinese <= total * _MOST_FOREIGN


def is_json(text: str) -> bool:
    """Whether a text is one JSON value and nothing else."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def bare(answer: str) -> str:
    """An answer without what models put around one: a code fence, or quotes around all of it."""
    text = answer.strip()
    if fenced := _FENCED.match(text):
        text = fenced[1].strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[-1] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def check_schema(json_schema: str) -> None:
    """Refuse what is no JSON schema.

    Raises:
        InputError: with what is wrong.
    """
    if not json_schema.strip():
        return
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = json.loads(json_schema)
        if not isinstance(schema, dict):
            raise InputError("The JSON schema is no object.", 'Write it as {"type": "object", …}.')
        validator_for(schema).check_schema(schema)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The JSON schema is no JSON ({str(error)[:120]}).", "Put it right, or leave it empty."
        ) from None
    except SchemaError as error:
        raise InputError(
            f"The JSON schema cannot be used: {error.message[:200]}.", "Put it right."
        ) from None


def schema_misfit(answer: str, json_schema: str) -> str:
    """Why a JSON text does not fit a schema; empty when it does. Nothing is fetched for it."""
    from jsonschema import ValidationError
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    schema = json.loads(json_schema)
    try:
        # The empty registry knows no address, so that no reference is fetched.
        validator_for(schema)(schema, registry=Registry()).validate(json.loads(answer))
    except Unresolvable as error:
        raise InputError(
            f"The JSON schema refers to {str(error)[:80]}, which is not in it.",
            "Write the whole schema into the field.",
        ) from None
    except ValidationError as error:
        place = "".join(f"[{step!r}]" for step in error.absolute_path)
        return f"{place or 'it'}: {error.message[:200]}"
    return ""
