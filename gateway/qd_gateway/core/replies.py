"""The gateway's own messages to clients, encoded in the version of who asked. Pure."""

from __future__ import annotations

from qd_gateway.core.actions import Channel, Reply
from qd_gateway.core.plans import Refusal, StreamPlan
from qd_gateway.core.requests import Asked
from qd_schemas.codec import encode
from qd_schemas.enums import ClientErrorType, DataErrorType, EndReason, Reason
from qd_schemas.messages import (
    ClientError,
    DataError,
    FirstOHLCVBar,
    FirstTradeBar,
    Heartbeat,
    LastOHLCVBar,
    LastTradeBar,
    LoginChallenge,
    StartData,
)
from qd_schemas.wire import NO_COUNT, NO_DETAIL, NO_STREAM, VERSION


def client_error(
    client_id: int,
    session: int | None,
    error: ClientErrorType,
    version: int,
    reason: Reason,
    *,
    request_type: int = NO_DETAIL,
    limit: int = NO_COUNT,
) -> Reply:
    """What is wrong with a client's session; `request_type` is what it asked, if it did."""
    message = ClientError(client_id, error, request_type, reason, limit)
    text = f"client error {error.name}, {reason.name}"
    payload = encode(message, version)
    return Reply(client_id, session, Channel.ERROR, payload, text, error, reason)


def refused(
    asked: Asked,
    session: int | None,
    error: ClientErrorType,
    reason: Reason,
    limit: int = NO_COUNT,
) -> Reply:
    """A login, or a request without a session, is refused."""
    client_id, request_type = asked.request.client_id, asked.request.TEMPLATE
    return client_error(
        client_id, session, error, asked.version, reason, request_type=request_type, limit=limit
    )


def data_error(plan: StreamPlan, session: int, refusal: Refusal) -> Reply:
    """A stream ended early."""
    about = (plan.client_id, plan.stream_id, StartData.TEMPLATE)
    return _data_error(about, session, refusal, plan.version)


def request_error(asked: Asked, session: int, refusal: Refusal) -> Reply:
    """A request about streams is refused."""
    request = asked.request
    stream_id: int = getattr(request, "stream_id", NO_STREAM)
    about = (request.client_id, stream_id, request.TEMPLATE)
    return _data_error(about, session, refusal, asked.version)


def too_long(client_id: int, session: int, limit: int) -> Reply:
    """A record in a client's name was too long to be read."""
    refusal = Refusal(DataErrorType.CHANNEL_FAILED, Reason.TOO_LONG, limit)
    return _data_error((client_id, NO_STREAM, NO_DETAIL), session, refusal, VERSION)


def _data_error(about: tuple[int, int, int], session: int, refusal: Refusal, version: int) -> Reply:
    client_id, stream_id, request_type = about
    error, reason = refusal.error, refusal.reason
    message = DataError(client_id, error, stream_id, request_type, reason, refusal.limit)
    which = "" if stream_id == NO_STREAM else f" stream={stream_id}"
    text = f"data error {error.name}, {reason.name}{which}"
    payload = encode(message, version)
    return Reply(client_id, session, Channel.ERROR, payload, text, error, reason)


def heartbeat(client_id: int, session: int, epoch: int) -> Reply:
    """The answer to a version 2 login or heartbeat."""
    payload = encode(Heartbeat(client_id, epoch), VERSION)
    return Reply(client_id, session, Channel.DATA, payload, "heartbeat")


def login_challenge(client_id: int, nonce: bytes) -> Reply:
    """The question to who logs in with an id that has a token."""
    payload = encode(LoginChallenge(client_id, nonce), VERSION)
    return Reply(client_id, None, Channel.DATA, payload, "challenge")


def first_bytes(plan: StreamPlan) -> bytes:
    """The message before a stream's first row."""
    kind = FirstOHLCVBar if plan.is_bars else FirstTradeBar
    return encode(kind(plan.symbol_id, plan.stream_id), plan.version)


def last_bytes(plan: StreamPlan, reason: EndReason, count: int) -> bytes:
    """The message after a stream's last row; `count` is the number of rows sent."""
    kind = LastOHLCVBar if plan.is_bars else LastTradeBar
    return encode(kind(plan.symbol_id, plan.stream_id, reason, count), plan.version)


def first_message(plan: StreamPlan, session: int) -> Reply:
    """The First… message of a stream that ended before it began."""
    return Reply(plan.client_id, session, Channel.DATA, first_bytes(plan), "first")


def last_message(plan: StreamPlan, session: int, reason: EndReason, count: int) -> Reply:
    """The Last… message of a stream that sends nothing itself, or nothing more."""
    text = f"last, {reason.name} stream={plan.stream_id}"
    payload = last_bytes(plan, reason, count)
    return Reply(plan.client_id, session, Channel.DATA, payload, text)
