"""Texts as such: JSON in prose, thinking, repetition, order. Knows no picture."""
