"""Nodes that read: printed text, documents and their files, forms, and pictures of code."""
