"""A database of its own with two small generated markets, for tests of the gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg

from qd_schemas.arrays import Rows
from qd_store.imports import import_paths
from support.databases import fresh_database
from support.trades import trade_rows

TRADES = 5_000
MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Markets:
    """A database and what is in it: symbol to trades; symbol ids as the import gave them."""

    dsn: str
    trades: dict[str, Rows]
    ids: dict[str, int]


def generated(seed: int, count: int = TRADES) -> Rows:
    """Trades at irregular times over some weeks, with prices that f32 cannot hold."""
    random = np.random.default_rng(seed)
    start = np.datetime64("2013-10-06T21:34:15", "us").astype(np.int64)
    times = start + np.cumsum(random.integers(0, 15, count) * MINUTE_US)
    prices = np.round(65_432.1 + np.cumsum(random.normal(0, 5, count)), 1)
    rows = trade_rows([], [])
    rows = np.zeros(count, rows.dtype)
    rows["sequence"] = np.arange(1, count + 1)
    rows["time"], rows["price"] = times, prices
    rows["volume"] = np.round(random.exponential(1, count) + 1e-5, 5)
    return rows


def write_csv(rows: Rows, path: Path) -> None:
    """Write trades as Kraken does: time in seconds, price, volume."""
    lines = (f"{t // 1_000_000},{p!r},{v!r}\n" for _, t, p, v in rows.tolist())
    path.write_text("".join(lines))


@contextlib.contextmanager
def database_of(server_dsn: str, folder: Path, trades: dict[str, Rows]) -> Iterator[Markets]:
    """A new database on the server with these markets, dropped at the end."""
    csvs = folder / "csv"
    csvs.mkdir(parents=True)
    for symbol, rows in trades.items():
        write_csv(rows, csvs / f"{symbol}.csv")
    with fresh_database(server_dsn) as dsn:
        import_paths(dsn, [csvs], rejects_folder=folder / "rejects")
        yield Markets(dsn, trades, ids_of(dsn))


def ids_of(dsn: str) -> dict[str, int]:
    """The symbol ids of all markets of a database."""
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT symbol, symbol_id FROM symbol").fetchall())
