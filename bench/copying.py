"""The database's own limits: binary COPY of one market's trades into a table and out of it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg

from qd_schemas.arrays import Rows
from qd_store.administration.psql import psql_call
from qd_store.reading import statements
from qd_store.tables.copying import COPY_HEADER, COPY_TRAILER, TRADE_COLUMNS, CopyRows
from qd_store.tables.kinds import TableKind, kind_of

BLOCK_BYTES = 1 << 20
COPY = "COPY raw_copy FROM STDIN (FORMAT BINARY{})"
INDEX = "CREATE UNIQUE INDEX ON raw_copy (market, time, sequence)"
HYPERTABLE = (
    "SELECT create_hypertable('raw_copy', by_range('time', interval '90 days'),"
    " create_default_indexes => false)",
    INDEX.replace("UNIQUE ", ""),
    "ALTER TABLE raw_copy SET (timescaledb.enable_columnstore,"
    " timescaledb.segmentby = 'market', timescaledb.orderby = 'time, sequence')",
)


def prepare(batches: Iterable[Rows], path: Path) -> Path:
    """Write trades as the bytes of a binary COPY, which is the cheapest way in."""
    encoder = CopyRows(1, TRADE_COLUMNS)
    with path.open("wb") as file:
        file.write(COPY_HEADER)
        for rows in batches:
            columns = {name: rows[name] for name in ("sequence", "time", "price", "volume")}
            file.write(encoder.encoded(**columns))
        file.write(COPY_TRAILER)
    return path


def copy_in_seconds(dsn: str, prepared: Path) -> float:
    """Return what it takes to copy prepared bytes into a table like `trade`, index included.

    On TimescaleDB that is a hypertable of the same settings, filled as any program would.
    """
    with psycopg.connect(dsn) as connection:
        is_plain = kind_of(connection) is TableKind.PLAIN
        connection.execute("DROP TABLE IF EXISTS raw_copy")
        connection.execute("CREATE TABLE raw_copy (LIKE trade)")
        for statement in () if is_plain else HYPERTABLE:
            connection.execute(statement.encode())
        started = time.perf_counter()
        _copy(connection, ", FREEZE" if is_plain else "", prepared)
        if is_plain:
            connection.execute(INDEX.encode())
        connection.execute("ANALYZE raw_copy")
        connection.commit()
        seconds = time.perf_counter() - started
        connection.execute("DROP TABLE raw_copy")
    return seconds


def _copy(connection: psycopg.Connection[Any], options: str, prepared: Path) -> None:
    copy_in = connection.cursor().copy(COPY.format(options).encode())
    with copy_in as copy, prepared.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            copy.write(block)


def copy_out_seconds(dsn: str, market: int) -> float:
    """Return what psql needs to copy a market's trades to nowhere, its own start not counted."""
    query = statements.trades(market, (1, None), (None, None))
    command = f"\\copy ({query}) TO '/dev/null' (FORMAT BINARY)"
    call = psql_call(dsn, ["--no-psqlrc", "-c", "\\timing on", "-c", command])
    environment = {**os.environ, **call.environment}
    answer = subprocess.run(
        call.arguments, check=True, capture_output=True, text=True, env=environment
    ).stdout
    found = re.search(r"Time: ([0-9.]+) ms", answer)
    assert found, answer
    return float(found[1]) / 1000
