"""What a finished demo reports. Only values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Summary:
    """The closing summary.

    Attributes
    ----------
    generated : bool
        The trades were invented by this program.
    rows_imported, rows_rejected : int
        Over all files.
    trades_streamed, trades_received : int
        What the streamed market holds, and what arrived, in order and without a gap.
    seconds : mapping of str to float
        By step; ``import`` and ``stream`` are what the rates are made of.
    alerts : int
        Complete for the streamed market.
    alerts_elsewhere : int
        Of the other markets, as far as the analytics service had come.
    peak_memory_bytes : mapping of str to int
        By process with its workers; ``qd`` is this command itself.
    """

    generated: bool
    market: str
    markets: int
    rows_imported: int
    rows_rejected: int
    rejected_by_reason: Mapping[str, int]
    trades_streamed: int
    trades_received: int
    bars_received: int
    import_rows_per_second: float
    stream_trades_per_second: float
    alerts: int
    alerts_elsewhere: int
    seconds: Mapping[str, float]
    peak_memory_bytes: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return the summary as the last object of ``--json``."""
        return {"event": "summary", **asdict(self)}
