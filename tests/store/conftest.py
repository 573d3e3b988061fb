"""What the store's tests share: a database schema of their own, and generated files."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from qd_schemas.arrays import TRADE, Rows
from qd_store import Market, Store
from qd_store.imports import ImportReport, import_paths
from qd_store.reading import TradeQuery

Importer = Callable[..., ImportReport]


@pytest.fixture
def dsn(database_dsn: str) -> Iterator[str]:
    """A DSN whose tables and connections are this test's own, on whatever server it runs."""
    name = f"qd_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        try:
            separator = "&" if "?" in database_dsn else "?"
            own = f"application_name={name}&options=-csearch_path%3D{name}"
            yield f"{database_dsn}{separator}{own}"
        finally:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    async with Store.open(dsn) as opened:
        await opened.migrate()
        yield opened


@pytest.fixture
def importer(dsn: str, tmp_path: Path) -> Importer:
    """`import_paths` into this test's tables."""

    def run(*paths: Path, **options: Any) -> ImportReport:
        return import_paths(dsn, paths, **{"rejects_folder": tmp_path / "rejects", **options})

    return run


@pytest.fixture
def stored(dsn: str) -> Callable[[str], list[tuple[int, int, float, float]]]:
    """A market's rows as the table has them: sequence, microseconds, price, volume."""

    def read(symbol: str) -> list[tuple[int, int, float, float]]:
        with psycopg.connect(dsn) as connection:
            return connection.execute(
                "SELECT sequence, (extract(epoch FROM time) * 1000000)::bigint, price, volume "
                "FROM trade JOIN symbol USING (market) WHERE symbol = %s ORDER BY sequence",
                [symbol],
            ).fetchall()

    return read


@pytest.fixture
def collect(store: Store) -> Callable[..., Awaitable[Rows]]:
    """All rows of a query of trades, of `batch_rows` at a time."""

    async def run(market: Market, batch_rows: int = 32_768, **options: Any) -> Rows:
        fetch = store.fetch(TradeQuery(market, **options), batch_rows=batch_rows)
        return np.concatenate([np.empty(0, TRADE), *[rows async for rows in fetch]])

    return run
