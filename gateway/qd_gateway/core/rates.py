"""How often something may happen in each client's name. Pure: the clock's readings come in."""

from __future__ import annotations

from qd_gateway.core.limits import BURST_SECONDS


class Rate:
    """A token bucket for each client, of which only those that are not full take room.

    A bucket is one number: when it will be full again. Each use delays that by the interval
    of the rate, and is refused where the delay would pass the burst.

    Parameters
    ----------
    per_second : int
        How often in the long run; in a burst, what `BURST_SECONDS` bring.
    """

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._interval_s = 1 / per_second
        self._behind_s_max = BURST_SECONDS + self._interval_s / 2  # halves: sums are rounded
        self._full_at: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client_id: int, now: float) -> bool:
        """Use the client's bucket once; False where it is empty."""
        full_at = max(self._full_at.get(client_id, now), now) + self._interval_s
        if full_at - now > self._behind_s_max:
            return False
        self._full_at[client_id] = full_at
        return True

    def forget_full(self, now: float) -> None:
        """Drop the buckets that are full."""
        for client_id in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[client_id]
