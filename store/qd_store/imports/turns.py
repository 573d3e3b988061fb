"""Turns: workers side by side pass a point in a fixed order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

_POLL_SECONDS: Final = 0.1


class Turns:
    """Gives turns by number, from 0; each number must be taken once.

    Numbers must be begun in order, as a pool of threads begins its tasks: then the lowest
    that is under way never waits.

    Parameters
    ----------
    check : callable
        Called while a worker waits; raises to end the waiting.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._next = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, number: int) -> Iterator[None]:
        """Wait until all lower numbers have had their turn; the turn ends with the block."""
        with self._changed:
            while self._next != number:
                self._check()
                self._changed.wait(_POLL_SECONDS)
        try:
            yield
        finally:
            with self._changed:
                self._next = number + 1
                self._changed.notify_all()
