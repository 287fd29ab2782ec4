"""Values that were read off pictures, as CSV and as lines of JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any


def to_csv(values: Sequence[Any], names: str = "") -> str:
    """A row for each picture, or for each item where a picture gives a list; nested values as
    JSON. With names, the first column is `file`.
    """
    files = names.split("\n") if names else []
    rows = []
    for number, value in enumerate(values):
        for item in value if isinstance(value, list) else [value]:
            row = item if isinstance(item, dict) else {"value": item}
            first = {"file": files[number] if number < len(files) else ""} if files else {}
            rows.append(first | {str(key): as_word(part) for key, part in row.items()})
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_jsonl(rows: Sequence[tuple[bool, Any]], names: str = "") -> str:
    """A line for each picture: whether its value is valid, and the value."""
    files = names.split("\n") if names else []
    lines = []
    for number, (valid, value) in enumerate(rows):
        first = {"file": files[number]} if number < len(files) else {}
        line = first | {"valid": valid, "value": value}
        lines.append(json.dumps(line, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def as_word(value: Any) -> str:
    """A value as one text: JSON where it is more."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
