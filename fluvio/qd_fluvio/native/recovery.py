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
        self._opened_at: float | None = None  # when the stream was that has not failed yet

    def opened(self) -> None:
        """A stream was opened; whether it is sound will be seen."""
        self._opened_at = self._clock()

    def well(self) -> None:
        """Records came, or the cluster says that there are none."""
        self._failing_since = None

    def failed(self, *, silent: bool = False) -> float | None:
        """How long to wait before the next try; None when there should be no more.

        A silent stream did not break: it brought nothing. It was not sound, however long it lived.
        """
        now, opened_at = self._clock(), self._opened_at
        sound = not silent and opened_at is not None and now - opened_at > SOUND_SECONDS
        self._opened_at = None
        if sound or self._failing_since is None:
            self._failing_since, self._retry_seconds = now, RETRY_SECONDS_FIRST
        wait_seconds = self._retry_seconds
        if now + wait_seconds > self._failing_since + self._seconds:
            return None
        self._retry_seconds = min(wait_seconds * 2, RETRY_SECONDS_MAX)
        return wait_seconds
