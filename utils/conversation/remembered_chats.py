"""Chats that a node remembers between runs of the queue, as long as the process lives."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

from .transcript import Chat

log = logging.getLogger(__name__)

# Each may hold pictures; a workflow rarely has more than a few.
MOST_CHATS = 32


class RememberedChats:
    """Chats by name, the one unused for longest first; safe to use from several threads."""

    def __init__(self, most: int = MOST_CHATS):
        self._most = most
        self._chats: OrderedDict[str, Chat] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Chat:
        """The chat of this name; an empty one if there is none."""
        with self._lock:
            if name in self._chats:
                self._chats.move_to_end(name)
            return self._chats.get(name, Chat())

    def put(self, name: str, chat: Chat) -> None:
        """Remember it, and forget the one unused for longest when there are too many."""
        with self._lock:
            self._chats[name] = chat
            self._chats.move_to_end(name)
            while len(self._chats) > self._most:
                old, gone = self._chats.popitem(last=False)
                log.warning("The chat %r of %d turns is forgotten.", old, len(gone.turns))
