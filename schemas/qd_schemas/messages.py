"""All messages: the one place where their fields, order, types and versions are declared.

Layouts for struct, construct and numpy are derived from these classes (`qd_schemas.table`),
and a test holds them against the schema's XML (``sbe/qd.xml``). Fields marked ``V2`` came with
version 2; their defaults mean "absent", as when a version 1 sender left them out. Fields of
a closed set are plain ints, so that a reader can answer a value that it does not know.
Times are microseconds since the epoch, UTC.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from qd_schemas.enums import (
    ClientErrorType,
    DataErrorType,
    DataType,
    EndReason,
    ExchangeId,
    ModelId,
    Reason,
    Resolution,
    Signal,
    UnfinishedBar,
)
from qd_schemas.wire import (
    B32,
    F32,
    F64,
    I64,
    NO_CHOICE,
    NO_COUNT,
    NO_DETAIL,
    NO_REASON,
    NO_STREAM,
    NO_TIME,
    U16,
    U32,
    V2,
    VERSION,
    VERSION_REFERENCE,
    Kind,
)

_Exchange = Annotated[int, Kind.U8, ExchangeId]
_Resolution = Annotated[int, Kind.U8, Resolution]
_DataType = Annotated[int, Kind.U8, DataType]
_StreamV2 = Annotated[int, Kind.U32, V2]
_TimeV2 = Annotated[int, Kind.I64, V2]
_CountV2 = Annotated[int, Kind.I64, V2]
_EndReasonV2 = Annotated[int, Kind.U8, EndReason, V2]
_RequestV2 = Annotated[int, Kind.U16, V2]
_ReasonV2 = Annotated[int, Kind.U16, Reason, V2]


class Message:
    """What all messages share.

    Attributes
    ----------
    TEMPLATE : int
        The template id, which is also the message type.
    REFERENCE_NAME : str or None
        The message's name in the XML where that differs from the class's.
    SINCE : int
        The schema's version that brought the message.
    """

    __slots__ = ()
    TEMPLATE: ClassVar[int]
    REFERENCE_NAME: ClassVar[str | None] = None
    SINCE: ClassVar[int] = VERSION_REFERENCE


@dataclass(frozen=True, slots=True)
class ClientLogin(Message):
    """Client to gateway: open a session; `lease_ms` 0 means the gateway's default.

    A login that is sent again carries the same `login_id` and is answered again; 0 is none.
    """

    TEMPLATE: ClassVar[int] = 101
    client_id: U16
    lease_ms: Annotated[int, Kind.U32, V2] = 0
    login_id: Annotated[int, Kind.I64, V2] = 0


@dataclass(frozen=True, slots=True)
class ClientLogout(Message):
    """Client to gateway: end the session."""

    TEMPLATE: ClassVar[int] = 102
    client_id: U16


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Both ways in a version 2 session: the sender lives.

    The gateway's `epoch` changes whenever another process serves the session than before.
    """

    TEMPLATE: ClassVar[int] = 103
    SINCE: ClassVar[int] = VERSION
    client_id: U16
    epoch: I64 = NO_COUNT


@dataclass(frozen=True, slots=True)
class LoginChallenge(Message):
    """Gateway to client: prove who you are; see `qd_schemas.identity`."""

    TEMPLATE: ClassVar[int] = 104
    SINCE: ClassVar[int] = VERSION
    client_id: U16
    nonce: B32


@dataclass(frozen=True, slots=True)
class LoginProof(Message):
    """Client to gateway: the answer to a challenge, and the login itself once more."""

    TEMPLATE: ClassVar[int] = 105
    SINCE: ClassVar[int] = VERSION
    client_id: U16
    lease_ms: U32
    login_id: I64
    proof: B32


@dataclass(frozen=True, slots=True)
class Signed(Message):
    """Client to gateway: before a request in the same record, it proves who sent that."""

    TEMPLATE: ClassVar[int] = 106
    SINCE: ClassVar[int] = VERSION
    client_id: U16
    counter: I64
    mac: B32


