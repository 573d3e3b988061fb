"""How the server answers the readers' statements: in the indexes' order, reading what is asked."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import psycopg
import pytest

from qd_schemas.arrays import Rows
from qd_schemas.enums import Resolution
from qd_store.reading import statements
from qd_store.tables import refresh_bars
from support.stored_trades import Write, trades_of

COUNT = 60_000
SLACK_ROWS = 1_000  # blocks of compressed rows, each counted where it is read
SECOND_US = 1_000_000
PIECE_ROWS_MAX = 12_000
"""What may be read for a few rows: those between two marks, and a block of compressed ones."""


def nodes(plan: dict[str, object]) -> list[dict[str, object]]:
    parts = plan.get("Plans", [])
    assert isinstance(parts, list)
    return [plan, *(node for part in parts for node in nodes(part))]


def planned(dsn: str, select: str) -> list[dict[str, object]]:
    """The nodes of a statement's plan, as a reader's connection runs it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.SETTINGS)
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {select}"
        row = connection.execute(explain.encode()).fetchone()
    assert row is not None
    (found,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return nodes(found["Plan"])


@pytest.fixture
async def rows(write: Write, dsn: str) -> Rows:
    """Of one market among three, some of which lie beside each other in chunks."""
    trades = trades_of(np.full(COUNT, 97 * SECOND_US))
    for symbol in ("XBTCAD", "XBTEUR", "XBTUSD"):
        await write(symbol, trades)
    await asyncio.to_thread(refresh_bars, dsn)
    return trades


async def test_no_statement_sorts_or_reads_more_than_it_gives(rows: Rows, dsn: str) -> None:
    market = 65_538
    middle = int(rows["time"][COUNT // 2])
    hour = (middle, middle + 3600 * SECOND_US)
    by_sequence = (int(rows["time"][24_576]), int(rows["time"][32_768]) + 1)
    everything = (None, None)
    selects = [
        (statements.trades(market, (1, None), everything), COUNT),
        (statements.trades(market, (1, None), hour), PIECE_ROWS_MAX),
        (statements.trades(market, (25_000, 25_100), by_sequence), PIECE_ROWS_MAX),
        (statements.trades(market, (25_000, COUNT), (by_sequence[0], None), 1_024), PIECE_ROWS_MAX),
        (statements.bars(market, Resolution.M1, hour), PIECE_ROWS_MAX),
        (statements.bars(market, Resolution.M1, everything), COUNT),
        (statements.bars(market, Resolution.D1, everything), COUNT),
        (statements.bars(market, Resolution.M1, (middle, None), 1_000), PIECE_ROWS_MAX),
    ]
    for select, rows_max in selects:
        found = await asyncio.to_thread(planned, dsn, select)
        kinds = {str(node["Node Type"]) for node in found}
        assert not kinds & {"Sort", "Incremental Sort", "Seq Scan", "Bitmap Heap Scan"}, select
        read = sum(_read(node) for node in found if _is_scan(node))
        assert read <= rows_max + SLACK_ROWS, select


def _is_scan(node: dict[str, object]) -> bool:
    return node.get("Custom Plan Provider", "ColumnarScan") == "ColumnarScan" and (
        "Plans" not in node or "Custom Plan Provider" in node
    )


def _read(node: dict[str, object]) -> int:
    """Rows that a scan looked at; of compressed ones those that were unpacked."""
    given, removed = node["Actual Rows"], node.get("Rows Removed by Filter", 0)
    assert isinstance(given, int | float)
    assert isinstance(removed, int | float)
    return int(given + removed)
