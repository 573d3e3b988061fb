"""Which stream a record of the data topic belongs to. Pure."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from qd_client.assembly import template_of
from qd_client.request import StreamRequest
from qd_schemas.codec import decode, decode_at
from qd_schemas.errors import DecodeError
from qd_schemas.messages import (
    FirstOHLCVBar,
    FirstTradeBar,
    FrameHeader,
    Heartbeat,
    LastOHLCVBar,
    LastTradeBar,
    LoginChallenge,
    OHLCVBar,
    TradeBar,
)
from qd_schemas.wire import NO_STREAM

_BAR_KINDS = {OHLCVBar.TEMPLATE, FirstOHLCVBar.TEMPLATE, LastOHLCVBar.TEMPLATE}
_ROWS = {TradeBar.TEMPLATE, OHLCVBar.TEMPLATE}
_SYMBOL = slice(10, 12)  # after header and message type, in all of them
ROW_PREFIX_BYTES = 12
"""Header, message type and symbol: the same in all version 1 rows of a stream."""


class StreamKey(NamedTuple):
    """What tells one stream of a client from another.

    Version 2 has the stream's id; version 1 only symbol and kind, the id is then NO_STREAM.
    """

    stream_id: int
    symbol_id: int
    is_bars: bool


Word: TypeAlias = Heartbeat | LoginChallenge
"""What the gateway says to the client itself, beside its streams."""


def key_of_request(request: StreamRequest) -> StreamKey:
    """The key of the stream that a request asks for."""
    return _key(request.stream_id, request.symbol_id, request.is_bars)


def is_row(payload: bytes) -> bool:
    """True for a single trade or bar, as version 1 sends them."""
    return template_of(payload) in _ROWS


def key_of_record(payload: bytes) -> StreamKey | Word:
    """The key of the stream that a record belongs to, or what it says to the client itself.

    Raises
    ------
    DecodeError
        The record is nothing that a gateway sends on a data topic.
    """
    template = template_of(payload)
    if template in _ROWS:
        # One a row in version 1: too many to decode each.
        symbol_id = int.from_bytes(payload[_SYMBOL], "little")
        return StreamKey(NO_STREAM, symbol_id, template in _BAR_KINDS)
    if template == FrameHeader.TEMPLATE:
        header, _ = decode_at(payload, 0)
        assert isinstance(header, FrameHeader)
        return _key(header.stream_id, header.symbol_id, False)
    message = decode(payload)
    if isinstance(message, FirstTradeBar | FirstOHLCVBar | LastTradeBar | LastOHLCVBar):
        return _key(message.stream_id, message.symbol_id, template in _BAR_KINDS)
    if isinstance(message, Word):
        return message
    raise DecodeError(f"{type(message).__name__} on a data topic; expected a stream's messages")


def _key(stream_id: int, symbol_id: int, is_bars: bool) -> StreamKey:
    if stream_id != NO_STREAM:
        return StreamKey(stream_id, 0, False)
    return StreamKey(NO_STREAM, symbol_id, is_bars)