@dataclass(frozen=True, slots=True)
class StreamAck(Message):
    """Client to gateway: all rows of a stream before `sequence` were taken."""

    TEMPLATE: ClassVar[int] = 107
    SINCE: ClassVar[int] = VERSION
    client_id: U16
    stream_id: U32
    sequence: I64


@dataclass(frozen=True, slots=True)
class StartData(Message):
    """Client to gateway: stream a market's trades or bars.

    `first_sequence` 0 starts at the first; `end_time` is exclusive; `pace` 0 is as fast as
    possible, 1 real time, N is N times real time. `window_rows` is how many rows may be on
    their way beyond the last `StreamAck`, 0 any number; `unfinished` absent is INCLUDED.
    """

    TEMPLATE: ClassVar[int] = 201
    REFERENCE_NAME: ClassVar[str | None] = "StartDataMsg"
    client_id: U16
    exchange_id: _Exchange
    symbol_id: U16
    time_resolution: _Resolution
    data_type_id: _DataType
    stream_id: _StreamV2 = NO_STREAM
    first_sequence: Annotated[int, Kind.I64, V2] = 0
    start_time: _TimeV2 = NO_TIME
    end_time: _TimeV2 = NO_TIME
    pace: Annotated[float, Kind.F64, V2] = 0.0
    window_rows: Annotated[int, Kind.U32, V2] = 0
    unfinished: Annotated[int, Kind.U8, UnfinishedBar, V2] = NO_CHOICE


@dataclass(frozen=True, slots=True)
class StopData(Message):
    """Client to gateway: end one running stream."""

    TEMPLATE: ClassVar[int] = 202
    REFERENCE_NAME: ClassVar[str | None] = "StopDataMsg"
    client_id: U16
    exchange_id: _Exchange
    symbol_id: U16
    data_type_id: _DataType
    stream_id: _StreamV2 = NO_STREAM


@dataclass(frozen=True, slots=True)
class StopAllData(Message):
    """Client to gateway: end all running streams of this client."""

    TEMPLATE: ClassVar[int] = 203
    REFERENCE_NAME: ClassVar[str | None] = "StopAllDataMsg"
    client_id: U16
    exchange_id: _Exchange


@dataclass(frozen=True, slots=True)
class OHLCVBar(Message):
    """One bar, f32."""

    TEMPLATE: ClassVar[int] = 204
    REFERENCE_NAME: ClassVar[str | None] = "DataBar"
    symbol_id: U16
    date_time: I64
    open_price: F32
    high_price: F32
    low_price: F32
    close_price: F32
    volume: F32


@dataclass(frozen=True, slots=True)
class FirstOHLCVBar(Message):
    """A stream of bars begins."""

    TEMPLATE: ClassVar[int] = 205
    REFERENCE_NAME: ClassVar[str | None] = "FirstDataBar"
    symbol_id: U16
    stream_id: _StreamV2 = NO_STREAM


@dataclass(frozen=True, slots=True)
class LastOHLCVBar(Message):
    """A stream of bars ended after `count` bars."""

    TEMPLATE: ClassVar[int] = 206
    REFERENCE_NAME: ClassVar[str | None] = "LastDataBar"
    symbol_id: U16
    stream_id: _StreamV2 = NO_STREAM
    end_reason: _EndReasonV2 = NO_REASON
    count: _CountV2 = NO_COUNT


@dataclass(frozen=True, slots=True)
class TradeBar(Message):
    """One trade, f32."""

    TEMPLATE: ClassVar[int] = 207
    symbol_id: U16
    date_time: I64
    price: F32
    volume: F32


@dataclass(frozen=True, slots=True)
class FirstTradeBar(Message):
    """A stream of trades begins."""

    TEMPLATE: ClassVar[int] = 208
    symbol_id: U16
    stream_id: _StreamV2 = NO_STREAM


