"""Bars made one trade at a time in plain Python: what all others must equal, to the last bit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qd_schemas.arrays import Rows
from qd_schemas.bars import CHAIN
from qd_schemas.enums import Resolution

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}


def microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def naive_start(resolution: Resolution, time: int) -> int:
    moment = EPOCH + timedelta(microseconds=time)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match resolution.label:
        case "1Y" | "1y":
            start = day.replace(month=1, day=1)
        case "1M":
            start = day.replace(day=1)
        case "1d":
            start = day
        case label:
            minutes = (moment - day) // timedelta(minutes=1)
            start = day + timedelta(minutes=minutes // MINUTES[label] * MINUTES[label])
    return (start - EPOCH) // timedelta(microseconds=1)


def naive_bars(resolution: Resolution, trades: Rows) -> list[tuple[float, ...]]:
    """Trades to minutes, minutes to five minutes, and so on up to the resolution."""
    rows: list[tuple[float, ...]] = [
        (time, price, price, price, price, volume) for _, time, price, volume in trades.tolist()
    ]
    for level in CHAIN[: CHAIN.index(resolution) + 1]:
        bars: list[list[float]] = []
        for time, first, high, low, last, volume in rows:
            start = naive_start(level, int(time))
            if not bars or bars[-1][0] != start:
                bars.append([start, first, high, low, last, 0.0])
            bar = bars[-1]
            bar[2], bar[3], bar[4] = max(bar[2], high), min(bar[3], low), last
            bar[5] += volume
        rows = [tuple(bar) for bar in bars]
    return rows
