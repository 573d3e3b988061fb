"""One stream fetch: portions of a partition, each after the client asked for it.

The client says how far it is after each portion (UpdateOffsets), and only then gets the
next. At the partition's end the stream sleeps until an append wakes it. A stream with
SmartModules sends what they make of the records, and stops where they cannot go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from qd_fluvio.broker.answers import failure_of
from qd_fluvio.broker.connection import Connection, Turn
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.segment import Portion
from qd_fluvio.broker.settings import FETCH_BYTES_MAX
from qd_fluvio.broker.smartmodules.lookback import look_back
from qd_fluvio.broker.smartmodules.runner import ModuleRunner
from qd_fluvio.broker.smartmodules.transform import TransformedLog
from qd_fluvio.errors import FluvioError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.data import (
    READ_COMMITTED,
    FetchedPartition,
    StreamFetchRequest,
    StreamFetchResponse,
)
from qd_fluvio.wire.failures import OK, ErrorCode, Failure
from qd_fluvio.wire.frames import RequestHeader, encode_response, encode_response_head
from qd_fluvio.wire.smartmodules import Invocation


def fetch_bytes(max_bytes: int, bytes_max: int = FETCH_BYTES_MAX) -> int:
    """How much one response carries, of what the client allows."""
    return max(1, min(max_bytes, bytes_max))


def now_ms() -> int:
    """The time, in ms since 1970."""
    return time.time_ns() // 1_000_000


class FetchStream:
    """What one client reads of one partition."""

    def __init__(
        self,
        connection: Connection,
        header: RequestHeader,
        request: StreamFetchRequest,
        *,
        stream_id: int,
        log: PartitionLog,
        runner: ModuleRunner,
        cut: bool,
    ) -> None:
        # Modules sent along would keep the whole request in memory.
        self.request = replace(request, smartmodules=())
        self.awaiting_client = False
        self.is_sending = False  # to end it now could leave half a frame on the connection
        self._ended = False
        self._connection = connection
        self._header = header
        self._stream_id = stream_id
        self._log = log
        self._runner = runner
        self._cut = cut
        self._position = request.fetch_offset
        self._wake = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether its topic was deleted, though its client may not have been told yet."""
        return self._log.deleted

    def update(self, offset: int) -> None:
        """The client has read up to `offset` and wants what follows."""
        self._position = offset
        self.awaiting_client = False
        self._wake.set()

    async def run(self, smartmodules: Sequence[Invocation]) -> None:
        """Send portions until the connection or the topic is gone, or the modules fail."""
        self._log.listen(self._wake.set)
        try:
            if smartmodules:
                await self._run_transformed(smartmodules)
            else:
                await self._pump(self._send_portion)
        except FluvioError as error:
            await self._send_failure(
                failure_of(error, topic=self.request.topic, partition=self.request.partition)
            )
        finally:
            self._log.forget(self._wake.set)

    async def _run_transformed(self, smartmodules: Sequence[Invocation]) -> None:
        chain = await self._runner.open(smartmodules, self._header.api_version)
        try:
            await look_back(chain, self._log, now_ms)
            source = TransformedLog(
                chain,
                self._read,
                position=self._position,
                end_offset=self._log.committed_offset,
            )
            await self._pump(lambda: self._send_transformed(source))
        finally:
            chain.close()

    async def _pump(self, send: Callable[[], Awaitable[bool]]) -> None:
        """Send what there is whenever the client waits for it."""
        while not self._log.deleted and not self._ended:
            self._wake.clear()
            if self.awaiting_client or not await send():
                await self._wake.wait()
        if not self._ended:
            await self._send_failure(Failure(ErrorCode.TOPIC_DELETED))

    async def _send_portion(self) -> bool:
        if self._position == self._log.end_offset:
            return False
        await self._log.prepare(self._position)
        async with self._connection.turn() as turn:  # streams that wait hold no records
            max_bytes = fetch_bytes(self.request.max_bytes, self._connection.fetch_bytes_max)
            portion = self._read(self._position, max_bytes, cut=self._cut)
            if not portion.records:
                return False
            await self._send(portion.records, turn)
        return True

    async def _send_transformed(self, source: TransformedLog) -> bool:
        source.seek(self._position)
        await self._log.prepare(self._position)
        response = await source.read(fetch_bytes(self.request.max_bytes))
        self._position = source.position
        if response is None:
            return False
        self._ended = response.ended
        await self._send(
            response.records,
            self._connection,
            failure=response.failure,
            next_filter_offset=response.next_offset,
        )
        return True

    def _read(self, offset: int, max_bytes: int, *, cut: bool = False) -> Portion:
        committed = self.request.isolation == READ_COMMITTED
        return self._log.read(offset, max_bytes, cut=cut, committed=committed)

    async def _send(
        self,
        records: Buffer,
        sender: Connection | Turn,
        *,
        failure: Failure = OK,
        next_filter_offset: int = 0,
    ) -> None:
        self.awaiting_client = True
        partition = FetchedPartition(
            self.request.partition,
            failure,
            high_watermark=self._log.committed_offset,
            next_filter_offset=next_filter_offset,
            log_start_offset=self._log.start_offset,
        )
        head = encode_response_head(
            self._header.correlation_id,
            self._response(partition),
            self._header.api_version,
            records_bytes=len(records),
        )
        self.is_sending = True
        try:
            await sender.send(head, records)
        finally:
            self.is_sending = False

    async def _send_failure(self, failure: Failure) -> None:
        body = self._response(FetchedPartition(self.request.partition, failure))
        frame = encode_response(self._header.correlation_id, body, self._header.api_version)
        await self._connection.send(frame)

    def _response(self, partition: FetchedPartition) -> StreamFetchResponse:
        return StreamFetchResponse(self.request.topic, self._stream_id, partition)
