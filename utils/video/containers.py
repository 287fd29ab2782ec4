"""Which kind of film a file is, told by its first bytes; no other demuxer is ever opened.

A playlist named .mp4 makes FFmpeg open whatever the playlist names, so its guess is not asked.
"""

from __future__ import annotations

from ..errors import InputError

# So many first bytes tell every kind: an MPEG transport stream shows itself by its second packet.
HEAD_BYTES = 1024
# Endings of film files, for folders. What a file is, its content says.
FILM_ENDINGS = (".mp4", ".webm", ".mkv", ".mov", ".m4v", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts",
                ".mts", ".flv", ".wmv", ".ogv", ".3gp", ".gif")  # fmt: skip
_KINDS = "MP4, MOV, WebM, MKV, AVI, MPEG, FLV, WMV, OGG or GIF"
_MP4_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"wide",
    b"free",
    b"skip",
    b"pnot",
    b"uuid",
    b"sidx",
    b"styp",
)
_MAGIC = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FLV\x01", "flv"),
    (0, b"OggS", "ogg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"GIF8", "gif"),
    (0, b"YUV4MPEG2 ", "yuv4mpegpipe"),
    (0, b"DKIF", "ivf"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"\x00\x00\x01\xb3", "mpegvideo"),
)
# What is often found under a film's name, and what to say of it.
_FOREIGN = (
    (b"#EXTM3U", "a playlist (m3u8)"),
    (b"ffconcat", "a list of films for ffmpeg"),
    (b"<MPD", "a streaming manifest"),
    (b"version https://git-lfs", "a Git-LFS pointer, not the file itself"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "XML text"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
)


def container_of(head: bytes, name: str) -> str:
    """The name of FFmpeg's demuxer for a file that begins with `head`.

    Raises:
        InputError: naming the file, and what it is where that can be told.
    """
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    for at, magic, demuxer in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return demuxer
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    if _is_transport_stream(head):
        return "mpegts"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    found = next(
        (what for start, what in _FOREIGN if text[: len(start)].lower() == start.lower()), ""
    )
    problem = f"{name} is {found}." if found else f"{name} is no film of a known kind."
    if not head:
        problem = f"{name} is empty."
    raise InputError(problem, f"Give a film as {_KINDS}.")


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes that each begin with 0x47; a time code of 4 bytes may be before each."""
    for size, offset in ((188, 0), (192, 4)):
        marks = head[offset::size]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return True
    return False
