"""How long a stream outlasts a database that does not answer. Pure."""

from __future__ import annotations

from collections.abc import Callable

from qd_gateway.streams.sizes import (
    ATTEMPT_SECONDS,
    OUTAGE_SECONDS_MAX,
    OUTAGE_SECONDS_MAX_AT_START,
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_MIN,
)


class Outage:
    """One stream's view of the database.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._pause_s = RETRY_SECONDS_MIN

    @property
    def attempt_s(self) -> float | None:
        """How long the next attempt may take; None leaves that to the store."""
        return None if self._since is None else ATTEMPT_SECONDS

    def pause_s(self, *, has_begun: bool) -> float | None:
        """An attempt failed: seconds to wait before the next one; None is to give up.

        A stream that has begun is given longer than one whose client can as well ask again.
        """
        now = self._clock()
        if self._since is None:
            self._since = now
        patience_s = OUTAGE_SECONDS_MAX if has_begun else OUTAGE_SECONDS_MAX_AT_START
        if now - self._since >= patience_s:
            return None
        pause_s = self._pause_s
        self._pause_s = min(self._pause_s * 2, RETRY_SECONDS_MAX)
        return pause_s

    def over(self) -> None:
        """An attempt succeeded."""
        self._since = None
        self._pause_s = RETRY_SECONDS_MIN
