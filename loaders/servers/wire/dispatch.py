"""Keeps requests in flight: which is sent when and where, and what becomes of a failed try.

Everything here runs in one event loop; `Exchange` is the door to it from other threads.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace

from ....utils.chat.requests import Reply, Request
from ....utils.errors import Qwen3VLError
from .answers import Writing
from .bodies import BrokenAnswerError
from .origins import Origin, Origins
from .payload import Terms, encode
from .sending import Rules, Sending, Waiting, late
from .transport import Connection, FailedTryError, within
from .verdicts import Trouble, broken

# Tries of what another try may help, other than waiting: a cut line, a 500, an answer that is none.
TRIES = 4
THOUGHT = "it thought all the same: its template has no switch"
# So many answers are streamed at a time, for the node's text; the others come whole, which costs
# both sides less.
STREAMS = 8
# Pictures are made ready while others are on their way, as a png in 0.1 s of a core.
ENCODED_AHEAD, ENCODERS = 4, max(2, min(8, os.cpu_count() or 2))
# Pictures as they came and bodies, of all requests that are open.
OPEN_BYTES = 1 << 30


class Dispatch:
    """The requests of one run.

    `done` is called in the loop with each outcome, `fault` with what must not happen.
    """

    def __init__(
        self,
        terms: Terms,
        rules: Rules,
        origins: Origins,
        encoders: Executor,
        done: Callable[[int, Reply | Qwen3VLError], None],
        fault: Callable[[BaseException], None],
    ):
        self._terms, self._rules, self._origins = terms, rules, origins
        self._done, self._fault = done, fault
        self._encoders = encoders
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting(rules, origins)
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: dict[Origin, list[Connection]] = {origin: [] for origin in origins.all}
        self._tls = origins.tls()
        self._timer: asyncio.TimerHandle | None = None
        self._open: dict[Sending, None] = {}
        self._streams = 0
        self.open_bytes = 0

    @property
    def wants_more(self) -> bool:
        """Whether another request may be read; the first one always may."""
        if not self._open:
            return True
        most = self._origins.in_flight_limit()
        return len(self._open) < most + ENCODED_AHEAD + most // 8 and self.open_bytes < OPEN_BYTES

    @property
    def shown(self) -> tuple[int | None, str]:
        """The oldest request whose answer comes in pieces, and what is written of it."""
        streams = ((item.index, item.writing.text) for item in self._open if item.stream)
        return next(streams, (None, ""))

    def unfinished(self) -> dict[int, Reply]:
        """The answers as far as they are written, by request."""
        return {item.index: item.writing.interrupted() for item in self._open}

    @property
    def tokens(self) -> int:
        """Tokens of the answers that are being written."""
        return sum(item.writing.written for item in self._open if item.stream)

    def add(self, index: int, request: Request) -> None:
        """Take a request; its time begins now."""
        stream = self._streams < STREAMS
        self._streams += stream
        pixels = [getattr(p, "pixels", getattr(p, "frames", None)) for m in request.messages
                  for p in m.parts]  # fmt: skip
        size = sum(array.nbytes for array in pixels if array is not None)
        deadline = self._loop.time() + self._rules.timeout_s
        item = Sending(index, request, stream, size, deadline)
        self._open[item] = None
        self.open_bytes += size
        self._start(self._encode(item))

    async def close(self) -> None:
        """Stop everything; each request that is on its way is closed."""
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connections in self._idle.values():
            for connection in connections:
                await connection.close()

    def _start(self, work: object) -> None:
        task = self._loop.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fault(error)

    async def _encode(self, item: Sending) -> None:
        try:
            payload = await self._loop.run_in_executor(
                self._encoders, encode, item.request, self._terms, item.stream
            )
        except Qwen3VLError as error:
            self._finish(item, error)
            return
        item.payload = payload
        item.size_bytes += len(payload.body)
        self.open_bytes += len(payload.body)
        self._waiting.add(item)
        self._pump()

    def _pump(self) -> None:
        """Send what can be sent now; come back when more can."""
        now = self._loop.time()
        for item, error in self._waiting.in_vain(now):
            self._finish(item, error)
        for item, origin in self._waiting.ready(now):
            origin.in_flight += 1
            self._start(self._try(item, origin))
        if self._timer:
            self._timer.cancel()
        wait = self._waiting.next_look_s(now)
        self._timer = None if wait is None else self._loop.call_later(wait, self._pump)

    async def _try(self, item: Sending, origin: Origin) -> None:
        connection = self._connection(origin)
        outcome, trouble = None, None
        try:
            try:
                outcome = await self._answer(item, connection)
            except FailedTryError as error:
                trouble = error.trouble
            except BrokenAnswerError as error:
                trouble = broken(self._rules.server, str(error))
            except TimeoutError:
                outcome = late(self._rules, item)
            except Qwen3VLError as error:
                outcome = error
            finally:
                origin.in_flight -= 1
            # At once: while a connection closes, others must know what is settled here.
            self._settle(item, origin, outcome, trouble)
        finally:
            if isinstance(outcome, Reply) and not item.writing.ended_here:
                self._idle[origin].append(connection)
            else:
                await connection.close()
        self._pump()

    async def _answer(self, item: Sending, connection: Connection) -> Reply:
        """Ask once; whatever goes wrong is raised."""
        assert item.payload is not None  # noqa: S101 - it is encoded before it waits
        wanted = item.request.options
        thinks, asked = self._terms.edition == "thinking", bool(wanted.thinking)
        item.writing = Writing(wanted.stop, starts_thinking=thinks, asked_to_think=asked)
        item.tries += 1
        started = time.perf_counter()
        first: list[float] = []

        def on_piece() -> None:
            if not first and item.writing.text:
                first.append(time.perf_counter() - started)

        ask = connection.ask(item.payload.body, item.writing, on_piece)
        await within(item.deadline - self._loop.time(), ask)
        seconds = time.perf_counter() - started
        reply = item.writing.reply(seconds, first[0] if first else 0.0, item.payload.notes)
        if wanted.thinking is False and reply.thinking:
            return replace(reply, notes=(*reply.notes, THOUGHT))
        return reply

    def _settle(
        self,
        item: Sending,
        origin: Origin,
        outcome: Reply | Qwen3VLError | None,
        trouble: Trouble | None,
    ) -> None:
        now = self._loop.time()
        if trouble is None:
            self._origins.answered(origin)
            if isinstance(outcome, Reply):
                origin.pace.answered(now, outcome.tokens, origin.in_flight)
            self._finish(item, outcome if outcome is not None else late(self._rules, item))
            return
        if trouble.busy:
            origin.pace.overloaded(now)
        if trouble.waits:
            self._origins.failed(origin, now, trouble)
        else:
            self._origins.answered(origin)
        self._try_again(item, origin, trouble, now)

    def _try_again(self, item: Sending, origin: Origin, trouble: Trouble, now: float) -> None:
        """Put it back to wait, unless that cannot help any more."""
        item.last, item.last_origin = trouble, origin
        wait = 0.0
        if not trouble.waits:
            wait = self._rules.first_pause_s * 2 ** (item.tries - 2) if item.tries > 1 else 0.0
        elif trouble.after_s is not None:
            wait = trouble.after_s
        spent = not trouble.waits and item.tries >= TRIES
        too_late = now + wait >= item.deadline
        alone = len(self._origins.all) == 1
        if not trouble.again or spent or (too_late and alone):
            self._finish(item, trouble.error)
            return
        # Another server may answer at once what this one is too busy for.
        item.not_before = now if trouble.waits else now + wait
        self._waiting.put_back(item)

    def _finish(self, item: Sending, outcome: Reply | Qwen3VLError) -> None:
        del self._open[item]
        self._streams -= item.stream
        self.open_bytes -= item.size_bytes
        self._done(item.index, outcome)

    def _connection(self, origin: Origin) -> Connection:
        idle = self._idle[origin]
        if idle:
            return idle.pop()
        return Connection(self._rules.server, origin.base, self._rules.key, self._tls)
