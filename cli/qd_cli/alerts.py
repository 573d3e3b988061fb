"""One alert for people and scripts: from the message to a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qd_analytics.readable import as_object
from qd_cli import console
from qd_cli.names import Names
from qd_schemas.messages import BreakoutAlert


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A breakout alert, ready to be shown.

    Attributes
    ----------
    time : str
        The trade's time, ISO 8601 in UTC.
    sequence : int
        The trade's number within its market.
    levels : dict
        What the trade was held against, by the model's names.
    """

    symbol: str
    exchange: str
    model: str
    signal: str
    time: str
    price: float
    sequence: int
    levels: dict[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it as a line."""
        return (
            f"{self.time}  {self.exchange.capitalize()} {self.symbol}  {self.signal}"
            f"  {console.number(self.price)}  ({self.model}, trade {self.sequence})"
        )


async def row_of(alert: BreakoutAlert, names: Names) -> AlertRow:
    """Give an alert its market's name."""
    symbol = await names.of(alert.exchange_id, alert.symbol_id)
    named = as_object(alert, symbol)
    return AlertRow(
        symbol=symbol,
        exchange=named["exchange"],
        model=named["model"],
        signal=named["signal"],
        time=console.iso_time(alert.date_time),
        price=alert.price,
        sequence=alert.sequence,
        levels=named["levels"],
    )
