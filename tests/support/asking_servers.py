"""Requests of one picture to an engine whose servers are told by their addresses."""

import numpy as np
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.remote_engine import RemoteEngine
from qwen3vl_nodes.loaders.servers.wire.payload import Terms
from qwen3vl_nodes.loaders.servers.wire.sending import Rules
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_server import ScriptedServer

KEY = "sk-0123456789-secret"
# Long enough for a busy machine; those that test the deadline have a short one.
PATIENT_S, SHORT_S = 60.0, 0.4


def request_of(text="What is this?", **options):
    picture = Picture(np.zeros((32, 32, 3), np.uint8))
    chosen = GenerationOptions(**{"stop": ("STOP",)} | options)
    return Request((Message("user", (picture, text)),), chosen, seed=7)


def engine_at(
    *origins, dialect=DIALECTS["vllm"], timeout_s=PATIENT_S, in_flight=4, pictures="png", **rules
):
    given = {"first_pause_s": 0.001, "patience_s": PATIENT_S} | rules
    terms = Terms(dialect, "m", min_pixels=1024, pictures=pictures)
    return RemoteEngine(terms, Rules("here", KEY, timeout_s, **given), origins, in_flight)


def ask(script, dialect, **rules):
    """The outcome of one request, and what the server saw."""
    with ScriptedServer(script) as server:
        engine = engine_at(server.origin, dialect=dialect, **rules)
        [(index, outcome)] = engine.generate([request_of()])
        assert index == 0
        return outcome, server.seen
