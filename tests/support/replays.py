"""What a replay must give, made the slow way: all rows sorted, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qd_client.replay.events import Bars, IntervalEnd, Market, ReplayEvent, Slice, Trades
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import bar_ends, bar_starts
from qd_schemas.enums import Resolution


class Row(NamedTuple):
    """One row of a replay: when, whose, and which of its market."""

    time: int
    market: int
    number: int


def trades_at(times: Sequence[int]) -> Rows:
    """Trades at these times, whose volume is their place."""
    rows = np.zeros(len(times), TRADE)
    rows["sequence"] = np.arange(1, len(times) + 1)
    rows["time"] = times
    rows["volume"] = np.arange(len(times))
    return rows


def bars_at(starts: Sequence[int]) -> Rows:
    """Bars that start then, whose volume is their place."""
    rows = np.zeros(len(starts), BAR)
    rows["time"] = starts
    rows["volume"] = np.arange(len(starts))
    return rows


def expected(
    markets: Sequence[Market], rows: Sequence[Rows], every: Resolution | None, end: int | None
) -> list[Row | IntervalEnd]:
    """All rows in order, and the marks between them."""
    found = [
        Row(time, number, place)
        for number, market in enumerate(markets)
        for place, time in enumerate(market.times_of(rows[number]).tolist())
        if end is None or isinstance(market, Trades) or time <= end
    ]
    if every is None:
        return sorted(found)
    # At a boundary: what closes, then the mark, then what begins.
    found.sort(key=lambda row: (interval_of(markets, row, every), row))
    answer: list[Row | IntervalEnd] = []
    last: tuple[int, int] | None = None
    for row in found:
        interval = interval_of(markets, row, every)
        if last is not None and interval != last:
            answer.append(IntervalEnd(*last, False))
            if last[1] < interval[0]:
                answer.append(IntervalEnd(last[1], interval[0], True))
        last = interval
        answer.append(row)
    return [*answer, IntervalEnd(*last, False)] if last else []


def interval_of(markets: Sequence[Market], row: Row, every: Resolution) -> tuple[int, int]:
    """The interval that a row belongs to: a bar to the one that it closes in, or with."""
    time = row.time - 1 if isinstance(markets[row.market], Bars) else row.time
    start = bar_starts(every, np.array([time], np.int64))
    return int(start[0]), int(bar_ends(every, start)[0])


def flat(markets: Sequence[Market], events: Sequence[ReplayEvent]) -> list[Row | IntervalEnd]:
    """Events as single rows and marks."""
    answer: list[Row | IntervalEnd] = []
    for event in events:
        if isinstance(event, IntervalEnd):
            answer.append(event)
            continue
        assert len(event.rows) == len(event.times) > 0
        number = next(n for n, market in enumerate(markets) if market is event.market)
        places = event.rows["volume"].astype(int).tolist()
        answer += [
            Row(time, number, place)
            for time, place in zip(event.times.tolist(), places, strict=True)
        ]
    return answer


def slices(events: Sequence[ReplayEvent]) -> list[Slice]:
    """The slices among events."""
    return [event for event in events if isinstance(event, Slice)]
