"""What the session and stream machine asks of the shell: plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qd_gateway.core.plans import StreamPlan
from qd_schemas.enums import ClientErrorType, DataErrorType, EndReason, Reason


class Channel(Enum):
    """The topic of a client that a reply goes to."""

    DATA = "data"
    ERROR = "error"


class EndCause(Enum):
    """Why a session ended here."""

    LOGOUT = "logout"
    LEASE_EXPIRED = "lease expired"
    CLIENT_GONE = "its topics are gone"
    OPERATOR = "ended by an operator"
    TOKEN_CHANGED = "its token was given, changed or taken away"
    MOVED = "another gateway serves it"


class IgnoreReason(Enum):
    """Why a record on the control topic was not answered."""

    TOO_LONG = "longer than a control message may be"
    NOT_A_MESSAGE = "not a message of the schema"
    NOT_A_REQUEST = "not a request"
    BAD_CLIENT_ID = "client id out of range"
    UNSIGNED = "not signed, in a session that began with a proof"
    WRONG_MAC = "wrongly signed"
    REPEATED = "signed with a counter that was used"
    TOO_FAST = "one of too many in a second"


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A client logged in, or is taken over: open its topics. `session` is never used twice."""

    client_id: int
    session: int
    version: int
    restored: bool = False


@dataclass(frozen=True, slots=True)
class CloseSession:
    """A session ended: close the client's topics once its replies are out."""

    client_id: int
    session: int
    cause: EndCause


@dataclass(frozen=True, slots=True)
class Reply:
    """Send one message to a client; `session` is None for a client that has none.

    A refusal says what it refuses with in `error` and `reason`, for logs and metrics.
    """

    client_id: int
    session: int | None
    channel: Channel
    payload: bytes
    text: str
    error: ClientErrorType | DataErrorType | None = None
    reason: Reason = Reason.NONE


@dataclass(frozen=True, slots=True)
class StartStream:
    """Start a stream in the given session."""

    plan: StreamPlan
    session: int


@dataclass(frozen=True, slots=True)
class StopStream:
    """End a stream soon; it tells its client so with a Last… message and the reason."""

    ticket: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class AdvanceStream:
    """The client has taken all rows of a stream before `sequence`."""

    ticket: int
    sequence: int


@dataclass(frozen=True, slots=True)
class AbortStream:
    """End a stream at once; its client is told by other means, or is not there to be told."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """A record that was not answered: to be logged and counted."""

    reason: IgnoreReason
    detail: str


Action = (
    OpenSession
    | CloseSession
    | Reply
    | StartStream
    | StopStream
    | AdvanceStream
    | AbortStream
    | Ignored
)
