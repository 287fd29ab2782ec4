"""The pack's errors: each says what happened, to which value or file, and what to do."""


class Qwen3VLError(Exception):
    """A problem with its remedy; `str()` gives both, so no caller has to compose them.

    Args:
        problem: what happened and to which file or value, one sentence.
        remedy: what the user can do about it, one sentence.
    """

    def __init__(self, problem: str, remedy: str):
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


class InputError(Qwen3VLError):
    """A picture, text, folder or setting from the user that cannot be used."""


class LoadError(Qwen3VLError):
    """A checkpoint, package or device that cannot be used."""


class IncompleteError(LoadError):
    """A checkpoint whose files are not all there, or not whole: fetching them mends it."""


class GenerationError(Qwen3VLError):
    """A request that the model could not answer."""


class ContextFullError(GenerationError):
    """A prompt that leaves no room for its answer in the model's context.

    Args:
        excess: how many tokens it has too many.
    """

    def __init__(self, problem: str, remedy: str, excess: int):
        super().__init__(problem, remedy)
        self.excess = excess


class TooLargeError(GenerationError):
    """A request that does not fit into memory, even alone; a smaller one may."""


class ParseError(Qwen3VLError):
    """A model answer that cannot be read; an answer that holds nothing is not an error."""
