"""Markets of generated trades, written as imports write them."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from qd_schemas.arrays import Rows
from qd_store import Market, Store
from qd_store.connections import connect
from qd_store.tables import MarketTables
from support.stored_trades import Statement, Write

BLOCK_ROWS = 10_000


@pytest.fixture
def write(dsn: str, store: Store) -> Write:
    """Add trades to a market; bars are not refreshed."""

    def run(symbol: str, rows: Rows) -> None:
        with connect(dsn) as connection:
            tables = MarketTables(connection, 1, symbol)
            with connection.transaction():
                blocks = (rows[i : i + BLOCK_ROWS] for i in range(0, len(rows), BLOCK_ROWS))
                tables.write(blocks, tables.lock())

    async def added(symbol: str, rows: Rows) -> Market:
        await asyncio.to_thread(run, symbol, rows)
        market = await store.market_by_symbol(1, symbol)
        assert market is not None
        return market

    return added


@pytest.fixture
def statement(dsn: str) -> Statement:
    """Run a statement beside the store."""

    def run(text: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    return run
