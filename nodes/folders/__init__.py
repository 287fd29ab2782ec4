"""Nodes about folders of pictures and their captions."""
