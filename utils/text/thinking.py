"""Keeps what the model thought apart from what it answered."""

THINK_START, THINK_END = "<think>", "</think>"
# What Qwen's own templates write after the opened block where nothing is to be thought.
NOTHING_THOUGHT = "\n\n</think>\n\n"
# How thinking is closed from outside; Qwen's own words for it, after which its models answer.
CLOSING = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now.\n</think>\n\n"
)


def split_thinking(text: str, starts_thinking: bool = False) -> tuple[str, str]:
    """Split a reply into `(thinking, answer)`, both stripped.

    Args:
        text: what the model generated.
        starts_thinking: the prompt already opened the thinking block (Thinking editions), so a
            text without an end mark is thinking that was cut off, and the answer is empty.
    """
    head, end, tail = text.partition(THINK_END)
    if end:
        return head.lstrip().removeprefix(THINK_START).strip(), tail.strip()
    opened = text.lstrip().startswith(THINK_START)
    if starts_thinking or opened:
        return text.lstrip().removeprefix(THINK_START).strip(), ""
    return "", text.strip()


def answer_of(text: str) -> tuple[str, bool]:
    """What a text says behind its thinking, and whether it was cut off while it still thought.

    For texts that people bring; in a reply of this pack both are apart already.
    """
    thinking, answer = split_thinking(text)
    return answer, bool(thinking) and THINK_END not in text
