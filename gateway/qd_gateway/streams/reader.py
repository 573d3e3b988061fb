"""The rows of one stream out of the database: piece after piece, each in its client's turn.

It outlasts a database that is restarted: it goes on at the next row. Between two pieces it
holds nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from qd_fluvio.logs import field_logger
from qd_gateway.core.plans import Refusal, StreamPlan
from qd_gateway.errors import StreamRefused
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.streams.database import Database, nothing
from qd_gateway.streams.grants import Grants
from qd_gateway.streams.outage import Outage
from qd_gateway.streams.pieces import Pieces, Query
from qd_gateway.streams.sizes import BATCH_ROWS, DRAIN_SECONDS, ROWS_BESIDE
from qd_gateway.streams.turns import Grant
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataErrorType, Reason
from qd_store import StoreError
from qd_store.reading import Fetch

_log = field_logger("qd_gateway.streams.stream")


class RowReader:
    """Reads a plan's rows; see `supply.Source`.

    Parameters
    ----------
    plan : StreamPlan
        What is asked for.
    database : Database
        Where it is.
    grants : Grants
        Whose turn it is.
    metrics : GatewayMetrics
        Told of pieces, and of a database that is down.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        plan: StreamPlan,
        database: Database,
        grants: Grants,
        metrics: GatewayMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._database = database
        self._grants = grants
        self._metrics = metrics
        self._clock = clock
        self._outage = Outage(clock)
        self._pieces: Pieces | None = None
        self._piece: _Piece | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is in the middle of a piece, with a turn and a connection."""
        return self._piece is not None

    async def next(self, rows: int) -> Rows | None:
        """The next batch, never empty; a new piece has so many rows at most. None is the end.

        Raises
        ------
        StreamRefused
            There is no such market, or no row; or the database failed, or is down for too long.
        """
        while True:
            try:
                batch = await self._batch(rows)
            except (StoreError, TimeoutError) as error:
                await self.let_go()
                await self._outlast(error)
                continue
            except BaseException:
                await self.let_go()
                raise
            self._metrics.database(up=True)
            self._outage.over()
            if batch is None or len(batch):
                return batch

    async def let_go(self) -> None:
        """Leave the piece that is read, if any."""
        piece, self._piece = self._piece, None
        if piece is not None:
            await piece.aclose()
            self._metrics.piece_read(piece.seconds)

    def go_back(self, last: Rows | None) -> None:
        """Go on after this row; None is at the start."""
        if self._pieces is not None:
            self._pieces.go_back(last)

    async def _batch(self, rows: int) -> Rows | None:
        """What comes next: no row at the end of a piece, None at that of all."""
        if self._pieces is None:
            async with asyncio.timeout(self._outage.attempt_s):
                self._pieces = await self._database.pieces(self._plan)
        pieces = self._pieces
        if self._piece is None:
            if pieces.has_ended:
                await self._require_rows(pieces)
                return None
            grant = await self._grants.take(self._plan.client_id, rows)
            self._piece = _Piece(pieces.query(grant.rows), grant, self._grants, self._database)
        began = self._clock()
        async with asyncio.timeout(self._outage.attempt_s):
            batch = await self._piece.read()
        self._piece.seconds += self._clock() - began
        pieces.gave(batch)
        if not len(batch):
            await self.let_go()
            pieces.ended()
        elif pieces.is_whole:
            # Read the end of the answer now: while rows are sent, no connection is held.
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._piece.read()
            await self.let_go()
            pieces.ended()
        return batch

    async def _require_rows(self, pieces: Pieces) -> None:
        """Refuse where there was no row."""
        if pieces.gave_any:
            return
        left_out = pieces.left_out
        if left_out is not None and await self._database.has_rows(left_out):
            raise StreamRefused(
                Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.BAR_NOT_OVER),
                "there is only a bar that is not over",
            )
        raise StreamRefused(
            Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.NO_ROWS),
            "there is no row for the request",
        )

    async def _outlast(self, error: StoreError | TimeoutError) -> None:
        """Wait for a while before the next try; refuse if it makes no sense, or any more."""
        is_down = isinstance(error, TimeoutError) or error.retriable
        if is_down:
            self._metrics.database(up=False)
        has_begun = self._pieces is not None and self._pieces.gave_any
        pause_s = self._outage.pause_s(has_begun=has_begun) if is_down else None
        if pause_s is None:
            reason = Reason.DATABASE_DOWN if is_down else Reason.DATABASE_FAILED
            refusal = Refusal(DataErrorType.CHANNEL_FAILED, reason)
            raise StreamRefused(refusal, f"no database: {error}") from error
        _log.warning("waits for the database: %s", error, client=self._plan.client_id)
        await asyncio.sleep(pause_s)


class _Piece:
    """One piece that is read: a turn, and a running fetch."""

    def __init__(self, query: Query, grant: Grant, grants: Grants, database: Database) -> None:
        self._grant = grant
        self._grants = grants
        batch_rows = min(BATCH_ROWS, grant.rows + ROWS_BESIDE)
        self._fetch: Fetch[Query, Rows] = database.fetch(query, batch_rows)
        self._nothing = nothing(query)
        self._rows = 0
        self.seconds = 0.0

    async def read(self) -> Rows:
        """The next batch; empty at the end."""
        rows = await anext(self._fetch, self._nothing)
        self._rows += len(rows)
        return rows

    async def aclose(self) -> None:
        """Give back its connection and its turn; rows that it did not have are not charged."""
        try:
            await self._fetch.aclose()
        finally:
            self._grants.give_back(self._grant, self._grant.rows - self._rows)
