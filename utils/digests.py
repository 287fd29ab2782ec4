"""Short digests: what tells one picture, text or recipe from another."""

from __future__ import annotations

import hashlib

DIGEST_BYTES = 16


def digest(data: bytes) -> bytes:
    """The first 16 bytes of a SHA-256; two different contents never share them by chance."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def digest_of(*values: str | bytes) -> bytes:
    """A digest over several values, in which no two lists of values look alike."""
    whole = hashlib.sha256()
    for value in values:
        # A name in another encoding than UTF-8, as old archives leave them, has lone surrogates.
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        whole.update(len(data).to_bytes(8, "big"))
        whole.update(data)
    return whole.digest()[:DIGEST_BYTES]
