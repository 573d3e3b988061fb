"""How far a named consumer has read, told to the cluster: both clients' consumers commit here.

The cluster takes a committed offset only on a connection with a stream of that consumer. This
keeps such a connection between commits, apart from the one that records come on: its stream
asks for a single byte, is never continued, and what it brings is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from qd_fluvio.control import ControlPlane
from qd_fluvio.errors import ConnectionLost
from qd_fluvio.refusals import refusal
from qd_fluvio.servers import Address, Server
from qd_fluvio.wire import data
from qd_fluvio.wire.failures import ErrorCode

_OUTSIDE = (ErrorCode.OFFSET_OUT_OF_RANGE, ErrorCode.OFFSET_EVICTED)
_STREAM_BYTES = 1


@dataclass(frozen=True, slots=True)
class _Session:
    """A connection with the stream that makes commits possible."""

    leader: Address
    server: Server
    stream_id: int


class Commits:
    """The commits of one consumer of one partition. It sets no deadlines: callers do.

    Parameters
    ----------
    control : ControlPlane
        The cluster.
    topic, partition
        What is read.
    consumer_id : str
        The name under which the cluster keeps the offset.
    """

    def __init__(self, control: ControlPlane, topic: str, partition: int, consumer_id: str) -> None:
        self._control = control
        self._topic = topic
        self._partition = partition
        self._consumer_id = consumer_id
        self._doing = (
            f"commit offsets of consumer {consumer_id!r} for partition {partition} of {topic!r}"
        )
        self._session: _Session | None = None
        self._committing = asyncio.Lock()

    async def resume(self) -> int | None:
        """The offset after the last committed one; None where nothing is committed."""
        for found in await self._control.committed_offsets():
            if (found.consumer_id, found.topic, found.partition) == (
                self._consumer_id,
                self._topic,
                self._partition,
            ):
                return found.offset + 1
        return None

    async def commit(self, offset: int) -> None:
        """Have the cluster keep that the record at `offset` was the last one read.

        Raises
        ------
        FluvioError
            It did not confirm that.
        """
        async with self._committing:
            kept = self._session is not None
            try:
                await self._commit(offset)
            except ConnectionLost:
                if not kept:
                    raise
                await self._commit(offset)  # the connection was old; a new one shows what is true

    def close(self) -> None:
        """Drop the connection; what was confirmed stays."""
        if self._session is not None:
            self._session.server.close()
            self._session = None

    def __del__(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self.close()  # for a consumer that was dropped, and not closed

    async def _commit(self, offset: int) -> None:
        try:
            session = self._session = self._session or await self._open(offset)
            request = data.UpdateConsumerRequest(offset, session.stream_id)
            with self._control.servers.failures(session.leader):
                answer = await session.server.ask(data.UPDATE_CONSUMER, request)
            if answer.error:
                raise refusal(answer.error, self._doing)
        except BaseException:
            self.close()  # whatever was under way would be taken for the next answer
            raise

    async def _open(self, offset: int) -> _Session:
        leader = await self._control.leader(self._topic, self._partition)
        server = await self._control.servers.open(leader)
        try:
            with self._control.servers.failures(leader):
                return _Session(leader, server, await self._stream(server, offset))
        except BaseException:
            server.close()
            raise

    async def _stream(self, server: Server, offset: int) -> int:
        """Open a stream at a record that is there: at the end a server says nothing for now."""
        answer = await server.ask(data.STREAM_FETCH, self._request(offset))
        if answer.partition.error.code in _OUTSIDE:
            bounds = await self._control.bounds(self._topic, self._partition)
            answer = await server.ask(data.STREAM_FETCH, self._request(bounds.start))
        if answer.partition.error:
            raise refusal(answer.partition.error, self._doing)
        return answer.stream_id

    def _request(self, offset: int) -> data.StreamFetchRequest:
        return data.StreamFetchRequest(
            self._topic, self._partition, offset, _STREAM_BYTES, consumer_id=self._consumer_id
        )
