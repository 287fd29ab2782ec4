"""Nodes that choose, change or free a model."""
