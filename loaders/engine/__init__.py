"""Turns requests into replies on a local model; importable without ComfyUI."""
