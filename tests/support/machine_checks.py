"""What a record is, and whether what a machine does with it is right, told without the machine."""

from __future__ import annotations

from qd_gateway.core.actions import Action, OpenSession, Reply
from qd_gateway.core.saved import SavedSession
from qd_schemas.codec import decode, decode_at
from qd_schemas.enums import ClientErrorType, DataErrorType, EndReason
from qd_schemas.errors import DecodeError
from qd_schemas.identity import signed
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    DataError,
    Heartbeat,
    LastOHLCVBar,
    LastTradeBar,
    LoginChallenge,
    LoginProof,
    Message,
    Signed,
)
from qd_schemas.wire import NO_COUNT
from support.control_records import REQUESTS

LOGINS = (ClientLogin, LoginProof)


def request_of(payload: bytes) -> Message | None:
    """The request that a record holds, None where it is none of a client."""
    try:
        message, end = decode_at(payload, 0)
        if isinstance(message, Signed):
            inner = decode(payload[end:])
            same = getattr(inner, "client_id", None) == message.client_id
            message = inner if same and not isinstance(inner, LOGINS) else message
        elif end != len(payload):
            return None
    except DecodeError:
        return None
    valid = isinstance(message, REQUESTS) and 21 <= message.client_id < 65_535
    return message if valid else None


def is_signed_right(payload: bytes, key: bytes, counter: int) -> bool:
    """Whether a record is what the client with this session key sends after `counter`."""
    try:
        found, end = decode_at(payload, 0)
    except DecodeError:
        return False
    if not isinstance(found, Signed) or found.counter <= counter:
        return False
    return signed(key, found.client_id, found.counter, payload[end:]) == payload


def is_about_login(reply: Reply) -> bool:
    """True for what lets a client know that it has to log in anew."""
    challenged = isinstance(decode(reply.payload), LoginChallenge)
    return challenged or reply.error is ClientErrorType.LOGIN_FAILED


def check_answer(asked: Message, actions: list[Action]) -> None:
    """Answers go to who is named; a refusal is the only answer, and says what it refuses."""
    replies = [action for action in actions if isinstance(action, Reply)]
    assert all(reply.client_id == asked.client_id for reply in replies)  # type: ignore[attr-defined]
    refused = [reply for reply in replies if reply.error is not None]
    if refused:
        assert actions == refused[:1]
        message = decode(refused[0].payload)
        assert isinstance(message, ClientError | DataError)
        assert message.request_type in (asked.TEMPLATE, 2**16 - 1)


def check_taken_over(actions: list[Action], found: list[SavedSession], epoch: int) -> None:
    """Each client is told what it needs to go on, and nothing else."""
    opened = [action for action in actions if isinstance(action, OpenSession)]
    assert all(action.restored for action in opened)
    assert sorted(o.client_id for o in opened) == sorted(one.client_id for one in found)
    replies = [action for action in actions if isinstance(action, Reply)]
    assert len(opened) + len(replies) == len(actions)
    for saved in found:
        told = [decode(r.payload) for r in replies if r.client_id == saved.client_id]
        beats = [message for message in told if isinstance(message, Heartbeat)]
        assert beats == [Heartbeat(saved.client_id, epoch)] * (saved.version > 1)
        lasts = [m for m in told if isinstance(m, LastTradeBar | LastOHLCVBar)]
        assert all((m.end_reason, m.count) == (EndReason.INTERRUPTED, NO_COUNT) for m in lasts)
        errors = [message for message in told if isinstance(message, DataError)]
        assert all(m.data_error_type == DataErrorType.CHANNEL_FAILED for m in errors)
        versions = [stream.plan.version for stream in saved.streams]
        assert (len(lasts), len(errors)) == (versions.count(2), versions.count(1))
