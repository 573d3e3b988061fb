"""How long a consumer tries to come back, of either client, and how long it waits between tries.

Counts, times and errors only: it waits for nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    OffsetOutOfRange,
)

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
# A stream that lived so long was sound: what ends it then is a new failure.
SOUND_SECONDS = 5.0
# What may be over at the next try.
TEMPORARY = (ClusterUnreachable, ConnectionLost, DeadlineExceeded)


class Recovery:
    """The failures in a row of one consumer.

    Parameters
    ----------
    name : str
        What it reads, for messages.
    seconds : float
        How long it may fail.
    clock : callable
        The time in seconds.
    """

    def __init__(self, name: str, seconds: float, clock: Callable[[], float]) -> None:
        self._name = name
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

    def failed(self, cause: FluvioError, next_offset: int, *, silent: bool = False) -> float:
        """How long to wait before the next try at `next_offset`, in seconds.

        A silent stream did not break: it brought nothing. It was not sound, however long it lived.

        Raises
        ------
        FluvioError
            It has failed for too long: the cause, or `ConnectionLost` for one that may pass.
        """
        now, opened_at = self._clock(), self._opened_at
        sound = not silent and opened_at is not None and now - opened_at > SOUND_SECONDS
        self._opened_at = None
        if sound or self._failing_since is None:
            self._failing_since, self._retry_seconds = now, RETRY_SECONDS_FIRST
        wait_seconds = self._retry_seconds
        if now + wait_seconds > self._failing_since + self._seconds:
            raise self._given_up(cause, next_offset)
        self._retry_seconds = min(wait_seconds * 2, RETRY_SECONDS_MAX)
        return wait_seconds

    def _given_up(self, cause: FluvioError, next_offset: int) -> FluvioError:
        if not isinstance(cause, TEMPORARY):
            return cause.with_traceback(None)
        return ConnectionLost(
            f"{self._name}: lost the stream at offset {next_offset} and could not come "
            f"back within {self._seconds:g} s: {cause}"
        )


def outside(name: str, start: int, end: int, offset: int, why: str = "") -> OffsetOutOfRange:
    """The error of a consumer at an offset that its partition does not have (any more)."""
    return OffsetOutOfRange(
        f"{name} has offsets {start} to {end} (its end), not {offset}{why}; retention removed it, "
        "the topic was made anew, or it was never written: start within the partition"
    )
