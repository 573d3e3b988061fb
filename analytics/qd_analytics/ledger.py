"""Which alerts are on the topic already: the memory that keeps a restart from repeating one.

Filled by reading the topic back; does no reading itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from qd_schemas.messages import BreakoutAlert

AlertKey = tuple[int, int, int]  # model, exchange, symbol


class AlertLedger:
    """The sequences of all published alerts, by model and market.

    Attributes
    ----------
    next_offset : int
        The first record of the topic that has not been read back.
    end_least : int
        Where the topic ends at least: what was read back, and what was published since. A
        topic that is shorter is another one.
    """

    def __init__(self) -> None:
        self.next_offset = 0
        self.end_least = 0
        # Sorted; eight bytes an alert, since a policy may publish one for every trade.
        self._sequences: dict[AlertKey, array[int]] = {}

    def __len__(self) -> int:
        return sum(len(known) for known in self._sequences.values())

    def __contains__(self, alert: BreakoutAlert) -> bool:
        known = self._sequences.get(_key(alert))
        if known is None:
            return False
        at = bisect_left(known, alert.sequence)
        return at < len(known) and known[at] == alert.sequence

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
        """All records before `end` have been read back."""
        self.next_offset = self.end_least = end


def _key(alert: BreakoutAlert) -> AlertKey:
    return (int(alert.model_id), int(alert.exchange_id), int(alert.symbol_id))
