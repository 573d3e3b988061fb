"""When an event of the past is due now: one clock for all markets of a replay. Pure.

Market time is in microseconds since the epoch; the present is whatever seconds the caller
counts. Market time stands still until the clock begins, and while it is paused.
"""

from __future__ import annotations

import math

from qd_client.errors import UsageError

_SECOND_US = 1_000_000


def checked_pace(pace: float) -> float:
    """Return a pace that makes sense.

    Raises
    ------
    UsageError
        It is negative, infinite or no number.
    """
    if not (math.isfinite(pace) and pace >= 0):
        raise UsageError(
            f"pace is {pace}; give 0 (as fast as possible), 1 (real time) or N times it"
        )
    return pace


class ReplayClock:
    """Relates market time to the present.

    Parameters
    ----------
    pace : float
        Market seconds in a second; 0 has everything due at once.
    """

    def __init__(self, pace: float) -> None:
        self.pace = checked_pace(pace)
        self._market_us: float | None = None  # at the present `_since`
        self._since = 0.0
        self._runs = True

    def begin(self, market_us: int, now: float) -> None:
        """Begin at a market time, unless it has begun."""
        if self._market_us is None:
            self.jump(market_us, now)

    def jump(self, market_us: float, now: float) -> None:
        """It is this market time now."""
        self._market_us, self._since = market_us, now

    def forget(self) -> None:
        """Begin anew with the next event."""
        self._market_us = None

    def stop(self, now: float) -> None:
        """Let market time stand still."""
        if self._market_us is not None:
            self.jump(self.market_us(now), now)
        self._runs = False

    def start(self, now: float) -> None:
        """Let market time go on."""
        if not self._runs:
            self._since, self._runs = now, True

    def set_pace(self, pace: float, now: float) -> None:
        """Go on at another pace from now."""
        checked_pace(pace)
        if self._market_us is not None:
            self.jump(self.market_us(now), now)
        self.pace = pace

    def market_us(self, now: float) -> float:
        """The market time; it must have begun."""
        assert self._market_us is not None
        if not self._runs:
            return self._market_us
        return self._market_us + (now - self._since) * self.pace * _SECOND_US

    def due(self, market_us: int) -> float:
        """When a market time is due; the clock must run at a pace over 0."""
        assert self._market_us is not None
        return self._since + (market_us - self._market_us) / _SECOND_US / self.pace
