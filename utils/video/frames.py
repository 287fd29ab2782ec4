"""Reads the frames of a film that are on screen at wanted seconds, and as few others as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from .ffmpeg import damaged, pyav
from .film import Film
from .frame_pixels import Target, rgb_frame

# A seek costs about as much as decoding so many seconds; used where a file has no index.
_SEEK_SECONDS = 4.0
# A decoder with several threads has begun so many frames already, which a seek throws away.
_AHEAD_FRAMES = 12
# After a seek a decoder may begin later than asked for; then it is tried from further back.
_STEPS_BACK = (0.0, 2.0, 12.0, 1e9)
# A damaged film may fail at every packet: after so many in a row nothing more is expected.
_MAX_FAULTS = 200
# A length that is rounded up, or that of the sound, may ask for so many frames too many.
_LAST_FRAMES = 1.5


@dataclass(slots=True)
class Decoding:
    """What reading a film has cost and met: frames decoded, seeks, and packets that failed."""

    decoded: int = 0
    seeks: int = 0
    faults: int = 0
    # Up to here frames could be read, in seconds of the film.
    reached: float = 0.0


@dataclass(slots=True, eq=False)
class Frame:
    """One frame as it is on screen: `seconds` of the film, `pixels` uint8 [height, width, 3]."""

    seconds: float
    pixels: Any


@dataclass(slots=True)
class FrameReader:
    """Gives the frames at rising seconds of one open film.

    Args:
        film: open for as long as the reader is used.
        fit: from the upright (width, height) to the one that is wanted.
        slack: a key frame so many seconds off will do too; it is decoded alone, and its own
            second is given. 0: the frame on screen at the very second.
    """

    film: Film
    fit: Callable[[int, int], tuple[int, int]]
    slack: float = 0.0
    cost: Decoding = field(default_factory=Decoding)
    _frames: Iterator[Any] | None = None
    _now: Any = None  # the decoded frame on screen, or None before the first
    _next: Any = None  # the one after it
    _target: Target | None = None

    def read(self, moments: Sequence[float]) -> Iterator[Frame]:
        """A frame for each of the rising `moments` that the film reaches.

        The same frame may be on screen at two of them; its second is its own the first time,
        and the moment after that.

        Raises:
            InputError: not one frame can be decoded.
        """
        last = -1.0
        given = 0
        for moment in moments:
            self._go_to(moment)
            frame = self._now if self._now is not None else self._next
            if frame is None:
                break  # nothing more can be read
            own = self._seconds(frame)
            if self._next is None and self._frames is not None and moment > self._end_of(frame):
                break
            seconds = own if own > last else max(moment, last)
            last = seconds
            given += 1
            yield Frame(max(0.0, seconds), self._pixels(frame))
        if moments and not given:
            raise InputError(
                f"{self.film.name} has no frame that can be decoded.",
                "It may be damaged or in an unknown format: save it as H.264 in MP4.",
            )

    def _go_to(self, moment: float) -> None:
        """Make `_now` the frame on screen at `moment`."""
        if self._frames is None or self._is_far(moment):
            for back in _STEPS_BACK:
                self._seek(moment + self.slack - back)
                if self._next is not None and self._seconds(self._next) <= moment + self.slack:
                    break
            if self._next is not None and abs(self._seconds(self._next) - moment) <= self.slack:
                self._now, self._next = self._next, None
                self._frames = None  # the next moment seeks again
                return
        while self._next is not None and self._seconds(self._next) <= moment:
            self._now, self._next = self._next, self._decode()

    def _is_far(self, moment: float) -> bool:
        """Whether a key frame lies between where the decoder is and the moment."""
        here = self._next if self._next is not None else self._now
        if here is None:
            return True
        seconds = self._seconds(here)
        if moment <= seconds:
            return False
        key = self._key_before(moment)
        if key is None:
            return moment - seconds > _SEEK_SECONDS
        return key > seconds + _AHEAD_FRAMES / self.film.fps

    def _key_before(self, moment: float) -> float | None:
        """The last key frame at or before the moment, by the file's index; None without one."""
        stream = self.film.stream
        index = getattr(stream, "index_entries", None)
        if not index:
            return None
        raw = int((moment + self.film.first_raw) / stream.time_base)
        at = index.search_timestamp(raw, backward=True)
        if at < 0:
            return None
        return float(index[at].timestamp * stream.time_base) - self.film.first_raw

    def _seek(self, moment: float) -> None:
        self.cost.seeks += 1
        self.film.seek(moment)
        self._frames = self._all_frames()
        self._now, self._next = None, self._decode()

    def _decode(self) -> Any:
        frame = next(self._frames, None) if self._frames is not None else None
        if frame is not None:
            self.cost.reached = max(self.cost.reached, self._seconds(frame))
        return frame

    def _all_frames(self) -> Iterator[Any]:
        """Sound frames from here on; what fails to decode is counted and passed over."""
        av = pyav()
        packets = self.film.container.demux(self.film.stream)
        faults_in_a_row = 0
        while faults_in_a_row < _MAX_FAULTS:
            try:
                packet = next(packets)
                for frame in self.film.decode(packet):
                    self.film.check()
                    self.cost.decoded += 1
                    if not frame.is_corrupt and _stamp(frame) is not None:
                        faults_in_a_row = 0
                        yield frame
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError as error:
                faults_in_a_row += 1
                self.cost.faults += 1
                if isinstance(error, MemoryError):
                    raise damaged(self.film.name, error) from None

    def _seconds(self, frame: Any) -> float:
        return float(_stamp(frame) * self.film.stream.time_base) - self.film.first_raw

    def _end_of(self, frame: Any) -> float:
        """Until when the last frame is on screen."""
        lasts = float((getattr(frame, "duration", 0) or 0) * self.film.stream.time_base)
        return self._seconds(frame) + max(lasts, _LAST_FRAMES / self.film.fps)

    def _pixels(self, frame: Any) -> Any:
        if self._target is None:
            self._target = Target.of(frame, self.film.stream.sample_aspect_ratio, self.fit)
        return rgb_frame(frame, self._target)


def _stamp(frame: Any) -> int | None:
    return frame.pts if frame.pts is not None else frame.dts
