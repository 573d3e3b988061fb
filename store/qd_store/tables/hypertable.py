"""Trades into TimescaleDB: compressed on their way into the chunks of a hypertable.

The server compresses what COPY brings, since an import's rows come in a market's order.
A few rows would make a bad batch: they stay as rows until `pieces` compresses many of them.
Bars are continuous aggregates, which follow when `refresh` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

import psycopg

from qd_schemas.arrays import Rows
from qd_store.tables.chunks import Chunks
from qd_store.tables.copier import Copier
from qd_store.tables.writer import Stored, TradeWriter

COMPRESSED_ROWS_MIN: Final = 1_000  # a full batch of TimescaleDB's

_DIRECTLY = """
SELECT set_config('timescaledb.enable_direct_compress_copy', %(on)s, true),
       set_config('timescaledb.enable_direct_compress_copy_client_sorted', %(on)s, true)
"""


class HypertableWriter(TradeWriter):
    """Writes one market's trades."""

    def __init__(self, connection: psycopg.Connection[Any], market: int, stored: Stored) -> None:
        super().__init__(connection, market, stored)
        self._chunks = Chunks(connection)

    def _write(self, blocks: Iterator[Rows]) -> None:
        first = next(blocks)
        second = next(blocks, None)
        directly = second is not None or len(first) >= COMPRESSED_ROWS_MIN
        self._connection.execute(_DIRECTLY, {"on": "on" if directly else "off"})
        head = (first,) if second is None else (first, second)
        with self._chunks, Copier(self._connection) as copier:
            for rows in chain(head, blocks):
                self._chunks.ensure(int(rows["time"][0]), int(rows["time"][-1]))
                copier.put("trade", self._encoded(rows))

    def _bars_sequence(self) -> int:
        return self._stored.bars_sequence
