"""What a market has stored from a time on, for an import to compare a file with.

Read beside the import's own transaction, whose lock keeps others from changing it.
"""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Final

from qd_schemas.arrays import Rows
from qd_store.streams import StreamDatabase, TradeReader

_BATCH_ROWS: Final = 65_536


class StoredTrades:
    """Reads a market's trades from a time on, in time order.

    Parameters
    ----------
    dsn : str
        The database.
    market : int
        The market's key.
    from_time : int
        Microseconds since the epoch.
    """

    def __init__(self, dsn: str, market: int, from_time: int) -> None:
        self._database = StreamDatabase(dsn)
        self._reader = TradeReader(self._database, market, 1, 2**62, _BATCH_ROWS)
        self._from_time = from_time

    def __enter__(self) -> StoredTrades:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.cancel()
        self._reader.close()
        self._database.close()

    def blocks(self) -> Generator[Rows]:
        """The trades as rows of TRADE, in batches."""
        while (rows := self._reader.read()) is not None:
            rows = rows[rows["time"] >= self._from_time]
            if len(rows):
                yield rows
