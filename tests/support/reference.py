"""What the main job must give, computed the slow and obvious way: plain Python, trade by trade.

Shares no code with the project, so that agreement proves something.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade as its CSV line says it."""

    sequence: int
    time_us: int
    price: float
    volume: float


@dataclass(frozen=True, slots=True)
class MonthBar:
    """A calendar month: its number (year * 12 + month) and its prices."""

    month: int
    open: float
    high: float
    close: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of some minutes: the time of its start, and what was traded in it."""

    time_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a CSV, packed or not."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from file


def parsed(line: str) -> tuple[int, float, float] | None:
    """Return microseconds, price and volume; None for a line that is no trade."""
    fields = line.strip().split(",")
    try:
        time_s, price, volume = (Decimal(field) for field in fields)
    except (InvalidOperation, ValueError):
        return None
    if not price > 0 or volume < 0:
        return None
    return int(time_s * 1_000_000), float(fields[1]), float(fields[2])


def trades_of(path: Path) -> tuple[list[Trade], int]:
    """Return a file's trades in stable time order, and how many lines are none."""
    rows = [parsed(line) for line in lines_of(path)]
    good = sorted((row for row in rows if row is not None), key=lambda row: row[0])
    return [Trade(n, *row) for n, row in enumerate(good, 1)], len(rows) - len(good)


def minute_bars(trades: Iterable[Trade], minutes: int) -> list[Bar]:
    """Return the bars of some minutes, each of at least one trade, in order of time."""
    found: dict[int, Bar] = {}
    for trade in trades:
        start, price = trade.time_us - trade.time_us % (minutes * 60_000_000), trade.price
        bar = found.get(start, Bar(start, price, price, price, price, 0.0))
        high, low = max(bar.high, price), min(bar.low, price)
        found[start] = Bar(start, bar.open, high, low, price, bar.volume + trade.volume)
    return list(found.values())


def month_of(time_us: int) -> int:
    """Return the UTC calendar month of a time as year * 12 + month."""
    date = EPOCH + timedelta(microseconds=time_us)
    return date.year * 12 + date.month


def answers(trades: Iterable[Trade]) -> Iterator[tuple[Trade, bool | None]]:
    """Yield each trade with whether it is a monthly breakout; None is not evaluated."""
    previous: MonthBar | None = None
    current: MonthBar | None = None
    for trade in trades:
        month = month_of(trade.time_us)
        if current is None or current.month != month:
            previous, current = current, MonthBar(month, trade.price, trade.price, trade.price)
        if previous is None or previous.month != month - 1:
            yield trade, None
        else:
            yield (
                trade,
                previous.close > previous.open
                and trade.price > previous.close
                and trade.price > current.open
                and trade.price > previous.high,
            )
        current = MonthBar(month, current.open, max(current.high, trade.price), trade.price)


def rises(trades: Iterable[Trade]) -> list[tuple[int, int, float]]:
    """Return (sequence, microseconds, price) of each trade at which the signal rises."""
    found, before = [], False
    for trade, answer in answers(trades):
        if answer and not before:
            found.append((trade.sequence, trade.time_us, trade.price))
        before = bool(answer)
    return found
