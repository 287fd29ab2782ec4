"""What the options say of themselves: what is used, and what has no effect."""

from qwen3vl_nodes.utils.chat.effective_settings import settings_text, without_effect
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions

FIELDS = {
    "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.0,
    "presence_penalty": 1.5,
}  # fmt: skip


def test_the_official_settings_by_edition_and_input():
    assert settings_text(GenerationOptions()).splitlines() == [
        "Instruct, pictures: up to 16384 tokens, temperature 0.7, top_p 0.8, top_k 20, presence "
        "penalty 1.5",
        "Instruct, text alone: up to 32768 tokens, temperature 1, top_p 1, top_k 40, presence "
        "penalty 2",
        "Thinking: up to 40960 tokens, temperature 0.6, top_p 0.95, top_k 20, thinks as long as it "
        "likes, which counts as answer",
        "Pictures: as many tokens as the task needs",
    ]


def test_what_is_chosen_is_used():
    chosen = GenerationOptions(
        64, 0.0, None, 0, 1.2, 0.0, 65536, None, ("a",), thinking_budget=100, json_schema="{}"
    )
    assert settings_text(chosen).splitlines() == [
        "Instruct: up to 64 tokens, greedy, repetition penalty 1.2",
        "Thinking: up to 64 tokens, greedy, repetition penalty 1.2, thinks up to 100 tokens beside "
        "the answer",
        "Pictures: from 64 to the task's tokens",
        "Answer: JSON, checked, and asked for again once",
        "Ends at: 'a'",
    ]
    off = settings_text(GenerationOptions(temperature=1.0, top_k=0, thinking=False))
    assert "top_k off" in off and "no thinking" in off
    assert "Pictures: 64 x 96 pixels" in settings_text(GenerationOptions(exact_size_wh=(64, 96)))


def test_fields_without_effect_are_named():
    def notes(options, sampling, **fields):
        return without_effect(options, sampling, FIELDS | fields)

    assert notes(GenerationOptions(), "official") == []
    (line,) = notes(GenerationOptions(), "official", temperature=0.3, top_k=5)
    assert line == "No effect: temperature 0.3, top_k 5, because sampling is official"
    (line,) = notes(GenerationOptions(temperature=0.0), "greedy", top_p=0.5)
    assert line == "No effect: top_p 0.5, because sampling is greedy"
    (line,) = notes(GenerationOptions(temperature=0.0, top_p=0.5), "custom", top_p=0.5)
    assert line == "No effect: top_p and top_k, because temperature 0 is greedy"
    assert notes(GenerationOptions(temperature=0.5), "custom", temperature=0.5) == []
    lines = notes(GenerationOptions(thinking=False, thinking_budget=9), "official")
    assert "thinking_budget, because thinking is off" in lines[0]
    assert "Instruct editions do not think" in lines[1]
