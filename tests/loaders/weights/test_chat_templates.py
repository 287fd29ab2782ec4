"""A chat template says what transformers would, and ends in time however hostile it is."""

import time

import pytest
from checkpoint_kinds import edit_json
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.hub.official import DEMO_FOLDER
from qwen3vl_nodes.loaders.weights import chat_template
from qwen3vl_nodes.loaders.weights.chat_template import ChatTemplate
from qwen3vl_nodes.loaders.weights.processor import TEMPLATE, read_processor
from qwen3vl_nodes.utils.chat import template_limits
from qwen3vl_nodes.utils.errors import LoadError
from tiny_checkpoint import TEMPLATE as TINY

PICTURE = {"type": "image"}
CHATS = {
    "a word": [{"role": "user", "content": "Hello"}],
    "a picture": [{"role": "user", "content": [PICTURE, {"type": "text", "text": "What?"}]}],
    "a talk": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [PICTURE, PICTURE, {"type": "text", "text": "One\nTwo {{ }}"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
        {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "zoom", "arguments": {"bbox": [1, 2, 3]}}}]},
        {"role": "tool", "content": "done"},
        {"role": "user", "content": [{"type": "video"}]},
    ],
}  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "zoom", "parameters": {"é": "ü"}}}]
# What templates of other models do.
COMMON = """\
{%- macro part(m, n=2) %}{{ '[' + m.role ~ ']' }}{% endmacro -%}
{% set ns = namespace(found=false, text='') %}
{% for message in messages[::-1] %}
{%- set index = (messages|length - 1) - loop.index0 %}
{%- if loop.first and message.role == 'user' and not(message.content is string) %}
{%- set ns.found = true %}{% endif %}
{%- if loop.last %}{% break %}{% endif %}
{{- part(message) }}{{ loop.length }} {{ loop.index }} {{ index % 2 == 0 }}
{% set ns.text = ns.text + message.role | upper %}
{%- endfor %}
{% generation %}{{ ns.text | trim }}{% endgeneration %}
{{ bos_token }}{{ eos_token }}{{ messages | map(attribute='role') | join(', ') }}
{{ messages | tojson(indent=2) }}{{ 'a </think> b'.split('</think>')[-1].lstrip('\\n') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ {'a': 1}.items() | list }}
{{ 'x'.replace('x', 'yy') }}{{ 'ab'.join(['1', '2']) }}{{ '-' * 10 }}{{ range(3) | list }}
{% if add_generation_prompt %}{{ enable_thinking is defined and not enable_thinking }}{% endif %}
"""


@pytest.fixture(scope="module")
def theirs():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(DEMO_FOLDER, local_files_only=True)


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("source", ["official", "tiny", "common"])
@pytest.mark.parametrize("switches", [{}, {"add_vision_id": True}, {"enable_thinking": False}])
def test_it_says_what_transformers_would(theirs, name, source, switches):
    text = {"official": TEMPLATE.read_text("utf-8"), "tiny": TINY, "common": COMMON}[source]
    tools = TOOLS if source == "official" else None
    expected = theirs.apply_chat_template(
        CHATS[name], chat_template=text, tokenize=False, add_generation_prompt=True, tools=tools,
        **switches,
    )  # fmt: skip
    tokens = theirs.tokenizer.special_tokens_map
    variables = {"tools": tools, "documents": None, **tokens, **switches}
    found = ChatTemplate(text).render(
        messages=CHATS[name], add_generation_prompt=True, **variables
    )  # fmt: skip
    assert found == expected


