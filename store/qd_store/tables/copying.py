"""Rows as PostgreSQL's binary COPY wants them: all columns are of fixed width, so numpy
writes them without a loop. No database.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qd_schemas.arrays import Rows
from qd_store.times import EPOCH_2000_US

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"

TRADE_COLUMNS: Final = ("market", "sequence", "time", "price", "volume")
MARK_COLUMNS: Final = ("market", "sequence", "time")
BAR_COLUMNS: Final = (
    *("market", "time", "open", "high", "low", "close", "volume", "trades", "last_sequence"),
)
_INTEGERS: Final = ("market", "sequence", "time", "trades", "last_sequence")


class CopyRows:
    """A buffer of rows of one market, used again for each block.

    Parameters
    ----------
    market : int
        Its key, the same in each row.
    columns : sequence of str
        The table's, in its order, market first.
    """

    def __init__(self, market: int, columns: tuple[str, ...]) -> None:
        fields: list[tuple[str, str]] = [("fields", ">i2")]
        for name in columns:
            size = 4 if name == "market" else 8
            fields += [(f"{name}_bytes", ">i4"), (name, _code(name, size))]
        self._dtype = np.dtype(fields)
        self._columns = columns
        self._market = market
        self._buffer = self._template(0)

    def encoded(self, **columns: object) -> memoryview:
        """Rows of these columns, all but the market; the view holds until the next call.

        Times are microseconds since the epoch.
        """
        count = len(columns[self._columns[1]])  # type: ignore[arg-type]
        if count > len(self._buffer):
            self._buffer = self._template(count)
        block = self._buffer[:count]
        for name, values in columns.items():
            block[name] = values
        block["time"] -= EPOCH_2000_US
        return block.view(np.uint8).data

    def _template(self, count: int) -> Rows:
        """Rows with all that is the same in each."""
        rows = np.zeros(count, self._dtype)
        rows["fields"] = len(self._columns)
        for name in self._columns:
            rows[f"{name}_bytes"] = self._dtype[name].itemsize
        rows["market"] = self._market
        return rows


def _code(name: str, size: int) -> str:
    return f">i{size}" if name in _INTEGERS else ">f8"
