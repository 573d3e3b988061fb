"""Look-ups at the symbol master: rate and p99 for one client and a hundred, cached and not.

As many markets as Kraken has, in a database and a symbol master of their own. All clients
are in this process, each with a connection of its own and one look-up at a time; what is not
cached goes over gRPC, and is as new as the database. The measure of it is one query of the
same row by one connection, as fast as psycopg asks. ``python -m bench symdb``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import numpy as np
import psycopg

from bench.report import Row, compared, show
from qd_cli.stack.parts import DATABASE, SYMDB, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor
from qd_client import SymdbClient
from qd_client.local import StackRecord
from qd_schemas.enums import ExchangeId
from qd_schemas.specs import SymdbSettings

MARKETS = 700
SECONDS = 5.0
QUERY = """
SELECT exchange_id, symbol_id, symbol, trades, first_time, last_time
FROM symbol WHERE exchange_id = 1 AND symbol = %s
"""
INSERT = f"""
INSERT INTO symbol (exchange_id, symbol_id, symbol, trades, first_time, last_time)
SELECT 1, id, 'B' || id || 'USD', id, now(), now() FROM generate_series(1, {MARKETS}) AS id
"""


async def look_ups(client: SymdbClient, number: int, until: float) -> list[float]:
    """Return how long each look-up took, one after the other until a time."""
    times = []
    while (began := time.perf_counter()) < until:
        number = number * 7919 % MARKETS + 1
        await client.id_by_symbol(ExchangeId.KRAKEN, f"B{number}USD")
        times.append(time.perf_counter() - began)
        # A cached answer awaits nothing: the others, and the watch, need their turns too.
        if len(times) % 100 == 0:
            await asyncio.sleep(0)
    return times


async def of_clients(endpoint: str, count: int, cache_markets: int) -> tuple[float, float]:
    """Return look-ups/s of so many clients, and the p99 of one in microseconds."""
    where = SymdbSettings.from_env({"QD_SYMDB": endpoint})
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                SymdbClient(where.host, where.port, deadline_s=60, cache_markets=cache_markets)
            )
            for _ in range(count)
        ]
        symbols = [f"B{number}USD" for number in range(1, MARKETS + 1)]
        for _ in range(2):  # the first begins the watch, without which nothing is kept
            await asyncio.gather(*(one.look_up(ExchangeId.KRAKEN, symbols) for one in clients))
        began = time.perf_counter()
        found = await asyncio.gather(
            *(look_ups(one, index, began + SECONDS) for index, one in enumerate(clients))
        )
        seconds = time.perf_counter() - began
    times = np.concatenate([np.array(one) for one in found])
    return len(times) / seconds, float(np.quantile(times, 0.99)) * 1e6


async def of_database(dsn: str) -> tuple[float, float]:
    """Return the same of queries by one connection."""
    times = []
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        began = now = time.perf_counter()
        number = 0
        while now < began + SECONDS:
            number = number * 7919 % MARKETS + 1
            await (await connection.execute(QUERY, [f"B{number}USD"])).fetchone()
            before, now = now, time.perf_counter()
            times.append(now - before)
    return len(times) / (now - began), float(np.quantile(times, 0.99)) * 1e6


async def _rows(record: StackRecord) -> list[Row]:
    dsn, endpoint = record.settings[DATABASE], record.settings[SYMDB]
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(INSERT.encode())
    rate, late = await of_database(dsn)
    limit = Row("one query by one connection", rate, "look-ups/s")
    limit_p99 = Row("p99 of one query", late, "µs")
    rows = [limit, limit_p99]
    for count in (1, 100):
        for cached in (False, True):
            rate, late = await of_clients(endpoint, count, MARKETS * cached)
            name = f"{count} client{'s' * (count > 1)}, {'cached' if cached else 'not cached'}"
            rows.append(compared(name, rate, "look-ups/s", limit))
            rows.append(compared(f"p99 of {name}", late, "µs", limit_p99))
    return rows


async def symdb(folder: Path) -> None:
    """Run a database and a symbol master of their own, and print the rows."""
    parts = [part for part in qd_parts() if part.name in ("database", "symdb")]
    stack = Supervisor(StateFolder(folder / "symdb"), parts)
    try:
        record = await stack.up(Choices(die_with_starter=True))
        show(f"Symbol master: {MARKETS} markets", await _rows(record))
    finally:
        await stack.down()
