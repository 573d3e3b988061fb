"""How long a consumer tries to come back, and how long it waits between tries.

Counts and times only: it waits for nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
# A stream that lived so long was sound: what ends it then is a new failure.
SOUND_SECONDS = 5.0


class Recovery:
    """The failures in a row of one consumer.

    Parameters
    ----------
    seconds : float
        How long it may fail.
    clock : callable
        The time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._failing_since: float | None = None
        self._retry_seconds = RETRY_SECONDS_FIRST
        self._opened_at = clock()

    def opened(self) -> None:
        """A stream was opened; whether it is sound will be seen."""
        self._opened_at = self._clock()

    def received(self) -> None:
        """Records came: all is well."""
        self._failing_since = None

    def failed(self) -> float | None:
        """How long to wait before the next try; None when there should be no more."""
        now = self._clock()
        if self._failing_since is None or now - self._opened_at > SOUND_SECONDS:
            self._failing_since, self._retry_seconds = now, RETRY_SECONDS_FIRST
        wait_seconds = self._retry_seconds
        if now + wait_seconds > self._failing_since + self._seconds:
            return None
        self._retry_seconds = min(wait_seconds * 2, RETRY_SECONDS_MAX)
        self._opened_at = now
        return wait_seconds
