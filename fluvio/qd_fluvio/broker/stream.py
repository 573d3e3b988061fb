"""One stream fetch: portions of a partition, each after the client asked for it.

The client says how far it is after each portion (UpdateOffsets), and only then gets the
next. At the partition's end the stream sleeps until an append wakes it.
"""

from __future__ import annotations

import asyncio

from qd_fluvio.broker.answers import failure_of
from qd_fluvio.broker.connection import Connection
from qd_fluvio.broker.log import PartitionLog
from qd_fluvio.broker.settings import FETCH_BYTES_MAX
from qd_fluvio.errors import FluvioError
from qd_fluvio.wire.data import FetchedPartition, StreamFetchRequest, StreamFetchResponse
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.frames import RequestHeader, encode_response, encode_response_head


def fetch_bytes(max_bytes: int) -> int:
    """How much one response carries, of what the client allows."""
    return max(1, min(max_bytes, FETCH_BYTES_MAX))


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
        cut: bool,
    ) -> None:
        self.request = request
        self.awaiting_client = False
        self._connection = connection
        self._header = header
        self._stream_id = stream_id
        self._log = log
        self._cut = cut
        self._position = request.fetch_offset
        self._wake = asyncio.Event()

    def update(self, offset: int) -> None:
        """The client has read up to `offset` and wants what follows."""
        self._position = offset
        self.awaiting_client = False
        self._wake.set()

    async def run(self) -> None:
        """Send portions until the connection or the topic is gone."""
        self._log.listen(self._wake.set)
        try:
            while not self._log.deleted:
                self._wake.clear()
                if not await self._send_portion():
                    await self._wake.wait()
            await self._send_failure(Failure(ErrorCode.TOPIC_DELETED))
        except FluvioError as error:
            await self._send_failure(
                failure_of(error, topic=self.request.topic, partition=self.request.partition)
            )
        finally:
            self._log.forget(self._wake.set)

    async def _send_portion(self) -> bool:
        """Send what there is, if the client waits for it."""
        if self.awaiting_client:
            return False
        portion = self._log.read(self._position, fetch_bytes(self.request.max_bytes), cut=self._cut)
        if not portion.records:
            return False
        self.awaiting_client = True
        head = encode_response_head(
            self._header.correlation_id,
            self._response(
                FetchedPartition(
                    self.request.partition,
                    high_watermark=self._log.end_offset,
                    log_start_offset=self._log.start_offset,
                )
            ),
            self._header.api_version,
            records_bytes=len(portion.records),
        )
        await self._connection.send(head, portion.records)
        return True

    async def _send_failure(self, failure: Failure) -> None:
        body = self._response(FetchedPartition(self.request.partition, failure))
        frame = encode_response(self._header.correlation_id, body, self._header.api_version)
        await self._connection.send(frame)

    def _response(self, partition: FetchedPartition) -> StreamFetchResponse:
        return StreamFetchResponse(self.request.topic, self._stream_id, partition)
