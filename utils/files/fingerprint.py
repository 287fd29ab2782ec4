"""Short digests: what tells one picture, text or recipe from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

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


def published(
    kind: str, first: Mapping[str, object], later: Mapping[str, tuple[object, object]] | None = None
) -> str:
    """Values in the form that identities are made of, which outlives the names in the code.

    Journals on users' disks hold digests of it, so `kind`, the names, their order and the form
    itself never change: another text would make every caption anew.

    Args:
        kind: what the values are of, by the name it was published under.
        first: the values of the first version, in its order; text, numbers and tuples of them,
            which are written as Python writes them.
        later: value and default of what further versions added, in their order. It is left
            out at its default, so that what an older version could say keeps its text.
    """
    added = {name: value for name, (value, default) in (later or {}).items() if value != default}
    said = ", ".join(f"{name}={value!r}" for name, value in {**first, **added}.items())
    return f"{kind}({said})"
