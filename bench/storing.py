"""Import and fetch of one market, against the database's own COPY both ways."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from bench.copying import copy_in_seconds, copy_out_seconds, prepare
from bench.report import Row, best_seconds, compared
from qd_schemas.arrays import BAR, Rows
from qd_schemas.bars import Resampler
from qd_schemas.enums import ExchangeId, Resolution
from qd_store import Market, Store
from qd_store.imports import import_paths
from qd_store.reading import BarQuery, TradeQuery, Unfinished

REPEATS = 3
STREAM_ID = 1


async def market_of(store: Store, symbol: str) -> Market:
    """Return a market that is there."""
    found = await store.market_by_symbol(ExchangeId.KRAKEN, symbol)
    assert found is not None, symbol
    return found


async def arrays_seconds(store: Store, market: Market) -> float:
    """Return what a stream of all trades as arrays needs."""
    started = time.perf_counter()
    async for _ in store.fetch(TradeQuery(market)):
        pass
    return time.perf_counter() - started


async def frames_seconds(store: Store, market: Market) -> float:
    """Return what a stream of all trades as packed SBE frames needs."""
    started = time.perf_counter()
    async for _ in store.fetch_frames(TradeQuery(market), stream_id=STREAM_ID):
        pass
    return time.perf_counter() - started


async def stored_bars_seconds(store: Store, market: Market, resolution: Resolution) -> float:
    """Return what all bars of a resolution need, read as they are stored."""
    started = time.perf_counter()
    await store.query(BarQuery(market, resolution, unfinished=Unfinished.INCLUDED))
    return time.perf_counter() - started


async def bars_of_trades_seconds(store: Store, market: Market, resolution: Resolution) -> float:
    """Return what the same bars need, made of all trades."""
    started = time.perf_counter()
    resampler, parts = Resampler(resolution), [np.empty(0, BAR)]
    async for rows in store.fetch(TradeQuery(market)):
        parts.append(resampler.feed(rows))
    np.concatenate([*parts, resampler.finish()])
    return time.perf_counter() - started


def import_rate(dsn: str, csv: Path, scratch: Path, repeats: int) -> float:
    """Return the best rate of several imports, each into a new market, in rows/s.

    All is counted: unpacking, parsing, the connections, the commit, indexes and bars.
    """
    rates = []
    for number in range(repeats):
        name = scratch / f"COPY{number}.{csv.name.partition('.')[2]}"
        name.symlink_to(csv.resolve())
        report = import_paths(dsn, [name], rejects_folder=scratch)
        rates.append(report.rows / report.seconds)
    return max(rates)


async def fetching(store: Store, dsn: str, market: Market, repeats: int) -> list[Row]:
    """Compare fetches with psql, and stored bars with bars made of trades."""
    out_s = min(copy_out_seconds(dsn, market.key) for _ in range(repeats))
    arrays_s = min([await arrays_seconds(store, market) for _ in range(repeats)])
    frames_s = min([await frames_seconds(store, market) for _ in range(repeats)])
    raw = Row("COPY out by psql", market.trades / out_s, "rows/s")
    bars = [raw]
    for resolution in (Resolution.M1, Resolution.D1):
        label = resolution.label
        stored_s = min(
            [await stored_bars_seconds(store, market, resolution) for _ in range(repeats)]
        )
        made = Row(
            f"{label} bars made of trades",
            1 / await bars_of_trades_seconds(store, market, resolution),
            "a second",
        )
        bars += [made, compared(f"{label} bars stored", 1 / stored_s, "a second", made)]
    return [
        raw,
        compared("fetch as arrays", market.trades / arrays_s, "rows/s", raw),
        compared("fetch as SBE frames", market.trades / frames_s, "rows/s", raw),
        *bars[1:],
    ]


async def storing(
    dsn: str, csv: Path, scratch: Path, repeats: int = REPEATS
) -> tuple[list[Row], Rows]:
    """Import `csv`, read it back, and return the rates and the trades."""
    report = import_paths(dsn, [csv], rejects_folder=scratch)
    async with Store.open(dsn) as store:
        market = await market_of(store, report.files[0].symbol)
        rows = await store.query(TradeQuery(market))
        fetched = await fetching(store, dsn, market, repeats)
    block = prepare([rows], scratch / "prepared")
    in_s = best_seconds(lambda: copy_in_seconds(dsn, block), repeats)
    block.unlink()
    raw_in = Row("COPY in of prepared rows, with index", len(rows) / in_s, "rows/s")
    rate = import_rate(dsn, csv, scratch, repeats)
    return [raw_in, compared("import of the CSV", rate, "rows/s", raw_in), *fetched], rows
