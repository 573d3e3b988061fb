"""Which alerts are on the topic already: the memory that keeps a restart from repeating one.

Filled by reading the topic back; does no reading itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from qd_schemas.messages import BreakoutAlert

PairKey = tuple[int, int, int]
"""A model at work on a market: model, exchange, symbol."""


class AlertLedger:
    """The sequences of published alerts, by model and market.

    Parameters
    ----------
    since : int
        The record of the topic that it begins with; it knows nothing of those before.
    end_least : int
        Where the topic is known to end at least.

    Attributes
    ----------
    next_offset : int
        The first record of the topic that has not been read back.
    end_least : int
        Where the topic ends at least: what was read back, and what was published since. A
        topic that is shorter is another one.
    """

    def __init__(self, since: int = 0, end_least: int = 0) -> None:
        self.since = since
        self.next_offset = since
        self.end_least = max(since, end_least)
        # Sorted; eight bytes an alert, since a policy may publish one for every trade.
        self._sequences: dict[PairKey, array[int]] = {}

    def __len__(self) -> int:
        return sum(len(known) for known in self._sequences.values())

    def __contains__(self, alert: BreakoutAlert) -> bool:
        known = self._sequences.get(_key(alert))
        if known is None:
            return False
        at = bisect_left(known, alert.sequence)
        return at < len(known) and known[at] == alert.sequence

    @property
    def is_whole(self) -> bool:
        """Whether it knows all alerts that the topic has."""
        return self.since == 0

    def highest(self, pair: PairKey) -> int:
        """The highest sequence of a pair's alerts that it knows; 0 where it knows none."""
        known = self._sequences.get(pair)
        return known[-1] if known else 0

    def add(self, alert: BreakoutAlert) -> None:
        """Note an alert that is on the topic; noting it twice changes nothing."""
        known = self._sequences.setdefault(_key(alert), array("q"))
        at = bisect_left(known, alert.sequence)
        if at == len(known) or known[at] != alert.sequence:
            known.insert(at, alert.sequence)

    def published(self, alert: BreakoutAlert) -> None:
        """Note an alert that was added to the topic just now, which made it longer."""
        self.add(alert)
        self.end_least += 1

    def read_up_to(self, end: int) -> None:
        """All records from `since` to before `end` have been read back."""
        self.next_offset = self.end_least = end

    def read_all_before(self) -> None:
        """All records before `since` have been read back, too."""
        self.since = 0


def _key(alert: BreakoutAlert) -> PairKey:
    return (int(alert.model_id), int(alert.exchange_id), int(alert.symbol_id))
