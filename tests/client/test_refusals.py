"""Each reason the gateway may give has its own exception."""

from __future__ import annotations

import pytest

from qd_client import errors
from qd_client.refusals import client_refusal, data_refusal
from qd_schemas.enums import ClientErrorType, DataErrorType


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
def test_client_errors(found: int, kind: type[errors.Refused]) -> None:
    error = client_refusal(21, found)
    assert type(error) is kind
    assert "client 21" in str(error)


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
def test_data_errors(found: int, kind: type[errors.Refused], retriable: bool) -> None:
    error = data_refusal("trades of XBTUSD", found)
    assert type(error) is kind
    assert error.retriable is retriable
    assert str(error).startswith("trades of XBTUSD: ")
