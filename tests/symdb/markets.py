"""An exchange of the tests' own, with markets of which only the symbol master's rows exist."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import psycopg
from grpclib.client import Channel

from qd_schemas.specs import SymdbSettings
from qd_store import Store

EXCHANGE_ID = 201
EXCHANGE = "symdb-tests"
ROWS = [
    (1, "XBTEUR", 62_159, 1_315_000_000_000_000, 1_388_000_000_000_001),
    (2, "XBT/ÜSD", 1, 0, 0),
    (65_534, "LAST", 2**40, 1, 9_000_000_000_000_001),
]
"""Symbol id, symbol, trades, first and last time."""

_TIME = "'epoch'::timestamptz + %s * interval '1 microsecond'"
_INSERT = f"""
INSERT INTO symbol (exchange_id, symbol_id, symbol, trades, first_time, last_time)
VALUES ({EXCHANGE_ID}, %s, %s, %s, {_TIME}, {_TIME})
"""


@contextlib.asynccontextmanager
async def channel_to(endpoint: str) -> AsyncIterator[Channel]:
    """A channel to a symbol master while the block runs."""
    address = SymdbSettings.from_env({"QD_SYMDB": endpoint})
    async with Channel(address.host, address.port) as channel:
        yield channel


async def change(dsn: str, statement: str) -> None:
    """Change the database as an import does, by a transaction of its own."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(statement.encode())


def added(symbol_id: int, symbol: str, trades: int = 7, exchange_id: int = EXCHANGE_ID) -> str:
    """A statement that adds a market."""
    return (
        "INSERT INTO symbol (exchange_id, symbol_id, symbol, trades, first_time, last_time) "
        f"VALUES ({exchange_id}, {symbol_id}, '{symbol}', {trades}, "
        "'2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z')"
    )


@contextlib.asynccontextmanager
async def markets_in(dsn: str) -> AsyncIterator[None]:
    """Have the exchange and its markets in a database while the block runs."""
    async with Store.open(dsn) as store:
        await store.migrate()
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO exchange (exchange_id, name) VALUES (%s, %s)", [EXCHANGE_ID, EXCHANGE]
        )
        async with connection.cursor() as cursor:
            await cursor.executemany(_INSERT, ROWS)
        try:
            yield
        finally:
            await connection.execute(f"DELETE FROM symbol WHERE exchange_id = {EXCHANGE_ID}")
            await connection.execute(f"DELETE FROM exchange WHERE exchange_id = {EXCHANGE_ID}")
