"""The names of the relations of bars, for those who write and those who read them."""

from __future__ import annotations

from typing import Final

from qd_schemas.enums import Resolution

BAR_TABLES: Final = {
    Resolution.M1: "bar_1m",
    Resolution.M5: "bar_5m",
    Resolution.M15: "bar_15m",
    Resolution.M30: "bar_30m",
    Resolution.H1: "bar_1h",
    Resolution.D1: "bar_1d",
    Resolution.MO1: "bar_1mo",
    Resolution.Y1: "bar_1y",
}
"""The relation of each resolution; finest first, as they are made of each other.

Columns: market, time, open, high, low, close, volume, trades, last_sequence.
"""
