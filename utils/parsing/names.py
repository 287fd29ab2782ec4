"""The name of a thing in one language, out of the many ways in which models write several names.

Source: Qwen3-VL cookbook "omni_recognition": `name_en` and `name_zh`, or `names` with `en` and
`zh`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENGLISH, CHINESE = "en", "zh"
# What a key says of its language, lower case; the first language is the one asked for.
_SPELLED = {
    ENGLISH: ("en", "english", "eng", "\u82f1\u6587"),
    CHINESE: ("zh", "chinese", "cn", "zh_cn", "zh-cn", "\u4e2d\u6587"),
}
_HOLDERS = ("names", "name", "label", "labels", "title")


def language_of(text: str) -> str:
    """Chinese where a text has a Chinese character, English elsewhere."""
    return CHINESE if any("\u4e00" <= char <= "\u9fff" for char in text) else ENGLISH


def name_in(item: Mapping[str, Any], language: str = ENGLISH) -> str:
    """The item's name in a language, else its first name in any; empty where it has none."""
    names = _names(item)
    if not names:
        return ""
    return names.get(language) or next(iter(names.values()))


def _names(item: Mapping[str, Any]) -> dict[str, str]:
    """Language -> name, in the order written."""
    names: dict[str, str] = {}
    for key, value in item.items():
        low = key.lower()
        if low in _HOLDERS and isinstance(value, Mapping):
            for inner, name in value.items():
                _keep(names, _language(inner.lower()), name)
        elif "name" in low or "label" in low or "\u540d" in low:
            _keep(names, _language(low), value)
    return names


def _keep(names: dict[str, str], language: str | None, name: Any) -> None:
    if language and isinstance(name, str) and name.strip():
        names.setdefault(language, name.strip())


def _language(key: str) -> str | None:
    """The language that a key like "en", "name_en" or "chinese name" names."""
    words = key.replace("-", "_").replace(" ", "_").split("_")
    for language, spelled in _SPELLED.items():
        if any(word in spelled for word in (key, *words)):
            return language
    # "\u4e2d\u6587\u540d" is one word.
    return next((lang for lang, said in _SPELLED.items() if said[-1] in key), None)
