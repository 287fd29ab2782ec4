"""Nodes about boxes and points."""
