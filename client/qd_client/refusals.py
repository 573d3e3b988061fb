"""What the gateway's error messages mean to a user: what was asked, why not, what to do. Pure."""

from __future__ import annotations

from typing import Final

from qd_client.errors import (
    AlreadyLoggedIn,
    ChannelFailed,
    DataTypeUnknown,
    DataUnavailable,
    EncodingFailed,
    LoginFailed,
    LogoutFailed,
    NotLoggedIn,
    Refused,
    RefusedUnknown,
    SendFailed,
    SessionEnded,
    SessionsFull,
    StreamsFull,
    SymbolUnknown,
    TokenRefused,
    TokenUnknown,
    TooFast,
    VersionRefused,
)
from qd_schemas.enums import ClientErrorType, DataErrorType, Reason
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ClientLogout,
    DataError,
    Heartbeat,
    LoginProof,
    Signed,
    StartData,
    StopAllData,
    StopData,
    StreamAck,
)
from qd_schemas.wire import NO_COUNT, NO_DETAIL

_Meaning = tuple[type[Refused], str]

_REASONS: Final[dict[int, _Meaning]] = {
    Reason.ID_IN_USE: (
        AlreadyLoggedIn,
        "the id is logged in already; take another id, or wait until the lease of a client "
        "that died has run out",
    ),
    Reason.SESSIONS_FULL: (
        SessionsFull,
        "the gateway has {limit} sessions and takes no more; log other clients out (`qd clients` "
        "lists them) or try again later",
    ),
    Reason.TOKEN_UNKNOWN: (
        TokenUnknown,
        "the gateway takes clients with a token only and knows none for this id; have an operator "
        "make one with `qd clients add`, and give it as token=",
    ),
    Reason.WRONG_PROOF: (
        TokenRefused,
        "the gateway did not accept the proof; the token is not the one of this id: give that "
        "one, or have an operator make a new one with `qd clients add`",
    ),
    Reason.VERSION_REFUSED: (
        VersionRefused,
        "the gateway does not speak version 1 with this id; use version 2, and a token where the "
        "id has one",
    ),
    Reason.NO_SESSION: (
        NotLoggedIn,
        "the gateway has no session for it, because it was started again or heard nothing for "
        "a whole lease; open a new client",
    ),
    Reason.ENDED_BY_OPERATOR: (
        SessionEnded,
        "an operator ended it with `qd clients`; ask why before you open it again",
    ),
    Reason.STOPPING: (
        ChannelFailed,
        "the gateway is stopping; ask again once it, or another one, serves",
    ),
    Reason.DATA_TYPE_UNKNOWN: (
        DataTypeUnknown,
        "the gateway does not know this data type; it may be older than this client: bring both "
        "to one version",
    ),
    Reason.RESOLUTION_UNKNOWN: (
        DataTypeUnknown,
        "the gateway does not know this resolution; ask for one of 1m 5m 15m 30m 1h 1d 1M 1y",
    ),
    Reason.SYMBOL_UNKNOWN: (
        SymbolUnknown,
        "the gateway's database has no such market; `qd symbols` lists those it has",
    ),
    Reason.NO_ROWS: (
        DataUnavailable,
        "the database has no row for it; widen the range, or import the data",
    ),
    Reason.BAR_NOT_OVER: (
        DataUnavailable,
        "the only bar in the range is not over, as no later trade is known; give "
        "unfinished=True to have it as it is so far, or import more trades",
    ),
    Reason.BAD_PACE: (
        DataUnavailable,
        "the gateway takes no such pace; give 0 (as fast as possible), 1 (real time) or N times it",
    ),
    Reason.BAD_SEQUENCE: (
        DataUnavailable,
        "the gateway takes no such first_sequence; sequences begin with 1",
    ),
    Reason.CLIENT_STREAMS_FULL: (
        StreamsFull,
        "{limit} streams of this client wait for a place already; end some, or read them one "
        "after the other",
    ),
    Reason.STREAMS_FULL: (
        StreamsFull,
        "the gateway has {limit} streams and takes no more; try again later, or use another "
        "gateway",
    ),
    Reason.TOO_FAST: (
        TooFast,
        "the client asks more often than {limit} times a second; open fewer streams at a time",
    ),
    Reason.DATABASE_DOWN: (
        ChannelFailed,
        "the gateway's database does not answer; see that it runs, then ask again",
    ),
    Reason.DATABASE_FAILED: (
        ChannelFailed,
        "the gateway's database failed; the gateway's log says how",
    ),
    Reason.NOT_ENCODABLE: (
        EncodingFailed,
        "a value does not fit its message; the gateway's log says which; version 2 holds values "
        "that version 1 cannot",
    ),
    Reason.NOT_SENT: (
        SendFailed,
        "the gateway could not write to this client's data topic; ask again from the last sequence",
    ),
    Reason.DEFECT: (
        RefusedUnknown,
        "the gateway failed by a defect; report it with the lines of the gateway's log",
    ),
    Reason.TOO_LONG: (
        ChannelFailed,
        "a record in this client's name had more than {limit} bytes; send one message in each",
    ),
}
_CLIENT: Final[dict[int, _Meaning]] = {
    ClientErrorType.ALREADY_LOGGED_IN: _REASONS[Reason.ID_IN_USE],
    ClientErrorType.LOGIN_FAILED: (
        LoginFailed,
        "the gateway opened no session: it takes no more, or not this client; its log says which",
    ),
    ClientErrorType.NOT_LOGGED_IN: _REASONS[Reason.NO_SESSION],
    ClientErrorType.LOGOUT_FAILED: (
        LogoutFailed,
        "the gateway could not log it out; its lease will end the session",
    ),
}
_DATA: Final[dict[int, _Meaning]] = {
    DataErrorType.DATA_TYPE_UNKNOWN: (
        DataTypeUnknown,
        "the gateway does not know this data type or resolution; ask for trades, or bars of one "
        "of 1m 5m 15m 30m 1h 1d 1M 1y",
    ),
    DataErrorType.DATA_UNAVAILABLE: _REASONS[Reason.NO_ROWS],
    DataErrorType.ENCODING_FAILED: _REASONS[Reason.NOT_ENCODABLE],
    DataErrorType.TABLE_NOT_FOUND: _REASONS[Reason.SYMBOL_UNKNOWN],
    DataErrorType.SEND_FAILED: _REASONS[Reason.NOT_SENT],
    DataErrorType.CHANNEL_FAILED: (
        ChannelFailed,
        "the gateway's database does not answer, or it runs as many streams for this client "
        "as it may; its log says which; try again later",
    ),
}
_ASKED: Final[dict[int, str]] = {
    ClientLogin.TEMPLATE: "to log in",
    LoginProof.TEMPLATE: "to log in with a proof",
    ClientLogout.TEMPLATE: "to log out",
    Heartbeat.TEMPLATE: "to go on with its session",
    StartData.TEMPLATE: "for a stream",
    StopData.TEMPLATE: "to stop a stream",
    StopAllData.TEMPLATE: "to stop all streams",
    StreamAck.TEMPLATE: "for more rows of a stream",
    Signed.TEMPLATE: "for something signed",
}


def client_refusal(message: ClientError) -> Refused:
    """The exception for a refusal about the session."""
    asked = _ASKED.get(message.request_type)
    what = f"client {message.client_id}" + (f" asked {asked}" if asked else "")
    return _refusal(what, message, _CLIENT.get(message.client_error_type))


def data_refusal(what: str, message: DataError) -> Refused:
    """The exception for a refusal about a stream, which `what` names."""
    return _refusal(what, message, _DATA.get(message.data_error_type))


def _refusal(what: str, message: ClientError | DataError, coarse: _Meaning | None) -> Refused:
    reason = Reason.NONE if message.reason == NO_DETAIL else message.reason
    meaning = _REASONS.get(reason, coarse)
    if meaning is None:
        text = f"the gateway gave the error {_number_of(message)} and the reason {reason}, which "
        meaning = (RefusedUnknown, text + "this client does not know; use a newer one")
    kind, text = meaning
    limit = "so many" if message.limit_value == NO_COUNT else f"{message.limit_value:,}"
    return kind(f"{what}: {text.format(limit=limit)}", reason, message.limit_value)


def _number_of(message: ClientError | DataError) -> int:
    if isinstance(message, ClientError):
        return message.client_error_type
    return message.data_error_type
