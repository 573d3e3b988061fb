"""Which query gives a stream's next rows: the whole request, cut into pieces. Pure, no I/O.

What was stored when the stream began is the end of it, so all pieces together are the rows of
one fetch, whatever is imported meanwhile. Trades go on by sequence. Bars go on by time: to
count them from the start again and again would take longer each time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qd_gateway.core.plans import StreamPlan
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_ends, bar_starts
from qd_schemas.enums import UnfinishedBar
from qd_store import Market
from qd_store.reading import BarQuery, TradeQuery, Unfinished

Query = TradeQuery | BarQuery


class Pieces:
    """Where a stream is: the query of all that is left.

    A piece of it is asked for by `query`; `gave` and `ended` say what came of that.

    Parameters
    ----------
    plan : StreamPlan
        What is asked for.
    market : Market
        Its market as it is stored now.
    first_sequence : int
        Of trades: that of the first one at or after the plan's start.
    """

    def __init__(self, plan: StreamPlan, market: Market, first_sequence: int = 1) -> None:
        self._first: Query
        self._unfinished: BarQuery | None = None  # up to the bar that is not over
        if plan.is_bars:
            self._first = _final_bars(plan, market)
            self._unfinished = _all_bars(plan, market)
        else:
            self._first = _trades(plan, market, first_sequence)
        self._includes = plan.unfinished is UnfinishedBar.INCLUDED
        self._rest = self._first
        self._may_add = self._includes  # the bar that is not over, after all others
        self._missing = 0
        self.gave_any = False
        self.has_ended = _is_empty(self._rest)

    @property
    def left_out(self) -> Query | None:
        """The query of the bar that is left out as it is not over, where no other was given."""
        if self._unfinished is None or self._includes:
            return None
        return replace(self._unfinished, end_sequence=self._unfinished.first_sequence + 1)

    @property
    def is_whole(self) -> bool:
        """Whether the piece has given all rows that it was asked for."""
        return self._missing <= 0

    def query(self, rows: int) -> Query:
        """The query of the next so many rows; not once all have ended."""
        first, end = self._rest.first_sequence, self._rest.first_sequence + rows
        if self._rest.end_sequence is not None:
            end = min(end, self._rest.end_sequence)
        self._missing = end - first
        return replace(self._rest, end_sequence=end)

    def gave(self, rows: Rows) -> None:
        """These rows of the piece came."""
        if len(rows):
            self._missing -= len(rows)
            self._rest = _after(self._rest, rows)
            self.gave_any = True

    def ended(self) -> None:
        """The piece has no more; where it gave less than was asked for, no later one has any."""
        if self.is_whole and not _is_empty(self._rest):
            return
        if isinstance(self._rest, BarQuery) and self._unfinished is not None and self._may_add:
            self._may_add = False
            end = self._unfinished.end_time
            self._rest = replace(self._rest, end_time=end, unfinished=Unfinished.INCLUDED)
        else:
            self.has_ended = True

    def go_back(self, last: Rows | None) -> None:
        """Go on after this row, the last that is not to be read again; None is at the start."""
        self._rest = self._first if last is None else _after(self._first, last)
        self._may_add = self._includes
        self.has_ended = _is_empty(self._rest)


def _trades(plan: StreamPlan, market: Market, first_sequence: int) -> TradeQuery:
    first = max(plan.first_sequence, first_sequence)
    return TradeQuery(market, plan.start_time, plan.end_time, first, market.trades + 1)


def _final_bars(plan: StreamPlan, market: Market) -> BarQuery:
    """The bars that are over."""
    end = _start_of_last(plan, market)
    if plan.end_time is not None:
        end = min(end, plan.end_time)
    return BarQuery(market, plan.resolution, plan.start_time, end, plan.first_sequence)


def _all_bars(plan: StreamPlan, market: Market) -> BarQuery | None:
    """The same, and the one that is not over; None where that is beyond the plan's end."""
    last = _start_of_last(plan, market)
    if plan.end_time is not None and plan.end_time <= last:
        return None
    query = _final_bars(plan, market)
    return replace(query, end_time=last + 1, unfinished=Unfinished.INCLUDED)


def _start_of_last(plan: StreamPlan, market: Market) -> int:
    return int(bar_starts(plan.resolution, np.array([market.last_time], np.int64))[0])


def _after(query: Query, rows: Rows) -> Query:
    """The query of what follows these rows."""
    if isinstance(query, TradeQuery):
        return query.after(rows)
    last = np.ascontiguousarray(rows["time"][-1:])
    start = int(bar_ends(query.resolution, last)[0])
    return replace(query, start_time=start, first_sequence=1)


def _is_empty(query: Query) -> bool:
    return query.end_sequence is not None and query.first_sequence >= query.end_sequence
