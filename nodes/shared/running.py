"""Runs requests for a node: progress on its bar, interrupts, errors that name the picture."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.host.port import host
from ...utils.chat.requests import CUT_OFF, Outcome, Progress, Reply, Request
from ...utils.errors import GenerationError, Qwen3VLError
from .streaming import Show, TextStream, Title

# Notes of one answer that a report shows; the others are counted.
NOTES_SHOWN = 5


def node_id_of(node: type[io.ComfyNode]) -> str | None:
    """The running node's id in its workflow; None on a host that runs nodes without one."""
    return node.hidden.unique_id if node.hidden else None


def run(
    model: Model,
    requests: Iterable[Request],
    total: int,
    node_id: str | None,
    show: Show | None = None,
    title: Title | None = None,
    keep: bool = False,
) -> Generator[tuple[int, Outcome], None, None]:
    """Outcomes as they finish, with the node's bar and the growing text over `total` requests.

    `show` and `title` are as in `TextStream`. With `keep`, an interrupt ends the run but is not
    raised: the replies come as far as they are written.
    """
    stream = TextStream(total, node_id, show, title)
    last: Progress | None = None

    def on_progress(progress: Progress) -> None:
        nonlocal last
        last = progress
        host().check_interrupt()
        stream.take(progress)

    with model.open() as engine:
        try:
            for index, outcome in engine.generate(requests, on_progress):
                if isinstance(outcome, Reply):
                    stream.finish(index, outcome)
                yield index, outcome
        except host().interrupts():
            kept = last.unfinished() if last is not None and keep else None
            if kept is None:
                raise
        else:
            return
        yield from kept.items()  # pyright: ignore[reportGeneralTypeIssues] - it takes `kept` for None


def answer_all(
    model: Model,
    requests: Sequence[Request],
    node_id: str | None,
    keep: bool = False,
    names: Sequence[str] = (),
) -> list[Reply]:
    """Every reply, in the order of the requests; `keep` as in `run`, and a request that was not
    begun has an empty one then. `names` says what each request is about, where it is not simply
    the next picture.

    Raises:
        GenerationError: the first request that could not be answered, by its number.
    """
    replies: dict[int, Reply] = {}
    # Closed at once: an exception keeps its frame, and with it a half-read run and its model.
    with closing(run(model, requests, len(requests), node_id, keep=keep)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Qwen3VLError):
                if len(requests) == 1:
                    raise outcome
                what = names[index] if names else f"Picture {index + 1} of {len(requests)}"
                problem = f"{what}: {outcome.problem}"
                raise GenerationError(problem, outcome.remedy) from outcome
            replies[index] = outcome
    return [replies.get(index, NOT_BEGUN) for index in range(len(requests))]


def report(replies: Sequence[Reply], notes: Sequence[str] = (), names: Sequence[str] = ()) -> str:
    """How the replies went, a line each: tokens, time, whether they were cut off, its note."""
    called = names or [str(number) for number in range(1, len(replies) + 1)]
    lines = [_report_line(name, reply) for name, reply in zip(called, replies, strict=True)]
    for number, note in enumerate(notes):
        lines[number] += f"; {note}" if note else ""
    return "\n".join(lines)


def _report_line(name: str, reply: Reply) -> str:
    parts = [f"prompt {reply.prompt_tokens}"]
    if reply.first_token_seconds > 0:  # an answer that comes whole from a server has no first one
        first = f"first after {reply.first_token_seconds:.2f} s"
        parts = [f"{reply.tokens_per_second:.0f} tokens/s", first, *parts]
    line = f"{name}: {reply.tokens} tokens in {reply.seconds:.2f} s ({', '.join(parts)})"
    closed = "; thinking closed at its budget" if reply.thinking_closed else ""
    cut_off = filter(None, [CUT_OFF.get(reply.stopped_by)])
    return "; ".join([line + closed, *cut_off, *reply.notes])


NOT_BEGUN = Reply("", "", "interrupt", 0, 0, 0.0, 0.0)


def answer_output(replies: list[Reply]) -> io.NodeOutput:
    """Texts and thinking as lists, how it went as one text; the texts also for the browser."""
    texts = [reply.text for reply in replies]
    how = report(replies)
    ui = {"text": texts, "report": [how]}
    return io.NodeOutput(texts, [reply.thinking for reply in replies], how, ui=ui)


def notes_of(notes: Sequence[str]) -> list[str]:
    """Notes as lines of a report, the first few of them."""
    lines = [f"   {note}" for note in notes[:NOTES_SHOWN]]
    more = len(notes) - NOTES_SHOWN
    return [*lines, f"   and {more} more notes"] if more > 0 else lines
