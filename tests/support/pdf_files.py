"""PDFs for tests: of pictures, turned, and encrypted with a password."""

import hashlib
import io
import struct
from collections.abc import Sequence

from PIL import Image

# Algorithm 2 of the PDF reference fills passwords up with these.
_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def picture_pdf(pictures: Sequence[Image.Image], dpi: int = 72) -> bytes:
    """A PDF with one page for each picture, as large as `dpi` says."""
    out = io.BytesIO()
    first, *rest = pictures
    first.save(out, "PDF", save_all=True, append_images=rest, resolution=dpi, quality=95)
    return out.getvalue()


def turned(data: bytes, degrees: int) -> bytes:
    """The PDF with every page marked to be turned clockwise."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    for page in document:
        page.set_rotation(degrees)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def encrypted(password: str) -> bytes:
    """A PDF of one page with a red rectangle that opens with this password only (RC4, 40 bits)."""
    identity, permissions = b"0123456789abcdef", -4
    padded = (password.encode("latin-1") + _PAD)[:32]
    owner = _rc4(hashlib.md5(padded, usedforsecurity=False).digest()[:5], padded)
    seed = padded + owner + struct.pack("<i", permissions) + identity
    key = hashlib.md5(seed, usedforsecurity=False).digest()[:5]
    user = _rc4(key, _PAD)
    of_stream = key + (4).to_bytes(3, "little") + b"\0\0"
    stream_key = hashlib.md5(of_stream, usedforsecurity=False).digest()[:10]
    stream = _rc4(stream_key, b"1 0 0 rg 10 10 80 80 re f")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R/Resources<<>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(stream), stream),
        b"<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P %d>>"
        % (owner.hex().encode(), user.hex().encode(), permissions),
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    ident = b"<" + identity.hex().encode() + b">"
    return out + (
        b"xref\n0 6\n0000000000 65535 f \n%btrailer\n"
        b"<</Size 6/Root 1 0 R/Encrypt 5 0 R/ID[%b%b]>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (table, ident, ident, len(out))
    )


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