# Less than a user's chat may take, for some of these take all of it.
SECONDS = 0.3
LAUGHS = "{% set ns = namespace(x=['lol']) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}"
DOUBLED = "{% set ns = namespace(x='lol') %}{% for i in range(60) %}{% set ns.x = "
HOSTILE = {
    "nested ranges": (
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
        "{% endfor %}{% endfor %}{% endfor %}"
    ),
    "a range beyond": "{% for a in range(99999) %}{% endfor %}",
    "loops over the chat": "{% for a in messages %}" * 1 + "".join(
        f"{{% for a{n} in range(100) %}}" for n in range(12)) + "{% endfor %}" * 13,
    "a generator of generators": (
        "{% for a in range(9000)|map('string') %}{% for b in range(9000)|map('string') %}"
        "{% endfor %}{% endfor %}"
    ),
    "a macro that calls itself twice": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "center": "{{ 'a'.center(3000000000) }}",
    "center as a filter": "{{ 'a' | center(3000000000) }}",
    "ljust": "{% if 'a'.ljust(3000000000) %}{% endif %}",
    "zfill": "{{ 'a'.zfill(width=3000000000) }}",
    "a width in a format": "{{ '{:>3000000000}'.format(1) }}",
    "a width in a mapping": "{{ '{a:>3000000000}'.format_map({'a': 1}) }}",
    "a width in the old format": "{{ '%3000000000d' % 1 }}",
    "a width in a date": "{{ strftime_now('%3000000000d') }}",
    "tabs": "{{ ('\\t' * 1000).expandtabs(30000000) }}",
    "times": "{{ 'a' * 3000000000 }}",
    "times from the left": "{{ 3000000000 * 'a' }}",
    "a list times": "{{ ([1] * 3000000000) | length }}",
    "doubled by plus": DOUBLED + "ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "doubled by tilde": DOUBLED + "ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "doubled by join": DOUBLED + "[ns.x, ns.x] | join %}{% endfor %}{{ ns.x }}",
    "doubled by replace": DOUBLED + "ns.x.replace('o', ns.x) %}{% endfor %}{{ ns.x }}",
    "doubled in a block": (
        "{% set ns = namespace(x='lol') %}{% for i in range(60) %}"
        "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}{{ ns.x }}"
    ),
    "joined by a long word": "{{ ('a' * 190000).join(['a'] * 190000) }}",
    "indented far": "{{ ('\\n' * 190000) | indent(9999) }}",
    "a billion laughs": LAUGHS + "{% endfor %}{{ ns.x }}",
    "a billion laughs as JSON": LAUGHS + "{% endfor %}{{ ns.x | tojson | length }}",
    "a billion laughs, compared": (
        LAUGHS + "{% endfor %}{% set a = ns.x %}" + LAUGHS + "{% endfor %}{{ a == ns.x }}"
    ),
    "a billion laughs in a namespace": LAUGHS + "{% endfor %}{{ ns }}",
    "a list doubled": (
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}"
    ),
    "powers": "{{ 9 ** 9 ** 9 ** 9 }}",
    "squares": (
        "{% set ns = namespace(x=99) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}"
        "{% endfor %}{{ ns.x }}"
    ),
    "written out again and again": "{% for a in range(9999) %}{{ 'a' * 9999 }}{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends(name, monkeypatch):
    monkeypatch.setattr(template_limits, "MOST_SECONDS", SECONDS)
    started = time.thread_time()
    with pytest.raises(LoadError, match="chat template cannot be used") as caught:
        ChatTemplate(HOSTILE[name]).render(messages=CHATS["a talk"])
    assert "chat_template.jinja" in caught.value.remedy
    # What one step may take comes beside the bound.
    assert time.thread_time() - started < SECONDS + 2


@pytest.mark.parametrize(
    "source", ["{{ lipsum() }}", "{{ [[1]] | sum(start=[]) }}", "{{ '%3000000000d' | format(1) }}"]
)
def test_what_no_chat_needs_is_left_out(source):
    from jinja2 import TemplateError

    with pytest.raises(TemplateError):
        ChatTemplate(source).render(messages=[])


def test_a_long_chat_is_no_attack():
    talk = [{"role": "user", "content": [PICTURE, {"type": "text", "text": "word " * 2000}]}] * 500
    text = ChatTemplate(TEMPLATE.read_text("utf-8")).render(messages=talk)
    assert text.count("<|image_pad|>") == 500


def test_a_template_that_is_a_book_is_refused():
    with pytest.raises(LoadError, match="characters"):
        ChatTemplate("a" * (chat_template.MOST_SOURCE + 1))


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_checkpoints_own_template_is_bounded(copy_of, place):
    folder = copy_of("dense")
    source = HOSTILE["center"]
    if place == "tokenizer_config.json":
        (folder / "chat_template.jinja").unlink()
        edit_json(folder / place, chat_template=source)
    else:
        (folder / place).write_text(source)
    with pytest.raises(LoadError, match=r"calls center with the number 3,000,000,000"):
        read_processor(inspect(folder))
