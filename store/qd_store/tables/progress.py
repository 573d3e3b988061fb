"""How far a refresh of bars has come, and how it is asked to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from qd_store.errors import ImportStopped

POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class RefreshProgress:
    """How far a refresh has come.

    Attributes
    ----------
    done, total : int
        Trades' worth of work, estimated.
    what : str
        What is being done, for people.
    """

    done: int
    total: int
    what: str


RefreshCallback: TypeAlias = Callable[[RefreshProgress], None]


class Steps:
    """Counts a refresh's steps, and ends it between two where its caller asks for that."""

    def __init__(self, callback: RefreshCallback | None, stop: threading.Event | None) -> None:
        self._callback = callback
        self._stop = stop or threading.Event()
        self._done = 0
        self._total = 0

    def begin(self, total: int) -> None:
        """Say how much there is to do."""
        self._total = total
        self.step(0, "bars")

    def step(self, count: int, what: str) -> None:
        """Say that so much was done.

        Raises
        ------
        ImportStopped
            The caller asked for it.
        """
        self.check()
        self._done += count
        if self._callback is not None:
            self._callback(RefreshProgress(self._done, max(self._total, self._done), what))

    def wait(self, seconds: float) -> None:
        """Wait, or raise as `step` does."""
        self._stop.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise as `step` does."""
        if self._stop.is_set():
            raise ImportStopped(
                "the refresh of bars was stopped; running it again finishes the rest"
            )
