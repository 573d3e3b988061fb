"""The closed sets of values that messages carry. Values are those of the schema's XML."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class DataType(IntEnum):
    """What a stream carries; the exact ones hold f64 prices and come in packed frames."""

    UNKNOWN = 0
    TRADES = 1
    OHLCV = 2
    TRADES_EXACT = 3
    OHLCV_EXACT = 4


class Resolution(IntEnum):
    """The length of a bar."""

    NONE = 0
    M1 = 1
    M5 = 2
    M15 = 3
    M30 = 4
    H1 = 5
    D1 = 6
    MO1 = 7
    Y1 = 8

    @property
    def label(self) -> str:
        """The name users write, such as ``1m`` (a minute) or ``1M`` (a month)."""
        return _LABELS[self]

    @classmethod
    def parse(cls, label: str) -> Resolution:
        """Read a label that a user wrote.

        Raises
        ------
        ValueError
            The label is none of the eight; the message lists them.
        """
        for resolution, known in _LABELS.items():
            if known == label and resolution is not cls.NONE:
                return resolution
        expected = ", ".join(known for key, known in _LABELS.items() if key is not cls.NONE)
        raise ValueError(f"no resolution {label!r}; expected one of {expected}")


_LABELS: Final[dict[Resolution, str]] = {
    Resolution.NONE: "none",
    Resolution.M1: "1m",
    Resolution.M5: "5m",
    Resolution.M15: "15m",
    Resolution.M30: "30m",
    Resolution.H1: "1h",
    Resolution.D1: "1d",
    Resolution.MO1: "1M",
    Resolution.Y1: "1y",
}


class ExchangeId(IntEnum):
    """The exchanges whose markets the system knows."""

    NULL = 0
    KRAKEN = 1
    BINANCE = 2


class ClientErrorType(IntEnum):
    """Why the gateway refused a client's login or logout, or a request without a login."""

    UNKNOWN = 0
    ALREADY_LOGGED_IN = 1
    LOGIN_FAILED = 2
    NOT_LOGGED_IN = 3
    LOGOUT_FAILED = 4


class DataErrorType(IntEnum):
    """Why a stream was refused or ended early."""

    UNKNOWN = 0
    DATA_TYPE_UNKNOWN = 1
    DATA_UNAVAILABLE = 2
    ENCODING_FAILED = 3
    TABLE_NOT_FOUND = 4
    SEND_FAILED = 5
    CHANNEL_FAILED = 6


class EndReason(IntEnum):
    """Why a stream ended: all was sent, its client stopped it, or its gateway had to.

    After INTERRUPTED the session goes on; its client asks again from the next sequence.
    """

    COMPLETE = 0
    STOPPED = 1
    INTERRUPTED = 2


class UnfinishedBar(IntEnum):
    """What becomes of a market's last bar while a trade may still fall into its interval."""

    LEFT_OUT = 0
    INCLUDED = 1


class Reason(IntEnum):
    """Why exactly something was refused; ClientErrorType and DataErrorType are the coarse kinds."""

    NONE = 0
    ID_IN_USE = 1
    SESSIONS_FULL = 2
    TOKEN_UNKNOWN = 3
    WRONG_PROOF = 4
    VERSION_REFUSED = 5
    NO_SESSION = 6
    ENDED_BY_OPERATOR = 7
    STOPPING = 8
    DATA_TYPE_UNKNOWN = 20
    RESOLUTION_UNKNOWN = 21
    SYMBOL_UNKNOWN = 22
    NO_ROWS = 23
    BAR_NOT_OVER = 24
    BAD_PACE = 25
    BAD_SEQUENCE = 26
    CLIENT_STREAMS_FULL = 27
    STREAMS_FULL = 28
    TOO_FAST = 29
    DATABASE_DOWN = 30
    DATABASE_FAILED = 31
    NOT_ENCODABLE = 32
    NOT_SENT = 33
    DEFECT = 34
    TOO_LONG = 35


class Signal(IntEnum):
    """Whether a model's conclusion became true (rose) or false (fell)."""

    FELL = 0
    ROSE = 1


class ModelId(IntEnum):
    """The causal models that publish alerts."""

    MONTHLY_BREAKOUT = 1
    WEEKLY_BREAKOUT = 2


class ServiceId(IntEnum):
    """The services; ids up to 20 are theirs, higher ones are clients'."""

    QDGW = 1
    SYMDB = 2
    ANALYTICS = 3
