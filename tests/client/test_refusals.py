"""Each reason the gateway may give has its own exception, which says what to do."""

from __future__ import annotations

import pytest

from qd_client import errors
from qd_client.refusals import client_refusal, data_refusal
from qd_schemas.enums import ClientErrorType, DataErrorType, Reason
from qd_schemas.messages import ClientError, ClientLogin, DataError

CLIENT_REASONS = {
    Reason.ID_IN_USE: errors.AlreadyLoggedIn,
    Reason.SESSIONS_FULL: errors.SessionsFull,
    Reason.TOKEN_UNKNOWN: errors.TokenUnknown,
    Reason.WRONG_PROOF: errors.TokenRefused,
    Reason.VERSION_REFUSED: errors.VersionRefused,
    Reason.NO_SESSION: errors.NotLoggedIn,
    Reason.ENDED_BY_OPERATOR: errors.SessionEnded,
}
DATA_REASONS = {
    Reason.ENDED_BY_OPERATOR: errors.SessionEnded,
    Reason.STOPPING: errors.ChannelFailed,
    Reason.DATA_TYPE_UNKNOWN: errors.DataTypeUnknown,
    Reason.RESOLUTION_UNKNOWN: errors.DataTypeUnknown,
    Reason.SYMBOL_UNKNOWN: errors.SymbolUnknown,
    Reason.NO_ROWS: errors.DataUnavailable,
    Reason.BAR_NOT_OVER: errors.DataUnavailable,
    Reason.BAD_PACE: errors.DataUnavailable,
    Reason.BAD_SEQUENCE: errors.DataUnavailable,
    Reason.CLIENT_STREAMS_FULL: errors.StreamsFull,
    Reason.STREAMS_FULL: errors.StreamsFull,
    Reason.TOO_FAST: errors.TooFast,
    Reason.DATABASE_DOWN: errors.ChannelFailed,
    Reason.DATABASE_FAILED: errors.ChannelFailed,
    Reason.NOT_ENCODABLE: errors.EncodingFailed,
    Reason.NOT_SENT: errors.SendFailed,
    Reason.DEFECT: errors.RefusedUnknown,
    Reason.TOO_LONG: errors.ChannelFailed,
}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (ClientErrorType.UNKNOWN, errors.RefusedUnknown),
        (ClientErrorType.ALREADY_LOGGED_IN, errors.AlreadyLoggedIn),
        (ClientErrorType.LOGIN_FAILED, errors.LoginFailed),
        (ClientErrorType.NOT_LOGGED_IN, errors.NotLoggedIn),
        (ClientErrorType.LOGOUT_FAILED, errors.LogoutFailed),
        (99, errors.RefusedUnknown),
    ],
)
def test_client_errors_of_version_1(found: int, kind: type[errors.Refused]) -> None:
    error = client_refusal(ClientError(21, found))
    assert type(error) is kind
    assert str(error).startswith("client 21: ")


@pytest.mark.parametrize(
    ("found", "kind", "retriable"),
    [
        (DataErrorType.UNKNOWN, errors.RefusedUnknown, False),
        (DataErrorType.DATA_TYPE_UNKNOWN, errors.DataTypeUnknown, False),
        (DataErrorType.DATA_UNAVAILABLE, errors.DataUnavailable, False),
        (DataErrorType.ENCODING_FAILED, errors.EncodingFailed, False),
        (DataErrorType.TABLE_NOT_FOUND, errors.SymbolUnknown, False),
        (DataErrorType.SEND_FAILED, errors.SendFailed, True),
        (DataErrorType.CHANNEL_FAILED, errors.ChannelFailed, True),
        (99, errors.RefusedUnknown, False),
    ],
)
def test_data_errors_of_version_1(found: int, kind: type[errors.Refused], retriable: bool) -> None:
    error = data_refusal("trades of XBTUSD", DataError(21, found))
    assert type(error) is kind
    assert error.retriable is retriable
    assert str(error).startswith("trades of XBTUSD: ")


def test_every_reason_is_told() -> None:
    assert CLIENT_REASONS.keys() | DATA_REASONS.keys() == set(Reason) - {Reason.NONE}


@pytest.mark.parametrize(("reason", "kind"), CLIENT_REASONS.items())
def test_reasons_about_the_session(reason: Reason, kind: type[errors.Refused]) -> None:
    error = client_refusal(ClientError(21, 0, ClientLogin.TEMPLATE, reason, 1_000))
    assert type(error) is kind
    assert (error.reason, error.limit) == (reason, 1_000)
    assert str(error).startswith("client 21 asked to log in: ")
    assert "{" not in str(error)


@pytest.mark.parametrize(("reason", "kind"), DATA_REASONS.items())
def test_reasons_about_a_stream(reason: Reason, kind: type[errors.Refused]) -> None:
    error = data_refusal("trades of XBTUSD", DataError(21, 0, 5, reason=reason))
    assert type(error) is kind
    assert (error.reason, error.limit) == (reason, None)
    assert "{" not in str(error)


def test_a_limit_is_named() -> None:
    full = DataError(21, 6, 5, reason=Reason.CLIENT_STREAMS_FULL, limit_value=1_064)
    assert "1,064 streams" in str(data_refusal("trades of XBTUSD", full))


def test_a_newer_gateways_reason_is_told_as_far_as_it_is_known() -> None:
    assert type(client_refusal(ClientError(21, 2, reason=999))) is errors.LoginFailed
    unknown = client_refusal(ClientError(21, 99, reason=999))
    assert type(unknown) is errors.RefusedUnknown
    assert "99" in str(unknown)
    assert "999" in str(unknown)
