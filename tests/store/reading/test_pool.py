"""Reading in pieces: the connection of one serves the next, and no more of them stay than told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qd_schemas.enums import Resolution
from qd_store import Store
from qd_store.reading import BarQuery, TradeQuery
from support.markets import write_csv
from support.stored_trades import START_US, Statement, Write, trades_of

READERS = """
SELECT pid FROM pg_stat_activity
WHERE application_name = current_setting('application_name') AND left(query, 4) = 'COPY'
"""
TRADES = trades_of([40_000_000] * 500)


async def test_pieces_of_bars_are_read_by_one_connection(
    importer: Callable[..., object], store: Store, statement: Statement, tmp_path: Path
) -> None:
    write_csv(TRADES, tmp_path / "XBTUSD.csv")
    await asyncio.to_thread(importer, tmp_path / "XBTUSD.csv")
    market = await store.market_by_symbol(1, "XBTUSD")
    assert market is not None
    whole = BarQuery(market, Resolution.M1)
    bars, pids = [], set()
    for first in range(1, 330, 41):
        bars.append(
            await store.query(replace(whole, first_sequence=first, end_sequence=first + 41))
        )
        pids |= set(statement(READERS))
    np.testing.assert_array_equal(np.concatenate(bars), await store.query(whole))
    assert len(pids) == 1


@pytest.mark.parametrize("idle_max", [0, 2])
async def test_so_many_connections_stay(
    write: Write, dsn: str, statement: Statement, idle_max: int
) -> None:
    market = await write("XBTUSD", TRADES)
    store = Store(dsn, idle_max=idle_max)
    async with contextlib.aclosing(store):
        fetches = [store.fetch(TradeQuery(market), batch_rows=1_000) for _ in range(3)]
        for fetch in fetches:
            assert len(await anext(fetch)) == 500
        for fetch in fetches:
            assert await anext(fetch, None) is None
        assert len(statement(READERS)) == idle_max


async def test_the_first_trade_from_a_time_on(write: Write, store: Store) -> None:
    market = await write("XBTUSD", trades_of([0, 10, 0, 0, 10]))
    found = [await store.first_sequence(market, START_US + after) for after in (-1, 0, 1, 10, 11)]
    assert found == [1, 1, 2, 2, 5]
    assert await store.first_sequence(market, market.last_time + 1) is None
