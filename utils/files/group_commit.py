"""A thread that commits what is handed to it, all that has gathered meanwhile in one go.

Waiting for a disk to sync is what writing small files costs. The more there is to write, the
more of it shares one wait, and whoever hands it over waits for none of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """Hands lists of items to `commit` in a thread of its own, in their order.

    Args:
        commit: called with one to `limit` items; what it raises ends the thread and is raised
            by the next `put` or by `close`.
        limit: so many items may wait; then `put` blocks.
    """

    def __init__(self, commit: Callable[[list[Item]], None], limit: int = 128):
        self._commit, self._limit = commit, limit
        self._waiting: queue.Queue[Item | None] = queue.Queue(limit)
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="qwen3vl-commit", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over one item."""
        self._waiting.put(item)
        self._raise_problem()

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join()
        self._raise_problem()

    def _raise_problem(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _work(self) -> None:
        more = True
        while more:
            gathered = [self._waiting.get()]
            while gathered[-1] is not None and len(gathered) < self._limit:
                try:
                    gathered.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            more = gathered[-1] is not None
            self._commit_unless_broken([item for item in gathered if item is not None])

    def _commit_unless_broken(self, items: list[Item]) -> None:
        # After a problem the queue is still emptied: nobody may wait for a place in it for ever.
        if not items or self._problem is not None:
            return
        try:
            self._commit(items)
        except BaseException as error:  # handed to whoever puts the next item
            self._problem = error
