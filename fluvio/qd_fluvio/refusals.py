"""Fluvio's error codes, and the error that each one is for a service.

Pure: a failure of the wire in, an error out. Codes that say that a server is not (or not yet)
what it should be count as a lost connection: one tries again.
"""

from __future__ import annotations

from qd_fluvio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    InvalidTopicName,
    OffsetOutOfRange,
    RecordTooLarge,
    TopicDeleted,
    TopicExists,
    TopicNotFound,
)
from qd_fluvio.wire.failures import ErrorCode, Failure

_NOT_READY = (ConnectionLost, "it may not be ready, or its leader changed: try again")
REFUSALS: dict[int, tuple[type[FluvioError], str]] = {
    ErrorCode.TOPIC_ALREADY_EXISTS: (TopicExists, "take another name or allow the existing one"),
    ErrorCode.TOPIC_INVALID_NAME: (InvalidTopicName, "use 1 to 63 of a-z, 0-9 and hyphens"),
    ErrorCode.TOPIC_NOT_FOUND: (TopicNotFound, "check its name"),
    ErrorCode.TOPIC_DELETED: (TopicDeleted, "create it anew, or use another"),
    ErrorCode.OFFSET_OUT_OF_RANGE: (OffsetOutOfRange, "start within the partition"),
    ErrorCode.OFFSET_EVICTED: (OffsetOutOfRange, "start within the partition"),
    ErrorCode.MESSAGE_TOO_LARGE: (RecordTooLarge, "split the record"),
    ErrorCode.NOT_LEADER_FOR_PARTITION: _NOT_READY,
    ErrorCode.REQUEST_TIMED_OUT: (DeadlineExceeded, "check that all replicas' SPUs are up"),
    ErrorCode.PARTITION_NOT_LEADER: _NOT_READY,
    ErrorCode.FETCH_SESSION_NOT_FOUND: _NOT_READY,
}


_BEYOND = "is greater than leo"  # an SPU's words for an offset beyond the end, without a code


def refusal(failure: Failure, doing: str, message: str | None = None) -> FluvioError:
    """The error that a server's refusal stands for.

    Parameters
    ----------
    failure : Failure
        Its code.
    doing : str
        What it was asked for and where, such as ``create topic 'a' on 127.0.0.1:9003``.
    message : str, optional
        Its words, where it has any.
    """
    kind, advice = REFUSALS.get(failure.code, (FluvioError, "change it"))
    if failure.code == ErrorCode.OTHER and _BEYOND in str(failure):
        kind, advice = REFUSALS[ErrorCode.OFFSET_OUT_OF_RANGE]
    return kind(f"{doing}: {message or failure}; {advice}")
