"""Requests on their way and answers on theirs: bodies, bytes, tries, time; no server by name."""
