"""What one stream will send: a checked StartData request. Pure, no I/O.

The database's part of the check (is there such a market, has it rows) is not made here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qd_schemas.enums import DataErrorType, DataType, Reason, Resolution, UnfinishedBar
from qd_schemas.messages import StartData
from qd_schemas.wire import NO_COUNT, NO_TIME

TIME_US_MAX = 9_000_000_000_000_000  # in the year 2255; no trade is later, none before 1970

_BARS = frozenset({DataType.OHLCV, DataType.OHLCV_EXACT})
_PACKED = frozenset({DataType.TRADES_EXACT, DataType.OHLCV_EXACT})
Mark = tuple[str, int]

_BY_VERSION = {
    1: frozenset({DataType.TRADES, DataType.OHLCV}),
    2: frozenset({DataType.TRADES, DataType.OHLCV}) | _PACKED,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a stream is refused, or ended early: what its client is told."""

    error: DataErrorType
    reason: Reason
    limit: int = NO_COUNT


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
    window_rows : int
        Rows that may be sent beyond the client's last acknowledgement; 0 is any number.
    unfinished : UnfinishedBar
        Whether a bar into which a trade may still fall is sent.
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
    window_rows: int = 0
    unfinished: UnfinishedBar = UnfinishedBar.INCLUDED

    @property
    def is_bars(self) -> bool:
        """True for OHLCV bars, False for trades."""
        return self.data_type in _BARS

    @property
    def is_packed(self) -> bool:
        """True where a record holds a frame of many messages."""
        return self.data_type in _PACKED

    @property
    def marks(self) -> frozenset[Mark]:
        """What its client knows the stream's messages by.

        Two streams that share a mark cannot be told apart, so they never run at once.
        Version 2 goes by the stream's id. Unpacked rows carry only their symbol.
        """
        marks: list[Mark] = []
        if self.version > 1:
            marks.append(("id", self.stream_id))
        if not self.is_packed:
            marks.append(("bars" if self.is_bars else "trades", self.symbol_id))
        return frozenset(marks)


_UNKNOWN_TYPE = Refusal(DataErrorType.DATA_TYPE_UNKNOWN, Reason.DATA_TYPE_UNKNOWN)
_UNKNOWN_RESOLUTION = Refusal(DataErrorType.DATA_TYPE_UNKNOWN, Reason.RESOLUTION_UNKNOWN)
_BAD_PACE = Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.BAD_PACE)
_BAD_SEQUENCE = Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.BAD_SEQUENCE)


def plan_of(request: StartData, version: int, ticket: int) -> StreamPlan | Refusal:
    """The plan of a request, or what refuses it."""
    if request.data_type_id not in _BY_VERSION[version]:
        return _UNKNOWN_TYPE
    data_type = DataType(request.data_type_id)
    resolution = Resolution.NONE
    if data_type in _BARS:
        if not Resolution.M1 <= request.time_resolution <= Resolution.Y1:
            return _UNKNOWN_RESOLUTION
        resolution = Resolution(request.time_resolution)
    if not (math.isfinite(request.pace) and request.pace >= 0):
        return _BAD_PACE
    if request.first_sequence < 0:
        return _BAD_SEQUENCE
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
        window_rows=request.window_rows,
        unfinished=_unfinished(request.unfinished),
    )


def _unfinished(choice: int) -> UnfinishedBar:
    """Whether unfinished bars are sent: also where nothing is said that is known here."""
    left_out = choice == UnfinishedBar.LEFT_OUT
    return UnfinishedBar.LEFT_OUT if left_out else UnfinishedBar.INCLUDED


def _time(microseconds: int) -> int | None:
    """A time for the database, brought into the years that every calendar has."""
    if microseconds == NO_TIME:
        return None
    return min(max(microseconds, 0), TIME_US_MAX)
