"""One stream: rows in, records out, at the pace asked for.

It knows neither sessions nor topics: whoever runs it gives it the rows and a place to send
to. It holds one batch of rows at a time, whatever the stream's length.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from qd_gateway.errors import StreamRefused
from qd_gateway.pacing import Pacer, times_of
from qd_gateway.plans import Refusal, StreamPlan
from qd_gateway.records import records_of
from qd_gateway.replies import first_bytes, last_bytes
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataErrorType, EndReason, Reason


class Feed(Protocol):
    """Rows in batches, in order."""

    def __aiter__(self) -> AsyncIterator[Rows]:
        """The batches."""

    async def aclose(self) -> None:
        """Read no further."""


class Sink(Protocol):
    """Where a stream's records go; each call waits while too much is in flight."""

    async def send(self, payload: bytes) -> None:
        """Send one record."""

    async def send_many(self, payloads: list[bytes]) -> None:
        """Send records in order."""

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged."""


@dataclass(slots=True)
class StreamTotals:
    """What a stream has sent."""

    rows: int = 0
    records: int = 0
    octets: int = 0
    reason: EndReason = EndReason.COMPLETE


class Stream:
    """One run of a plan.

    Parameters
    ----------
    plan : StreamPlan
        What to send.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, plan: StreamPlan, clock: Callable[[], float]) -> None:
        self.plan = plan
        self.totals = StreamTotals()
        self._clock = clock
        self._pacer = Pacer(plan.pace)
        self._stop = asyncio.Event()
        self._stop_reason = EndReason.STOPPED
        self._began = False

    def stop(self, reason: EndReason) -> None:
        """End the stream soon, with its Last… message, which says why."""
        self._stop_reason = reason
        self._stop.set()

    async def run(self, feed: Feed, sink: Sink) -> None:
        """Send First…, the rows and Last…, and wait until all is acknowledged.

        Raises
        ------
        StreamRefused
            There is no row.
        EncodeError
            A row does not fit its message.
        """
        async with aclosing(feed):
            async for rows in feed:
                await self._send_rows(rows, sink)
                if self._stop.is_set():
                    break
        if self._stop.is_set():
            self.totals.reason = self._stop_reason
        elif not self._began:
            refusal = Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.NO_ROWS)
            raise StreamRefused(refusal, "there is no row for the request")
        await self._begin(sink)
        await sink.send(last_bytes(self.plan, self.totals.reason, self.totals.rows))
        await sink.flush()

    async def _begin(self, sink: Sink) -> None:
        if not self._began:
            self._began = True
            await sink.send(first_bytes(self.plan))

    async def _send_rows(self, rows: Rows, sink: Sink) -> None:
        """Send a batch, each part when it is due; a stop leaves the rest."""
        while len(rows) and not self._stop.is_set():
            await self._begin(sink)
            due = self._pacer.due(times_of(rows), self._clock())
            if due == 0:
                await self._wait(self._pacer.wait_s(int(rows["time"][0]), self._clock()))
                continue
            sequence = self.plan.first_sequence + self.totals.rows
            records = records_of(self.plan, rows[:due], sequence)
            await sink.send_many(records)
            if self.plan.pace:
                await sink.flush()  # a paced row is worth its time, not its batch
            self.totals.rows += due
            self.totals.records += len(records)
            self.totals.octets += sum(map(len, records))
            rows = rows[due:]

    async def _wait(self, seconds: float) -> None:
        """Wait until a row is due or the stream is stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
