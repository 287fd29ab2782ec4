"""A model that answers what the test wrote, in place of the loader's output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qwen3vl_nodes.utils.chat.requests import Reply, Request


class ScriptedModel:
    """Answers request n with `answer(n, request)`; keeps the requests."""

    def __init__(self, answer: Callable[[int, Request], str] | str, stopped_by="end"):
        self.answer = answer if callable(answer) else lambda *_: answer
        self.stopped_by = stopped_by
        self.requests: list[Request] = []
        self.identity, self.making = "scripted", ""

    @contextmanager
    def open(self) -> Iterator["ScriptedModel"]:
        yield self

    def generate(self, requests, on_progress=None):
        for number, request in enumerate(requests):
            self.requests.append(request)
            text = self.answer(number, request)
            yield number, Reply(text, "", self.stopped_by, 10, 100, 1.0, 0.5)

    def prompt_of(self, number: int) -> str:
        """The words of a request."""
        return self.requests[number].messages[-1].parts[-1]
