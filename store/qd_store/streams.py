"""One stream of trades out of the database: its own connection, constant memory.

The bulk path is adbc-driver-postgresql: it reads the server's binary COPY in C into Arrow
batches, as fast as ``psql`` can, where psycopg hands over one Python object a row. All calls
of `TradeReader` block and belong in a thread; `cancel` may come from another one.
"""

from __future__ import annotations

import contextlib
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import numpy as np
import pyarrow as pa

from qd_schemas.arrays import TRADE, Rows
from qd_store.connections import bounded, lost
from qd_store.errors import ConnectionLost, DatabaseUnreachable, QueryFailed, StoreError

ROW_WIRE_BYTES = 50  # a row of binary COPY: a count, and four fields of 4 + 8 bytes
_BATCH_OPTION = adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value

# The sequence index gives the order. A sort would read all rows before it gave the first.
_ORDER_BY_INDEX = "SET enable_sort = off"
_NO_LIMIT = "SET statement_timeout = 0"


class TradeReader:
    """Reads one market's trades in sequence order, batch by batch.

    Parameters
    ----------
    database : StreamDatabase
        Where connections come from.
    market : int
        The market's key.
    first_sequence, end_sequence : int
        Trades from the first up to, not including, the end.
    batch_rows : int
        Rows a batch, at most.
    """

    def __init__(
        self,
        database: StreamDatabase,
        market: int,
        first_sequence: int,
        end_sequence: int,
        batch_rows: int,
    ) -> None:
        self._database = database
        self._query = (  # numbers only, so nothing needs quoting; parameters would forbid COPY
            "SELECT sequence, time, price, volume FROM trade "
            f"WHERE market = {market:d} AND sequence >= {first_sequence:d} "
            f"AND sequence < {end_sequence:d} ORDER BY sequence"
        )
        self._batch_rows = batch_rows
        self._next_sequence = first_sequence
        self._handles = contextlib.ExitStack()
        self._statement: Any = None
        self._batches: Any = None

    def read(self) -> Rows | None:
        """The next rows, or None at the end.

        Raises
        ------
        ConnectionLost
            The database went away; the error knows the next sequence.
        DatabaseUnreachable, QueryFailed
            The stream could not be opened, or the database refused it.
        """
        try:
            if self._batches is None:
                self._open()
            batch = self._batches.read_next_batch()
        except StopIteration:
            return None
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise self._failure(error) from error
        rows = _trades(batch)
        self._next_sequence = int(rows["sequence"][-1]) + 1
        return rows

    def cancel(self) -> None:
        """Make a `read` in another thread end soon."""
        if self._statement is not None:
            with contextlib.suppress(adbc_driver_manager.Error):
                self._statement.cancel()

    def close(self) -> None:
        """Give the connection back to the system."""
        with contextlib.suppress(adbc_driver_manager.Error):
            self._handles.close()

    def _open(self) -> None:
        connection = self._handles.enter_context(self._database.connect())
        for setting in (_ORDER_BY_INDEX, _NO_LIMIT):
            with adbc_driver_manager.AdbcStatement(connection) as statement:
                statement.set_sql_query(setting)
                statement.execute_update()
        statement = self._handles.enter_context(adbc_driver_manager.AdbcStatement(connection))
        statement.set_options(**{_BATCH_OPTION: str(self._batch_rows * ROW_WIRE_BYTES)})
        statement.set_sql_query(self._query)
        self._statement = statement
        handle, _ = statement.execute_query()
        self._batches = self._handles.enter_context(
            pa.RecordBatchReader._import_from_c(handle.address)
        )

    def _failure(self, error: Exception) -> StoreError:
        text = " ".join(str(error).split())
        if self._statement is None and isinstance(error, adbc_driver_manager.Error):
            return _unreachable(error)
        if _is_lost(error):
            return ConnectionLost(
                f"the database connection was lost before sequence {self._next_sequence} "
                f"({text}): start again from there",
                next_sequence=self._next_sequence,
            )
        return QueryFailed(f"the database ended a stream: {text}")


class StreamDatabase:
    """Makes connections for streams. The driver looks up the server's types once, here.

    Raises
    ------
    DatabaseUnreachable
        No connection could be made.
    """

    def __init__(self, dsn: str) -> None:
        try:
            self._database = adbc_driver_postgresql.connect(bounded(dsn))
        except adbc_driver_manager.Error as error:
            raise _unreachable(error) from error

    def connect(self) -> adbc_driver_manager.AdbcConnection:
        """A new connection, in autocommit mode."""
        return adbc_driver_manager.AdbcConnection(self._database)

    def close(self) -> None:
        """Let go of the driver. A connection left to a server that hangs keeps it."""
        with contextlib.suppress(RuntimeError):
            self._database.close()


def _unreachable(error: Exception) -> DatabaseUnreachable:
    text = " ".join(str(error).split())
    return DatabaseUnreachable(f"no connection to the database ({text}): is it up?")


def _is_lost(error: Exception) -> bool:
    if isinstance(error, adbc_driver_manager.Error):
        return lost(error.sqlstate or None)
    # An error inside a stream comes as OSError without its SQLSTATE.
    return not isinstance(error, pa.ArrowInvalid) and "canceling statement" not in str(error)


def _trades(batch: Any) -> Rows:
    """Arrow's columns as rows of TRADE; four strided copies, no loop over rows."""
    rows = np.empty(batch.num_rows, TRADE)
    columns = (batch.column(i) for i in range(4))
    rows["sequence"] = next(columns).to_numpy()
    rows["time"] = next(columns).view(pa.int64()).to_numpy()
    rows["price"] = next(columns).to_numpy()
    rows["volume"] = next(columns).to_numpy()
    return rows
