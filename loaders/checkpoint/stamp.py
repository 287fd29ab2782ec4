"""Which version of a checkpoint or an adapter lies on disk, told without reading it."""

from __future__ import annotations

import os
from pathlib import Path

# Weights, configs and indexes, chat templates, merges.txt: whatever loading reads.
_READ = (".safetensors", ".json", ".jinja", ".txt")


def stamp(place: Path) -> str:
    """Names, sizes and times of a folder's files, or of a single one; "" where there is nothing.

    Two stamps of a place differ when a file was written in between. One `stat` a file, no
    hash: it is taken again for every run.
    """
    try:
        if place.is_file():
            return repr([_facts(place.name, place.stat())])
        with os.scandir(place) as entries:
            files = [entry for entry in entries if entry.name.endswith(_READ) and entry.is_file()]
        return repr(sorted(_facts(file.name, file.stat()) for file in files))
    except OSError:  # gone, or being replaced just now: not what was there before
        return ""


def _facts(name: str, facts: os.stat_result) -> tuple[str, int, int]:
    return name, facts.st_size, facts.st_mtime_ns
