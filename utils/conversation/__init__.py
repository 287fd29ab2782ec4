"""A conversation: its turns, what is forgotten, how it is saved. Knows no file and no model."""
