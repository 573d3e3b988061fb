"""Check every market of a database, and repair what follows from its trades.

Trades are streamed once, in the order (time, sequence), beside the bars that they must have
made; both connections see the same moment, whatever is imported meanwhile. What is found
wrong with the trades themselves is only told: they come from files, and nothing else has them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from qd_schemas.arrays import TRADE, Rows
from qd_schemas.bars import CHAIN
from qd_schemas.enums import Resolution
from qd_store.administration.soundness import (
    MARK,
    BarCheck,
    Findings,
    Problem,
    Symbol,
    TradeCheck,
)
from qd_store.connections import connect, translating
from qd_store.errors import CheckStopped, UnknownMarket
from qd_store.migrate import check_version
from qd_store.reading import statements
from qd_store.reading.blocking import read_rows
from qd_store.tables import (
    BAR_TABLES,
    STORED_BAR,
    RefreshCallback,
    TableKind,
    kind_of,
    refresh_bars,
)
from qd_store.tables.locks import lock_market
from qd_store.times import MICROSECONDS

_SYMBOLS: Final = f"""
SELECT exchange.name AS exchange, symbol, market, trades,
    {MICROSECONDS.format("first_time")} AS first_time,
    {MICROSECONDS.format("last_time")} AS last_time,
    bars_sequence, {MICROSECONDS.format("bars_time")} AS bars_time
FROM symbol JOIN exchange USING (exchange_id) ORDER BY market
"""
_STRANGERS: Final = """
SELECT market FROM (SELECT DISTINCT market FROM trade_mark
    UNION SELECT DISTINCT market FROM bar_1y) AS found
WHERE market NOT IN (SELECT market FROM symbol) ORDER BY market
"""
_MARKS: Final = "SELECT sequence, time FROM trade_mark WHERE market = {} ORDER BY sequence"
_BARS: Final = """
SELECT time, open, high, low, close, volume, trades, last_sequence FROM {table}
WHERE market = {market} {after} {until} ORDER BY time
"""
_DELETE_MARKS = "DELETE FROM trade_mark WHERE market = %s"
_MAKE_MARKS = """
INSERT INTO trade_mark
SELECT market, sequence, time FROM trade WHERE market = %s AND sequence %% 8192 = 1
"""
_COUNT = """
UPDATE symbol SET (trades, first_time, last_time, bars_sequence, bars_time) =
    (SELECT count(*), min(time), max(time), 0, NULL::timestamptz
     FROM trade WHERE market = %(market)s)
WHERE market = %(market)s
"""


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """How far a check is: the market at hand, its number from 1, and trades in all markets."""

    symbol: str
    market: int
    markets: int
    rows: int
    rows_total: int


ProgressCallback: TypeAlias = Callable[[CheckProgress], None]


@dataclass(frozen=True, slots=True)
class MarketReport:
    """What was found of one market.

    Attributes
    ----------
    rows : int
        Trades counted.
    counts : dict
        How often each problem was found; empty where all is sound.
    texts : dict
        Some of them in words.
    """

    exchange: str
    symbol: str
    market: int
    rows: int
    seconds: float
    counts: dict[Problem, int]
    texts: dict[Problem, list[str]]

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong."""
        return not self.counts

    @property
    def is_repairable(self) -> bool:
        """All that is wrong follows from trades that are sound, of a market that has a symbol."""
        return bool(self.exchange) and all(problem.is_repairable for problem in self.counts)


def check_markets(
    dsn: str,
    *,
    symbols: Sequence[str] = (),
    progress: ProgressCallback | None = None,
    stop: threading.Event | None = None,
) -> Iterator[MarketReport]:
    """Check all markets, or some, one after the other; blocks.

    Parameters
    ----------
    dsn : str
        The database, as a role that may read trades and bars.
    symbols : sequence of str
        Only these.
    progress : callable, optional
        Told after each block, in this thread.
    stop : threading.Event, optional
        Set it to stop between two blocks.

    Yields
    ------
    MarketReport
        Also of markets that have rows, but no symbol: they are named by their number.

    Raises
    ------
    UnknownMarket
        There is no such symbol.
    CheckStopped
        The caller asked for it.
    SchemaMismatch, DatabaseUnreachable, ConnectionLost, QueryFailed
        About the database.
    """
    with translating(), connect(dsn) as connection:
        check_version(connection)
        found = _chosen(connection, symbols)
        strangers = [] if symbols else [row[0] for row in connection.execute(_STRANGERS)]
    meter = _Meter(found, progress, stop)
    for symbol in found:
        meter.next(symbol)
        with translating(), _snapshots(dsn, symbol.market) as (trades, others, fresh):
            yield _checked(fresh, trades, others, meter)
    for market in strangers:
        text = f"rows of market {market} in trade_mark or bar_1y belong to no symbol"
        yield MarketReport(
            "", f"market {market}", market, 0, 0.0, {Problem.COUNT: 1}, {Problem.COUNT: [text]}
        )


