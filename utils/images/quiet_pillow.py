"""Keeps what Pillow warns and logs about odd files off the console while one is read."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

# `warnings.catch_warnings` is not for threads: two that overlap can leave each other's filters
# behind for good. One filter that is put in and taken out again by itself cannot.
_FILTER = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_lock = threading.Lock()
_readers: dict[int, int] = {}


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drop what Pillow warns and logs while this thread is inside; other modules still speak.

    What is wrong with a file is said by the error that refuses it; a file that is read in spite
    of a warning needs no word. Any number of threads may be inside at once.
    """
    thread = threading.get_ident()
    with _lock:
        if not _readers:
            _filters().insert(0, _FILTER)
            logging.getLogger("PIL.TiffImagePlugin").addFilter(_not_from_a_reader)
        _readers[thread] = _readers.get(thread, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _readers[thread] -= 1
            if not _readers[thread]:
                del _readers[thread]
            if not _readers:
                # Somebody else's catch_warnings may have put another list in its place.
                if _FILTER in warnings.filters:
                    _filters().remove(_FILTER)
                logging.getLogger("PIL.TiffImagePlugin").removeFilter(_not_from_a_reader)


def _filters() -> list[object]:
    return cast("list[object]", warnings.filters)


def _not_from_a_reader(record: logging.LogRecord) -> bool:
    return record.thread not in _readers
