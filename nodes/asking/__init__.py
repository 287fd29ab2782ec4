"""Nodes that get words: captions and answers."""
