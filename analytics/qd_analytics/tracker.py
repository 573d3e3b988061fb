"""One market's run: trades in, alerts to publish out, and where it stands. No I/O.

The context lives here, so a run that broke off goes on from the next sequence. Alerts stay
pending until the topic has them for certain.
"""

from __future__ import annotations

from qd_analytics.breakout import AlertPolicy, MonthlyBreakout
from qd_analytics.errors import TradesRefused
from qd_analytics.ledger import AlertLedger
from qd_schemas.arrays import Rows
from qd_schemas.enums import ModelId
from qd_schemas.messages import BreakoutAlert, ModelProgress


class MarketTracker:
    """The state of one watched market.

    Parameters
    ----------
    exchange_id, symbol_id : int
        The market.
    symbol : str
        Its name.
    ledger : AlertLedger
        What is published already; shared by all markets.
    policy : AlertPolicy
        Which breakouts raise an alert.
    falls : bool
        Also alert where the signal falls.

    Attributes
    ----------
    pending : list of BreakoutAlert
        To be published, in this order; call `published` when the topic has them.
    listed : int
        How many trades the market has, as symdb last said.
    told : int
        The last sequence whose progress is published.
    """

    def __init__(
        self,
        exchange_id: int,
        symbol_id: int,
        symbol: str,
        ledger: AlertLedger,
        policy: AlertPolicy = AlertPolicy.RISE,
        *,
        falls: bool = False,
    ) -> None:
        self.exchange_id = exchange_id
        self.symbol_id = symbol_id
        self.symbol = symbol
        self.pending: list[BreakoutAlert] = []
        self.listed = 0
        self.told = 0
        self._ledger = ledger
        self._policy = policy
        self._falls = falls
        self._model = MonthlyBreakout()

    @property
    def processed(self) -> int:
        """How many trades were evaluated: also the sequence of the last one."""
        return self._model.last_sequence

    @property
    def next_sequence(self) -> int:
        """The trade from which to go on."""
        return self.processed + 1

    @property
    def behind(self) -> bool:
        """True while there is something to evaluate, to publish or to tell."""
        return bool(self.pending) or self.processed < self.listed or self.told < self.processed

    def progress(self) -> ModelProgress:
        """What can be told once nothing is pending."""
        return ModelProgress(
            symbol_id=self.symbol_id,
            exchange_id=self.exchange_id,
            model_id=ModelId.MONTHLY_BREAKOUT,
            sequence=self.processed,
        )

    def accept(self, rows: Rows) -> int:
        """Evaluate the next trades and add their alerts to `pending`.

        Parameters
        ----------
        rows : TRADE array, shape (trades,)
            From `next_sequence` on, none left out.

        Returns
        -------
        int
            How many alerts these trades raise, those included that are published already.

        Raises
        ------
        TradesRefused
            For a gap, or trades that the model refuses; nothing has changed then.
        """
        if not len(rows):
            return 0
        first, last = int(rows["sequence"][0]), int(rows["sequence"][-1])
        if first != self.next_sequence or last - first != len(rows) - 1:
            raise TradesRefused(
                f"{self.symbol}: {len(rows)} trades have the sequences {first} to {last}; "
                f"expected them from {self.next_sequence} without a gap"
            )
        evaluation = self._model.evaluate(rows)
        alerts = evaluation.alerts(
            self.exchange_id, self.symbol_id, self._policy, falls=self._falls
        )
        self.pending += [alert for alert in alerts if alert not in self._ledger]
        return len(alerts)

    def published(self, count: int) -> None:
        """The first `count` pending alerts are on the topic for certain."""
        for alert in self.pending[:count]:
            self._ledger.published(alert)
        del self.pending[:count]

    def reconcile(self, ledger: AlertLedger) -> None:
        """After the topic was read back: drop what turned out to be on it."""
        self._ledger = ledger
        self.pending = [alert for alert in self.pending if alert not in ledger]
