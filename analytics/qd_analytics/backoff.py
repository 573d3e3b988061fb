"""How long to wait before trying again: longer each time, never in step with others."""

from __future__ import annotations

import random
from typing import Final

FIRST_SECONDS: Final = 0.2
SECONDS_MAX: Final = 10.0


class Backoff:
    """Delays that double up to a limit, each shortened by up to a half at random."""

    def __init__(
        self,
        chance: random.Random,
        first_seconds: float = FIRST_SECONDS,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._chance = chance
        self._first = first_seconds
        self._max = seconds_max
        self._next = first_seconds

    def seconds(self) -> float:
        """The delay before the next try."""
        delay = self._next
        self._next = min(2 * delay, self._max)
        return delay * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: the next failure starts with a short delay again."""
        self._next = self._first
