"""Opens film files: only known containers, only regular files, and what they say of themselves."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from .containers import HEAD_BYTES, container_of
from .ffmpeg import damaged, pyav, rate_of, seconds_of, start_of

# 8192 x 8192; a decoder keeps some 20 of them.
MAX_FILM_PIXELS = 8192 * 8192
# Frames decoded at the same time each cost memory.
DECODER_THREADS = max(1, min(4, os.cpu_count() or 1))
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """An open film, or the part of one that a trim has left; its second 0 is where it begins.

    `fps` is the mean rate. `first_raw` is where second 0 lies on the file's own clock, and
    `file_seconds` how long after the file's beginning that is. `size_wh` is as coded: not
    turned upright, pixels perhaps not square.
    """

    name: str
    container: Any
    stream: Any
    fps: float
    seconds: float
    first_raw: float
    file_seconds: float
    size_wh: tuple[int, int]
    # Called every few frames; what it raises ends the reading: that is how an interrupt gets in.
    check: Callable[[], None]
    decoder: Any

    def decode(self, packet: Any) -> list[Any]:
        """The frames that this packet of the stream completes; the empty one ends the film."""
        return (
            packet.decode()
            if self.decoder is self.stream.codec_context
            else self.decoder.decode(packet)
        )

    def seek(self, second: float) -> None:
        """Go to the last key frame at or before a second; to the beginning if none is known."""
        av = pyav()
        offset = int((second + self.first_raw) / self.stream.time_base)
        try:
            self.container.seek(offset, stream=self.stream, backward=True)
        except av.error.FFmpegError:
            try:
                self.container.seek(0)
            except av.error.FFmpegError as error:
                if second > 0:
                    raise damaged(self.name, error) from None
                # Nothing has been read yet, or nothing more will come.
        self.decoder.flush_buffers()


@contextmanager
def open_film(
    source: Path | BinaryIO,
    name: str,
    trim: tuple[float, float] = (0.0, 0.0),
    check: Callable[[], None] = lambda: None,
) -> Iterator[Film]:
    """A film file, closed at the end of the `with`.

    Args:
        source: a path, or the whole file as a binary stream that can seek.
        name: what an error calls it.
        trim: seconds on the file's own clock at which the film begins, and how many it lasts; a
            length of 0 is to the end. That is what ComfyUI's trimmed VIDEO has.
        check: called every few frames while reading.

    Raises:
        InputError: no film, no video in it, or one that cannot be decoded here.
    """
    av = pyav()
    with ExitStack() as opened:
        file = opened.enter_context(_opened(source, name)) if isinstance(source, Path) else source
        file.seek(0)
        demuxer = container_of(file.read(HEAD_BYTES), name)
        file.seek(0)
        try:
            container = av.open(
                file, format=demuxer, metadata_errors="ignore", buffer_size=_READ_BYTES
            )
        except (av.error.FFmpegError, ValueError, EOFError, OSError) as error:
            raise damaged(name, error) from None
        opened.enter_context(container)
        stream = _video_stream(container, name)
        yield _described(container, stream, name, trim, check)


def _opened(path: Path, name: str) -> BinaryIO:
    """A regular file; a pipe or a device is never waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.fdopen(os.open(path, flags), "rb")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{name} cannot be opened ({reason}).", "Check that it is there and readable."
        ) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputError(f"{name} is no ordinary file.", "Put a film file in its place.")
    return file


def _video_stream(container: Any, name: str) -> Any:
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        raise InputError(f"{name} has no video in it.", "Give a film, not sound alone.")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise InputError(
            f"{name} is in a format that cannot be decoded here.", "Save it as H.264 in MP4."
        )
    width, height = context.width, context.height
    if width * height > MAX_FILM_PIXELS:
        raise InputError(
            f"{name} has frames of {width} x {height} pixels; {MAX_FILM_PIXELS} is the most.",
            "Save it smaller: the model sees less than a hundredth of that.",
        )
    # The header's word is not the stream's: the decoder itself refuses larger frames.
    _bound(context)
    return stream


def _bound(context: Any) -> None:
    context.options = {**context.options, "max_pixels": str(MAX_FILM_PIXELS)}
    context.thread_type = "AUTO"
    context.thread_count = DECODER_THREADS


def _decoder(stream: Any) -> Any:
    """The stream's own decoder; for VP8 and VP9 with alpha the one that decodes alpha."""
    names = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
    name = names.get(stream.codec_context.name)
    av = pyav()
    if not name or stream.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return stream.codec_context
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = stream.codec_context.extradata
    _bound(decoder)
    return decoder


def _is_cover(stream: Any) -> bool:
    """A picture attached to a sound file."""
    disposition = getattr(stream, "disposition", None)
    return bool(disposition is not None and disposition & type(disposition).attached_pic)


def _described(
    container: Any, stream: Any, name: str, trim: tuple[float, float], check: Callable[[], None]
) -> Film:
    start = start_of(stream)
    fps = rate_of(stream)
    end = start + seconds_of(container, stream, fps, check)
    first = max(start, trim[0]) if trim[0] > 0 else start
    if trim[1] > 0:
        end = min(end, trim[0] + trim[1])
    seconds = max(0.0, end - first)
    if seconds <= 0:
        raise InputError(
            f"{name} has no frames" + (" in its trimmed part." if any(trim) else "."),
            "Give a film with at least one frame.",
        )
    size_wh = (stream.codec_context.width, stream.codec_context.height)
    return Film(
        name,
        container,
        stream,
        fps,
        seconds,
        first,
        first - start,
        size_wh,
        check,
        _decoder(stream),
    )
