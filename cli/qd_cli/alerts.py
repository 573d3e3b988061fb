"""One alert for people and scripts: from the message to a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qd_analytics.models.loading import shipped_names
from qd_cli import console
from qd_cli.names import Names
from qd_schemas.enums import ExchangeId, Signal
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
    """

    symbol: str
    exchange: str
    model: str
    signal: str
    time: str
    price: float
    sequence: int
    previous_open: float
    previous_high: float
    previous_close: float
    current_open: float

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it as a line."""
        return (
            f"{self.time}  {self.symbol}  {self.signal}  {console.number(self.price)}"
            f"  ({self.model}, trade {self.sequence})"
        )


async def row_of(alert: BreakoutAlert, names: Names) -> AlertRow:
    """Give an alert its market's name."""
    return AlertRow(
        symbol=await names.of(alert.exchange_id, alert.symbol_id),
        exchange=_name(ExchangeId, alert.exchange_id),
        model=model_name(alert.model_id),
        signal=_name(Signal, alert.signal),
        time=console.iso_time(alert.date_time),
        price=alert.price,
        sequence=alert.sequence,
        previous_open=alert.previous_open,
        previous_high=alert.previous_high,
        previous_close=alert.previous_close,
        current_open=alert.current_open,
    )


def model_name(model_id: int) -> str:
    """Name a model that comes with qd; another one is shown as its number."""
    name, _ = shipped_names().get(model_id, (f"model {int(model_id)}", ()))
    return name


def _name(kind: type[ExchangeId | Signal], value: int) -> str:
    """Name an enumeration's value; what a newer version sends is shown as its number."""
    try:
        return kind(value).name.lower()
    except ValueError:
        return str(value)
