"""Weights that stay packed: their layouts, and the layers that hold them."""
