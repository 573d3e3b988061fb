"""The gateway's own messages to clients, encoded in the version of who asked. Pure."""

from __future__ import annotations

from qd_gateway.actions import Channel, Reply
from qd_gateway.plans import StreamPlan
from qd_schemas.codec import encode
from qd_schemas.enums import ClientErrorType, DataErrorType, EndReason
from qd_schemas.messages import (
    ClientError,
    DataError,
    FirstOHLCVBar,
    FirstTradeBar,
    Heartbeat,
    LastOHLCVBar,
    LastTradeBar,
    StartData,
)


def client_error(
    client_id: int, session: int | None, error: ClientErrorType, version: int
) -> Reply:
    """A refusal about the client's session."""
    payload = encode(ClientError(client_id, error), version)
    return Reply(client_id, session, Channel.ERROR, payload, f"client error {error.name}")


def data_error(
    about: StartData | StreamPlan, session: int, error: DataErrorType, version: int | None = None
) -> Reply:
    """A refusal about one stream."""
    if version is None:
        assert isinstance(about, StreamPlan)
        version = about.version
    payload = encode(DataError(about.client_id, error, about.stream_id), version)
    text = f"data error {error.name} for symbol {about.symbol_id}"
    return Reply(about.client_id, session, Channel.ERROR, payload, text)


def heartbeat(client_id: int, session: int) -> Reply:
    """The answer to a version 2 login or heartbeat."""
    return Reply(client_id, session, Channel.DATA, encode(Heartbeat(client_id), 2), "heartbeat")


def first_bytes(plan: StreamPlan) -> bytes:
    """The message before a stream's first row."""
    kind = FirstOHLCVBar if plan.is_bars else FirstTradeBar
    return encode(kind(plan.symbol_id, plan.stream_id), plan.version)


def last_bytes(plan: StreamPlan, reason: EndReason, count: int) -> bytes:
    """The message after a stream's last row; `count` is the number of rows sent."""
    kind = LastOHLCVBar if plan.is_bars else LastTradeBar
    return encode(kind(plan.symbol_id, plan.stream_id, reason, count), plan.version)


def first_message(plan: StreamPlan, session: int) -> Reply:
    """The First… message of a stream that was stopped before it began."""
    return Reply(plan.client_id, session, Channel.DATA, first_bytes(plan), "first")


def last_message(plan: StreamPlan, session: int, reason: EndReason, count: int) -> Reply:
    """The Last… message of a stream that was stopped before it began."""
    return Reply(plan.client_id, session, Channel.DATA, last_bytes(plan, reason, count), "last")
