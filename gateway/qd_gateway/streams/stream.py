"""One stream: rows in, records out, at the pace asked for, within its reader's window.

It knows neither sessions nor topics: whoever runs it gives it the source of its rows and a
place to send to. It holds little, whatever the stream's length: one batch, and the next one
where that may be sent as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from qd_gateway import metrics
from qd_gateway.core.plans import StreamPlan
from qd_gateway.core.replies import first_bytes, last_bytes
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.streams.pacing import Pacer, due_times
from qd_gateway.streams.records import records_of
from qd_gateway.streams.sizes import (
    AHEAD_ROWS_MIN,
    HELD_ROWS_MAX,
    SEND_ROWS_PACKED,
    SEND_ROWS_SMALL,
    SEND_ROWS_UNPACKED,
    SHORT_WAIT_SECONDS,
    STALL_SECONDS,
    PieceSize,
)
from qd_gateway.streams.supply import Source, Supply
from qd_gateway.streams.window import Window
from qd_schemas.arrays import Rows
from qd_schemas.enums import EndReason


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
    beat : asyncio.Lock
        Of all streams: who has it encodes a part, and all else that is due goes first.
    counts : GatewayMetrics
        Told of what is sent.
    """

    def __init__(
        self,
        plan: StreamPlan,
        clock: Callable[[], float],
        beat: asyncio.Lock,
        counts: GatewayMetrics,
    ) -> None:
        self.plan = plan
        self.totals = StreamTotals()
        self._clock = clock
        self._started_at = clock()
        self._beat = beat
        self._metrics = counts
        self._kind = metrics.Rows.BARS if plan.is_bars else metrics.Rows.TRADES
        self._send_rows_max = SEND_ROWS_PACKED if plan.is_packed else SEND_ROWS_UNPACKED
        self._pacer = Pacer(plan.pace)
        self._window = Window(plan.window_rows)
        self._size = PieceSize(plan)
        self._news = asyncio.Event()
        self._stopped: EndReason | None = None
        self._began = False

    def stop(self, reason: EndReason) -> None:
        """End the stream soon, with its Last… message, which says why; the first reason counts."""
        self._stopped = self._stopped or reason
        self._news.set()

    def advance(self, sequence: int) -> None:
        """The reader has taken all rows before this number."""
        self._window.advance(sequence)
        self._news.set()

    async def run(self, source: Source, sink: Sink) -> None:
        """Send First…, the rows and Last…, and wait until all is acknowledged.

        Raises
        ------
        StreamRefused
            There is no row, or there are no more because of the database.
        EncodeError
            A row does not fit its message.
        """
        async with aclosing(Supply(source, self._news.set)) as supply:
            while self._stopped is None and not supply.has_ended:
                self._news.clear()
                supply.collect()
                await self._go_on(supply, sink)
        self.totals.reason = self._stopped or EndReason.COMPLETE
        await self._begin(sink)
        await sink.send(last_bytes(self.plan, self.totals.reason, self.totals.rows))
        await sink.flush()

    async def _go_on(self, supply: Supply, sink: Sink) -> None:
        """Send what may be sent now, or wait until more may."""
        count, wait_s = self._sendable(supply.rows)
        self._look_ahead(supply)
        if count:
            await self._send(supply, count, sink)
        elif not supply.has_ended:
            if wait_s is None or wait_s > SHORT_WAIT_SECONDS:
                supply.shrink()
            await self._wait(wait_s)

    def _sendable(self, rows: Rows) -> tuple[int, float | None]:
        """How many rows may be sent now; if none, how long to wait, None for news."""
        count = min(len(rows), self._window.room(), self._send_rows_max)
        if count <= 0 or not self.plan.pace:
            return max(count, 0), None
        now = self._clock()
        self._pacer.begin(int(rows["time"][0]), now)
        times = due_times(self.plan, rows)
        due = self._pacer.due(times, now)
        if due < len(rows):
            self._size.in_time()
        return min(count, due), self._pacer.wait_s(int(times[0]), now)

    def _look_ahead(self, supply: Supply) -> None:
        """Have the next rows read while these are sent, if those could be sent as well.

        A few are read in any case: the reader may have taken the last one, and waits for the end.
        """
        at_hand = len(supply.rows)
        room = self._window.room(ahead=at_hand)
        if supply.is_reading or supply.has_ended or (room <= 0 and at_hand):
            return
        if self.plan.pace and at_hand > HELD_ROWS_MAX // 2:
            return
        supply.read(min(self._size.next(), max(room, AHEAD_ROWS_MIN)))

    async def _send(self, supply: Supply, count: int, sink: Sink) -> None:
        began_at = self._clock()
        number = self._number(supply.rows)
        records = await self._encoded(supply.take(count), number)
        self._window.sent(number, count)  # before: they may be taken before the last one is sent
        stall = asyncio.get_running_loop().call_later(STALL_SECONDS, self._on_stall, supply)
        try:
            await self._begin(sink)
            await sink.send_many(records)
        finally:
            stall.cancel()
        self._count(count, records, began_at)

    async def _encoded(self, rows: Rows, number: int) -> list[bytes]:
        """The records of rows; between two parts of any streams, all else has its turn."""
        if len(rows) <= SEND_ROWS_SMALL:
            return records_of(self.plan, rows, number)
        async with self._beat:
            records = records_of(self.plan, rows, number)
            await asyncio.sleep(0)
        return records

    def _number(self, rows: Rows) -> int:
        """The first row's number: of trades the market's, of bars the stream's."""
        if self.plan.is_bars:
            return self.plan.first_sequence + self.totals.rows
        return int(rows["sequence"][0])

    def _on_stall(self, supply: Supply) -> None:
        self._size.stalled()
        supply.shrink(at_once=True)

    def _count(self, rows: int, records: list[bytes], began_at: float) -> None:
        octets = sum(map(len, records))
        if not self.totals.rows:
            self._metrics.first_row(self._clock() - self._started_at)
        self.totals.rows += rows
        self.totals.records += len(records)
        self.totals.octets += octets
        self._metrics.sent(self._kind, rows, len(records), octets)
        self._metrics.frame_sent(self._clock() - began_at)

    async def _begin(self, sink: Sink) -> None:
        if not self._began:
            self._began = True
            await sink.send(first_bytes(self.plan))

    async def _wait(self, seconds: float | None) -> None:
        """Wait for news: rows, an acknowledgement, a stop; or until a row is due."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
