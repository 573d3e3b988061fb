"""What one stream will send: a checked StartData request. Pure, no I/O.

The database's part of the check (is there such a market, has it rows) is not made here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qd_schemas.enums import DataErrorType, DataType, Resolution
from qd_schemas.messages import StartData
from qd_schemas.wire import NO_TIME

TIME_US_MAX = 9_000_000_000_000_000  # in the year 2255; no trade is later, none before 1970

_BARS = frozenset({DataType.OHLCV, DataType.OHLCV_EXACT})
_PACKED = frozenset({DataType.TRADES_EXACT, DataType.OHLCV_EXACT})
_BY_VERSION = {
    1: frozenset({DataType.TRADES, DataType.OHLCV}),
    2: frozenset({DataType.TRADES, DataType.OHLCV}) | _PACKED,
}


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream as it was asked for.

    Attributes
    ----------
    ticket : int
        The gateway's own name for the stream, never used twice.
    version : int
        The protocol version of the request, which the stream's messages follow.
    start_time, end_time : int or None
        Microseconds since the epoch, UTC, the end exclusive; None is open.
    first_sequence : int
        The first trade's (or bar's) number, from 1.
    pace : float
        0 as fast as possible, 1 real time, N times real time.
    """

    ticket: int
    client_id: int
    version: int
    exchange_id: int
    symbol_id: int
    data_type: DataType
    resolution: Resolution
    stream_id: int
    first_sequence: int
    start_time: int | None
    end_time: int | None
    pace: float

    @property
    def is_bars(self) -> bool:
        """True for OHLCV bars, False for trades."""
        return self.data_type in _BARS

    @property
    def is_packed(self) -> bool:
        """True where a record holds a frame of many messages."""
        return self.data_type in _PACKED

    def is_confused_with(self, other: StreamPlan) -> bool:
        """True where one client could not tell the two streams' messages apart.

        Version 2 goes by the stream's id. Unpacked rows carry only their symbol.
        """
        if self.version > 1 and other.version > 1 and self.stream_id == other.stream_id:
            return True
        return (
            not (self.is_packed or other.is_packed)
            and self.symbol_id == other.symbol_id
            and self.is_bars == other.is_bars
        )


def plan_of(request: StartData, version: int, ticket: int) -> StreamPlan | DataErrorType:
    """The plan of a request, or the error that refuses it."""
    if request.data_type_id not in _BY_VERSION[version]:
        return DataErrorType.DATA_TYPE_UNKNOWN
    data_type = DataType(request.data_type_id)
    resolution = Resolution.NONE
    if data_type in _BARS:
        if not Resolution.M1 <= request.time_resolution <= Resolution.Y1:
            return DataErrorType.DATA_TYPE_UNKNOWN
        resolution = Resolution(request.time_resolution)
    if not (math.isfinite(request.pace) and request.pace >= 0 and request.first_sequence >= 0):
        return DataErrorType.DATA_UNAVAILABLE
    return StreamPlan(
        ticket=ticket,
        client_id=request.client_id,
        version=version,
        exchange_id=request.exchange_id,
        symbol_id=request.symbol_id,
        data_type=data_type,
        resolution=resolution,
        stream_id=request.stream_id,
        first_sequence=max(request.first_sequence, 1),
        start_time=_time(request.start_time),
        end_time=_time(request.end_time),
        pace=request.pace,
    )


def _time(microseconds: int) -> int | None:
    """A time for the database, brought into the years that every calendar has."""
    if microseconds == NO_TIME:
        return None
    return min(max(microseconds, 0), TIME_US_MAX)
