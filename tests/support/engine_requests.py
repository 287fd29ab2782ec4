"""Requests for engine tests: greedy and short unless told otherwise."""

from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request


def ask(*parts, seed=0, number_pictures=False, **options):
    """A request of one user message."""
    options = {"max_new_tokens": 12, "temperature": 0.0, "presence_penalty": 0.0} | options
    return Request((Message("user", parts),), GenerationOptions(**options), seed, number_pictures)
