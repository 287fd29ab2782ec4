"""Nodes that look at films: words about them, events, and things over time."""
