"""What the gateway's error messages mean to a user. Pure."""

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
    SymbolUnknown,
)
from qd_schemas.enums import ClientErrorType, DataErrorType

_Meaning = tuple[type[Refused], str]

_CLIENT: Final[dict[int, _Meaning]] = {
    ClientErrorType.ALREADY_LOGGED_IN: (
        AlreadyLoggedIn,
        "the id is logged in already; take another id, or wait until the lease of a client "
        "that died has run out",
    ),
    ClientErrorType.LOGIN_FAILED: (
        LoginFailed,
        "the gateway takes no more sessions; log other clients out or try again later",
    ),
    ClientErrorType.NOT_LOGGED_IN: (
        NotLoggedIn,
        "the gateway has no session for it, because it was started again or heard nothing for "
        "a whole lease; open a new client",
    ),
    ClientErrorType.LOGOUT_FAILED: (LogoutFailed, "the gateway could not log it out"),
}
_DATA: Final[dict[int, _Meaning]] = {
    DataErrorType.DATA_TYPE_UNKNOWN: (
        DataTypeUnknown,
        "the gateway does not know this data type or resolution",
    ),
    DataErrorType.DATA_UNAVAILABLE: (
        DataUnavailable,
        "the database has no row for it; widen the range, or import the data",
    ),
    DataErrorType.ENCODING_FAILED: (
        EncodingFailed,
        "the gateway could not encode the data; its log says which",
    ),
    DataErrorType.TABLE_NOT_FOUND: (
        SymbolUnknown,
        "the gateway's database has no such market; `qd symbols` lists those it has",
    ),
    DataErrorType.SEND_FAILED: (
        SendFailed,
        "the gateway could not write to this client's data topic; ask again from the last sequence",
    ),
    DataErrorType.CHANNEL_FAILED: (
        ChannelFailed,
        "the gateway's database does not answer, or it runs as many streams for this client "
        "as it may; its log says which; try again later",
    ),
}


def client_refusal(client_id: int, error: int) -> Refused:
    """The exception for a ClientError."""
    kind, text = _CLIENT.get(error, (RefusedUnknown, f"the gateway gave the reason {error}"))
    return kind(f"client {client_id}: {text}")


def data_refusal(what: str, error: int) -> Refused:
    """The exception for a DataError; `what` names the stream."""
    kind, text = _DATA.get(error, (RefusedUnknown, f"the gateway gave the reason {error}"))
    return kind(f"{what}: {text}")
