"""Nodes that give the pack's own example files; a user's files come through core's loaders."""
