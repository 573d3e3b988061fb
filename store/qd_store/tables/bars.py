"""Stored bars: their relations, and all resolutions made of trades at once. No database."""

from __future__ import annotations

from typing import Final

import numpy as np

from qd_schemas.arrays import BAR
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

STORED_BAR: Final[np.dtype[np.void]] = np.dtype(
    [*((name, BAR[name]) for name in BAR.names or ()), ("trades", "<i8"), ("last_sequence", "<i8")]
)
"""A bar as it is stored: with how many trades made it, and the last one's sequence."""
