"""A version 2 client made of single messages that keeps account of what it was told."""

from __future__ import annotations

import random

from qd_schemas.codec import decode_at, encode
from qd_schemas.enums import DataType, EndReason
from qd_schemas.messages import (
    ClientLogin,
    FirstTradeBar,
    FrameHeader,
    Heartbeat,
    LastTradeBar,
    Message,
    StartData,
)
from support.raw_client import RawClient


class Talker(RawClient):
    """Reads one message of the data topic after the other; of a frame its header.

    Attributes
    ----------
    epoch : int
        Of the last heartbeat.
    beats : int
        Heartbeats so far.
    read : int
        Records of the data topic so far.
    """

    def __init__(self, endpoint: str, client_id: int) -> None:
        super().__init__(endpoint, client_id, 2)
        self.login_id = random.getrandbits(62) + 1
        self.epoch = 0
        self.beats = 0
        self.read = 0

    async def data(self) -> bytes:
        record = await super().data()
        self.read += 1
        return record

    async def login(self, lease_ms: int = 60_000) -> None:
        await self.send(ClientLogin(self.client_id, lease_ms, self.login_id))
        assert isinstance(await self.next(), Heartbeat)

    async def beat(self) -> None:
        """Send a heartbeat; the answer is read by `next`."""
        await self.send(Heartbeat(self.client_id))

    async def start(self, symbol: int, stream_id: int, first: int = 1, pace: float = 0.0) -> None:
        await self.send_bytes(self.start_bytes(symbol, stream_id, first, pace))

    def start_bytes(self, symbol: int, stream_id: int, first: int = 1, pace: float = 0.0) -> bytes:
        request = StartData(
            self.client_id,
            1,
            symbol,
            0,
            DataType.TRADES_EXACT,
            stream_id=stream_id,
            first_sequence=first,
            pace=pace,
        )
        return encode(request, 2)

    async def next(self) -> Message:
        """The next message."""
        message, _ = decode_at(await self.data(), 0)
        if isinstance(message, Heartbeat):
            self.epoch, self.beats = message.epoch, self.beats + 1
        return message

    async def rows(self, stream_id: int) -> tuple[list[int], LastTradeBar]:
        """The sequences of a stream from its First… on, up to its Last…, and that."""
        found = await self.next()
        assert isinstance(found, FirstTradeBar), found
        assert found.stream_id == stream_id
        return await self.rest(stream_id)

    async def rest(self, stream_id: int) -> tuple[list[int], LastTradeBar]:
        """The sequences of a stream that began."""
        sequences: list[int] = []
        while True:
            match await self.next():
                case FrameHeader() as frame:
                    assert frame.stream_id == stream_id
                    first = frame.first_sequence
                    sequences.extend(range(first, first + frame.count))
                case LastTradeBar() as last:
                    assert last.stream_id == stream_id
                    return sequences, last
                case other:
                    raise AssertionError(f"{other} in stream {stream_id}")

    async def begin(self, symbol: int, stream_id: int, pace: float = 1.0) -> int:
        """Start a stream that goes on and on; returns the sequence after its first frame."""
        await self.start(symbol, stream_id, pace=pace)
        assert isinstance(await self.next(), FirstTradeBar)
        frame = await self.next()
        assert isinstance(frame, FrameHeader)
        return frame.first_sequence + frame.count


def is_interrupted(last: LastTradeBar) -> bool:
    return last.end_reason == EndReason.INTERRUPTED
