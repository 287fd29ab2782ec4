"""The parts of `caption_folder.py`, a client that captions folders through ComfyUI's queue."""
