"""A checkpoint's chat template, rendered in bounded time and memory: it is a program by strangers.

transformers' sandbox keeps it from everything but its own values. These it may still multiply
without end, so every loop, call, product and joined text here is counted before it is made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ...utils.chat.template_limits import (
    OverLimitError,
    check_call,
    check_operator,
    counting,
    joined,
    looped,
    measured,
)
from ...utils.errors import LoadError

# The official one has 5,000 characters.
MOST_SOURCE = 256 * 1024
# Each makes much of little, in ways that nobody counts, and no chat needs it.
LEFT_OUT = ("format", "xmlattr", "urlize", "pprint", "wordwrap", "sum")
FORBIDDEN = ("format", "format_map", "expandtabs", "translate", "maketrans")


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that counts before it works; how Jinja calls it stays the same."""

    @functools.wraps(function)
    def run(*values: Any, **named: Any) -> Any:
        own = tuple(v for v in values if not hasattr(v, "eval_ctx") and not hasattr(v, "volatile"))
        check_call(name, own, named)
        return measured(function(*values, **named))

    return run


class _Counted(NodeTransformer):
    """Puts a count around what Jinja does without calling anybody."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's names
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_looped")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, "_measured")
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, "_measured")
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@pass_context
def _shown(_context: Context, value: Any) -> Any:
    return measured(value)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja as transformers sets it up, counted."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])
    concat = staticmethod(joined)

    def __init__(self) -> None:
        from transformers.utils.chat_template_utils import _compile_jinja_template

        theirs = _compile_jinja_template("").environment
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[type(extension) for extension in theirs.extensions.values()],
            optimized=False,  # nothing is worked out ahead, where nobody counts
            finalize=_shown,
            cache_size=0,
        )
        kept = {name: f for name, f in theirs.filters.items() if name not in LEFT_OUT}
        self.filters = {name: _guarded(name, function) for name, function in kept.items()}
        self.filters |= {"_looped": looped, "_joined": joined, "_measured": measured}
        self.globals = {name: v for name, v in theirs.globals.items() if name != "lipsum"}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = _Counted().visit(super()._parse(source, name, filename))
        return tree.set_environment(self)

    def call(__self, __context: Context, __obj: Any, *values: Any, **named: Any) -> Any:  # noqa: N805 - whatever a template names its values
        name = str(getattr(__obj, "__name__", ""))
        owner = getattr(__obj, "__self__", None)
        if name in FORBIDDEN:  # Jinja wraps some of them, so that they belong to no text
            raise OverLimitError(f"it calls {name}, which nobody can count")
        check_call(name, (owner, *values) if isinstance(owner, str) else values, named)
        return measured(super().call(__context, __obj, *values, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        check_operator(operator, left, right)
        return measured(super().call_binop(context, operator, left, right))


class ChatTemplate:
    """A compiled template; `render` may be called from several threads.

    Raises:
        LoadError: it is no template, or too long for one.
    """

    def __init__(self, source: str):
        if len(source) > MOST_SOURCE:
            raise LoadError(
                f"The chat template has {len(source):,} characters.",
                "Get the official chat_template.jinja of this model.",
            )
        with counting():
            self._template = _Environment().from_string(source)

    def render(self, **variables: Any) -> str:
        """The chat as text.

        Raises:
            LoadError: it wants more time or memory than any chat needs.
            jinja2.TemplateError: the template's own words, or its mistakes.
        """
        try:
            with counting():
                return self._template.render(**variables)
        except (OverLimitError, RecursionError, MemoryError, OverflowError) as error:
            reason = str(error) if isinstance(error, OverLimitError) else type(error).__name__
            raise LoadError(
                f"The checkpoint's chat template cannot be used: {reason}.",
                "Get the official chat_template.jinja of this model.",
            ) from None


def bound_template(processor: Any) -> None:
    """Let a processor render its template here; what it gives is the same."""
    source = processor.chat_template or processor.tokenizer.chat_template
    if isinstance(source, dict):
        source = source.get("default")
    if not isinstance(source, str):
        raise LoadError("The checkpoint has no chat template.", "Get its chat_template.jinja.")
    template = ChatTemplate(source)
    tokens = dict(processor.tokenizer.special_tokens_map)

    def apply_chat_template(
        messages: Any, tokenize: bool = False, add_generation_prompt: bool = False, **switches: Any
    ) -> str:
        if tokenize:
            raise NotImplementedError("the engines encode the text themselves")
        variables = {"tools": None, "documents": None, **tokens, **switches}
        return template.render(
            messages=messages, add_generation_prompt=add_generation_prompt, **variables
        )

    processor.apply_chat_template = apply_chat_template
