"""Several tokens in one step for a sequence that runs alone: guessed first, then checked.

A step reads all weights for one token as for a few. So what followed when the last words were
heard before (in the prompt, this reply or an earlier one) stands in the rows beside the sequence's
own, each guess a row that is one token further, and the step draws from all of them at once.
Where a guess is what was drawn before it, the row after it is as good as the sequence's own.
"""

from __future__ import annotations

from collections.abc import Callable

from ..request.phrasebook import Guess, Phrasebook
from ..request.sequence import Sequence
from ..state.sampler import drawing_for
from .board import Board
from .stepper import GUESSED_ROWS, Stepper

# Each row reads the keys and values anew, if mostly from the cache of the device: with more of
# them than this, a step is no longer about the weights.
MOST_CACHED = 8_192


class Lookahead:
    """Guesses and checks for one run.

    Args:
        stepper: attached to the module.
        board: where the sequences stand.
        phrasebook: where guesses come from; None guesses nothing.
    """

    def __init__(self, stepper: Stepper, board: Board, phrasebook: Phrasebook | None):
        self._stepper, self._board, self._phrasebook = stepper, board, phrasebook

    def step(
        self, collect: Callable[[], object], tick: Callable[[], None]
    ) -> tuple[Sequence, list[int]] | None:
        """Check what can be guessed; `collect` takes all tokens that were drawn and not read.

        Returns:
            the sequence and its next tokens; None where nothing was guessed, or it does not pay.
        """
        if self._guess() is None:
            return None
        collect()  # and now it may be complete, or the guess was wrong already
        found = self._guess()
        return None if found is None else (found[0], self._check(*found, tick))

    def _guess(self) -> tuple[Sequence, Guess] | None:
        """The sequence that runs alone, and what may follow its last token that was drawn; None
        where there is none, where nothing is known, or where guesses do not pay.
        """
        running = self._board.running
        if self._phrasebook is None or len(running) != 1 or self._board.reading:
            return None
        (sequence,) = running.values()
        written, odds = sequence.draft.token_ids, sequence.odds
        if sequence.cached > MOST_CACHED:
            return None
        self._phrasebook.hear(sequence.prepared, sequence.draft)
        odds.look(written)
        unread = sequence.launched - len(written)  # drawn, but by a step that was not read yet
        room = max(0, self._room(sequence))
        guess = self._phrasebook.guess(max(1, room + unread))
        if guess is None:
            return None
        known, guesses = guess.known, guess.token_ids
        count = odds.worth(known, max(0, min(room, len(guesses) - unread)), unread)
        if not count:
            odds.watch(len(written), known, guesses[0])
            return None
        return sequence, Guess(known + unread, guesses[unread : unread + count])

    def _room(self, sequence: Sequence) -> int:
        """How many guesses there is a place for."""
        pages = len(sequence.pages) * self._stepper.pool.page_tokens
        return min(
            GUESSED_ROWS - 1,
            sequence.draft.horizon - sequence.launched - 1,
            pages - sequence.cached - 1,  # a guess is not worth a page
        )

    def _check(self, sequence: Sequence, guess: Guess, tick: Callable[[], None]) -> list[int]:
        """The next tokens of the sequence, one at least; all it drew before have been read."""
        self._board.close_ranks()
        guesses = guess.token_ids
        rows, _ = sequence.odds.rows(len(guesses))
        longest = sequence.cached + 1 + len(guesses)
        beside = self._stepper.beside(rows, longest, drawing_for([sequence.sampling]))
        drawn = self._stepper.check(guesses, beside, tick).read(tick)
        right = 0
        while right < len(guesses) and guesses[right] == drawn[right]:
            right += 1
        self._stepper.settle(right)
        sequence.cached += right + 1
        sequence.launched += right + 1
        sequence.odds.saw(guess.known, len(guesses), right)
        return drawn[: right + 1]