@dataclass(frozen=True, slots=True)
class LastTradeBar(Message):
    """A stream of trades ended after `count` trades."""

    TEMPLATE: ClassVar[int] = 209
    symbol_id: U16
    stream_id: _StreamV2 = NO_STREAM
    end_reason: _EndReasonV2 = NO_REASON
    count: _CountV2 = NO_COUNT


@dataclass(frozen=True, slots=True)
class FrameHeader(Message):
    """The first message of a packed frame: what the `count` messages after it are.

    Row i has the sequence number `first_sequence` + i.
    """

    TEMPLATE: ClassVar[int] = 210
    SINCE: ClassVar[int] = VERSION
    symbol_id: U16
    stream_id: U32
    data_type_id: _DataType
    time_resolution: _Resolution
    first_sequence: I64
    count: U32


@dataclass(frozen=True, slots=True)
class ExactTrade(Message):
    """One trade, f64, in a packed frame."""

    TEMPLATE: ClassVar[int] = 211
    SINCE: ClassVar[int] = VERSION
    symbol_id: U16
    date_time: I64
    price: F64
    volume: F64


@dataclass(frozen=True, slots=True)
class ExactBar(Message):
    """One bar, f64, in a packed frame."""

    TEMPLATE: ClassVar[int] = 212
    SINCE: ClassVar[int] = VERSION
    symbol_id: U16
    date_time: I64
    open_price: F64
    high_price: F64
    low_price: F64
    close_price: F64
    volume: F64


@dataclass(frozen=True, slots=True)
class BreakoutAlert(Message):
    """A breakout signal rose or fell at a trade: the trade and the levels it was held against."""

    TEMPLATE: ClassVar[int] = 301
    SINCE: ClassVar[int] = VERSION
    symbol_id: U16
    exchange_id: _Exchange
    signal: Annotated[int, Kind.U8, Signal]
    model_id: Annotated[int, Kind.U16, ModelId]
    date_time: I64
    price: F64
    sequence: I64
    previous_open: F64
    previous_high: F64
    previous_close: F64
    current_open: F64


@dataclass(frozen=True, slots=True)
class ModelProgress(Message):
    """A model has evaluated a market's trades up to a sequence; their alerts are published."""

    TEMPLATE: ClassVar[int] = 302
    SINCE: ClassVar[int] = VERSION
    symbol_id: U16
    exchange_id: _Exchange
    model_id: Annotated[int, Kind.U16, ModelId]
    sequence: I64


@dataclass(frozen=True, slots=True)
class ClientError(Message):
    """Gateway to client: a login, a logout or a request without a session was refused.

    `request_type` is the template id of what was asked, `limit_value` the number that was hit.
    """

    TEMPLATE: ClassVar[int] = 801
    client_id: U16
    client_error_type: Annotated[int, Kind.U8, ClientErrorType]
    request_type: _RequestV2 = NO_DETAIL
    reason: _ReasonV2 = NO_DETAIL
    limit_value: _CountV2 = NO_COUNT


@dataclass(frozen=True, slots=True)
class DataError(Message):
    """Gateway to client: a stream was refused or ended early; details as in `ClientError`."""

    TEMPLATE: ClassVar[int] = 802
    client_id: U16
    data_error_type: Annotated[int, Kind.U8, DataErrorType]
    stream_id: _StreamV2 = NO_STREAM
    request_type: _RequestV2 = NO_DETAIL
    reason: _ReasonV2 = NO_DETAIL
    limit_value: _CountV2 = NO_COUNT


MESSAGES: Final[tuple[type[Message], ...]] = (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginChallenge,
    LoginProof,
    Signed,
    StreamAck,
    StartData,
    StopData,
    StopAllData,
    OHLCVBar,
    FirstOHLCVBar,
    LastOHLCVBar,
    TradeBar,
    FirstTradeBar,
    LastTradeBar,
    FrameHeader,
    ExactTrade,
    ExactBar,
    BreakoutAlert,
    ModelProgress,
    ClientError,
    DataError,
)
"""Every message, by template id."""