def repair_markets(
    dsn: str,
    reports: Sequence[MarketReport],
    stop: threading.Event | None = None,
    *,
    progress: RefreshCallback | None = None,
) -> list[MarketReport]:
    """Make anew what follows from the trades, for those markets whose trades are sound.

    On plain tables only their bars are made anew; continuous aggregates are made for all
    markets at once.

    Parameters
    ----------
    dsn : str
        The database, as its owner.
    reports : sequence of MarketReport
        What `check_markets` gave.
    stop : threading.Event, optional
        Set it to stop soon.
    progress : callable, optional
        Told how far the bars are, in this thread.

    Returns
    -------
    list of MarketReport
        Of the markets that were repaired, checked anew.
    """
    wrong = [each for each in reports if not each.is_sound and each.is_repairable]
    if not wrong:
        return []
    with translating(), connect(dsn) as connection:
        is_plain = kind_of(connection) is TableKind.PLAIN
        for report in wrong:
            with connection.transaction():
                lock_market(connection, report.market)
                connection.execute(_DELETE_MARKS, [report.market])
                connection.execute(_MAKE_MARKS, [report.market])
                if {Problem.COUNT, Problem.BAR} & report.counts.keys():
                    connection.execute(_COUNT, {"market": report.market})
                    if is_plain:
                        _delete_bars(connection, report.market)
    if any({Problem.COUNT, Problem.BAR} & report.counts.keys() for report in wrong):
        # On plain tables those of the repaired markets are what is behind.
        refresh_bars(dsn, stop=stop, progress=progress, everything=not is_plain)
    return list(check_markets(dsn, symbols=[report.symbol for report in wrong], stop=stop))


def _delete_bars(connection: psycopg.Connection[Any], market: int) -> None:
    """Also those of a market without trades, of which no refresh makes any."""
    for table in BAR_TABLES.values():
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE market = %s").format(sql.Identifier(table)), [market]
        )


class _Meter:
    """Tells how far a check is, and stops it."""

    def __init__(
        self,
        symbols: Sequence[Symbol],
        progress: ProgressCallback | None,
        stop: threading.Event | None,
    ) -> None:
        self._progress = progress
        self._stop = stop
        self._markets = len(symbols)
        self._total = sum(symbol.trades for symbol in symbols)
        self._name, self._market, self._rows = "", 0, 0

    def next(self, symbol: Symbol) -> None:
        self._name, self._market = symbol.symbol, self._market + 1
        self.step(0)

    def step(self, rows: int) -> None:
        if self._stop is not None and self._stop.is_set():
            raise CheckStopped("the check was stopped: nothing was changed")
        self._rows += rows
        if self._progress is not None:
            self._progress(
                CheckProgress(self._name, self._market, self._markets, self._rows, self._total)
            )


def _checked(symbol: Symbol, trades: Any, others: Any, meter: _Meter) -> MarketReport:
    began = time.monotonic()
    findings = Findings()
    of_trades, of_bars = TradeCheck(symbol, findings), BarCheck(symbol, findings)
    stored = _StoredBars(others, symbol.market)
    select = statements.trades(symbol.market, (1, None), (None, None))
    for rows in read_rows(trades, select, TRADE):
        of_trades.feed(rows)
        if findings.is_numbered:  # of trades that are not, no bar can be told to be right
            _compare_bars(of_bars, of_bars.feed(rows), stored)
        meter.step(len(rows))
    if findings.is_numbered:
        _compare_bars(of_bars, of_bars.finish(), stored, to_the_end=symbol.has_all_bars)
    of_trades.finish(_all(others, _MARKS.format(symbol.market), MARK))
    return MarketReport(
        exchange=symbol.exchange,
        symbol=symbol.symbol,
        market=symbol.market,
        rows=of_trades.rows,
        seconds=time.monotonic() - began,
        counts={problem: count for problem, count in findings.counts.items() if count},
        texts=findings.texts,
    )


def _compare_bars(
    check: BarCheck, due: list[Rows], stored: _StoredBars, *, to_the_end: bool = False
) -> None:
    for resolution, bars in zip(CHAIN, due, strict=True):
        if to_the_end:
            check.compare(resolution, bars, stored.until(resolution, None))
        elif len(bars):
            check.compare(resolution, bars, stored.until(resolution, int(bars["time"][-1])))


class _StoredBars:
    """Reads a market's stored bars, each once, in step with its trades."""

    def __init__(self, connection: psycopg.Connection[Any], market: int) -> None:
        self._connection = connection
        self._market = market
        self._read: dict[Resolution, int] = {}

    def until(self, resolution: Resolution, last: int | None) -> Rows:
        """The bars after those read so far, up to a start; all others where it is None."""
        after = self._read.get(resolution)
        select = _BARS.format(
            table=BAR_TABLES[resolution],
            market=self._market,
            after="" if after is None else f"AND time > {statements.instant(after)}",
            until="" if last is None else f"AND time <= {statements.instant(last)}",
        )
        if last is not None:
            self._read[resolution] = last
        return _all(self._connection, select, STORED_BAR)


def _all(connection: psycopg.Connection[Any], select: str, dtype: np.dtype[np.void]) -> Rows:
    return np.concatenate([np.empty(0, dtype), *read_rows(connection, select, dtype)])


def _chosen(connection: psycopg.Connection[Any], wanted: Sequence[str]) -> list[Symbol]:
    """The markets to check."""
    found = connection.cursor(row_factory=class_row(Symbol)).execute(_SYMBOLS).fetchall()
    unknown = set(wanted) - {symbol.symbol for symbol in found}
    if unknown:
        raise UnknownMarket(
            f"no market is named {', '.join(sorted(unknown))}: `qd db status` lists them"
        )
    return [symbol for symbol in found if not wanted or symbol.symbol in wanted]


@contextmanager
def _snapshots(dsn: str, market: int) -> Iterator[tuple[Any, Any, Symbol]]:
    """Two connections that see the same moment, and the market's row at it."""
    with closing(connect(dsn)) as trades, closing(connect(dsn)) as others:
        for connection in (trades, others):
            connection.execute(statements.SETTINGS)
        trades.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = trades.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None  # an expression always gives one
        others.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        others.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(row[0]))
        symbols = others.cursor(row_factory=class_row(Symbol)).execute(_SYMBOLS).fetchall()
        yield trades, others, next(symbol for symbol in symbols if symbol.market == market)
