"""Puts boxes, labels and sheets onto pictures. Decides nothing."""
