"""The parts of `caption_folder.py`, a client that captions folders through ComfyUI's queue."""

from . import pack  # noqa: F401 - first of all: the others import from the pack's rooms
