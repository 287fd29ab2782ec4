"""Boxes, points and 3D boxes as values, and what sockets carry. Reads no answer, draws nothing."""
