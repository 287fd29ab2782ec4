"""What the film nodes share: the widgets that choose frames, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from comfy_api.latest import io

from ...utils.errors import InputError
from ...utils.video.frame_budget import FrameBudget
from ...utils.video.moments import MOST_FRAMES, USUAL_RATE, By, FrameChoice, around

# Stored in workflows: append only.
SAMPLINGS: dict[str, By] = {
    "frames per second": "rate",
    "number of frames": "count",
    "every n-th frame": "every",
    "scene changes": "scenes",
}
OWN_TIMES, SOURCE_TIMES = "of this film", "of the file it was cut from"
MOST_SECONDS = 1_000_000.0
MOST_TOKENS = 262_144
# A question about one moment looks so far around it; more of a long film says little of it.
MOMENT_REACH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """Which frames of a film, how large, and on which clock."""

    choice: FrameChoice
    budget: FrameBudget
    source_times: bool

    @classmethod
    def of(
        cls,
        sampling: str,
        fps: float,
        frame_count: int,
        every_nth: int,
        start: float,
        end: float,
        max_frames: int,
        frame_tokens: int,
        film_tokens: int,
        times: str,
    ) -> FilmSettings:
        """Out of the widgets.

        Raises:
            InputError: an unknown sampling, or an impossible part of the film.
        """
        if sampling not in SAMPLINGS:
            raise InputError(f"There is no sampling {sampling!r}.", "Choose one from the menu.")
        choice = FrameChoice(
            SAMPLINGS[sampling], fps, frame_count, every_nth, start, end or None, max_frames
        )
        return cls(choice, FrameBudget(frame_tokens, film_tokens), times == SOURCE_TIMES)

    def choice_for(self, film_seconds: float, moment: float | None) -> FrameChoice:
        """The choice for a film of this length; near the moment, where one is asked about.

        Raises:
            InputError: the moment is outside the film, or outside the chosen part.
        """
        if moment is None:
            return self.choice
        near, far = around(moment, film_seconds, MOMENT_REACH_SECONDS)
        start, end = self.choice.window(film_seconds)
        if not start <= moment <= end:
            raise InputError(
                f"Second {moment:g} is outside the part from {start:g} s to {end:g} s.",
                "Choose a moment of the part, or leave start and end at 0.",
            )
        return replace(self.choice, start=max(start, near), end=min(end, far))


def film_inputs() -> list[io.Input]:
    """The sockets and widgets that say what is looked at, in the order of the form."""
    return [
        io.Video.Input(
            "video", optional=True, tooltip="From Load Video, trimmed or not. Or connect images."
        ),
        io.Image.Input(
            "images", optional=True, tooltip="The frames of a film, in place of a video."
        ),
        io.Float.Input(
            "images_fps", default=24.0, min=0.01, max=1000.0, step=0.01,
            tooltip="How many of the images make a second. A video knows its own rate.",
        ),
        io.Combo.Input(
            "sampling", options=list(SAMPLINGS), default="frames per second",
            tooltip="Which frames the model sees. It was trained with 2 frames a second.",
        ),
        io.Float.Input(
            "fps", default=USUAL_RATE, min=0.01, max=60.0, step=0.01,
            tooltip="With sampling: frames per second. An even number of at least 4 frames.",
        ),
        io.Int.Input(
            "frame_count", default=64, min=1, max=4096,
            tooltip="With sampling: number of frames, evenly from first to last.",
        ),
        io.Int.Input(
            "every_nth", default=10, min=1, max=1_000_000,
            tooltip="With sampling: every n-th frame. The whole file is read for it.",
        ),
        io.Float.Input(
            "start", default=0.0, min=0.0, max=MOST_SECONDS, step=0.01,
            tooltip="Second at which the part begins that is looked at.",
        ),
        io.Float.Input(
            "end", default=0.0, min=0.0, max=MOST_SECONDS, step=0.01,
            tooltip="Second at which it ends. 0: at the end of the film.",
        ),
        *size_inputs(),
    ]  # fmt: skip


def size_inputs() -> list[io.Input]:
    """How many and how large frames may be, for those who want to say."""
    return [
        io.Int.Input(
            "max_frames", default=MOST_FRAMES, min=1, max=4096, advanced=True,
            tooltip="More frames than this are spread evenly over the same time. In a long film "
            "a key frame nearby is taken, with its own time.",
        ),
        io.Int.Input(
            "frame_tokens", default=0, min=0, max=16_384, advanced=True,
            tooltip="The most visual tokens of a frame, 32 x 32 pixels each. 0: 768, and fewer "
            "the more frames there are.",
        ),
        io.Int.Input(
            "film_tokens", default=0, min=0, max=MOST_TOKENS, advanced=True,
            tooltip="The most visual tokens of the whole film in the prompt; two frames share "
            "theirs. 0: 12288, or what the model allows.",
        ),
        io.Combo.Input(
            "times", options=[OWN_TIMES, SOURCE_TIMES], default=OWN_TIMES, advanced=True,
            tooltip="For a trimmed video: whether seconds count from its own beginning or from "
            "that of the file it was cut from.",
        ),
    ]  # fmt: skip


def frames_told(seconds: Sequence[float]) -> str:
    """How many frames, from when to when."""
    if len(seconds) == 1:
        return f"1 frame at {seconds[0]:.2f} s"
    return f"{len(seconds)} frames from {seconds[0]:.2f} to {seconds[-1]:.2f} s"
