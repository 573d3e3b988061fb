"""One stream as the user asked for it, checked, and as the gateway is asked. Pure."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import SupportsFloat, TypeAlias

import numpy as np

from qd_client.errors import UsageError
from qd_schemas.enums import DataType, Resolution, UnfinishedBar
from qd_schemas.messages import StartData, StopData
from qd_schemas.wire import NO_STREAM, NO_TIME

Time: TypeAlias = int | str | datetime | np.datetime64
"""Microseconds since the epoch (UTC), text such as ``2021-01-31`` or ``2021-01-31T12:00+01:00``
(UTC without a zone), an aware datetime, or a numpy datetime (UTC)."""

_YEAR_OR_MONTH = re.compile(r"\d{4}(-\d{2})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# A number that is of these years in another unit is taken for a mistake: in microseconds it is
# hours after 1970, or far in the future, and the stream would be all that there is.
_LIKELY_YEARS = (2005, 2045)
_OTHER_UNITS = {"seconds": 1_000_000.0, "milliseconds": 1_000.0, "nanoseconds": 0.001}


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows, and how fast.

    Attributes
    ----------
    first_sequence : int
        The first trade's number within its market, or the first bar's within the range; from 1.
    start, end : Time or None
        The end is exclusive; None is open.
    pace : float
        0 as fast as possible, 1 real time, N times real time.
    """

    first_sequence: int = 1
    start: Time | None = None
    end: Time | None = None
    pace: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= whole("first_sequence", self.first_sequence) < NO_TIME:
            raise UsageError(f"first_sequence is {self.first_sequence}; sequences begin with 1")
        if not (isinstance(self.pace, SupportsFloat) and 0 <= float(self.pace) < math.inf):
            raise UsageError(
                f"pace is {self.pace!r}; give 0 (as fast as possible), 1 (real time) or N times it"
            )
        start, end = microseconds(self.start), microseconds(self.end)
        if start != NO_TIME and start >= end:
            raise UsageError(f"the range begins at {self.start} and ends at {self.end}, before it")

    @property
    def is_whole(self) -> bool:
        """True where nothing was asked that version 1 cannot say."""
        return self == Range()


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A stream of one market's trades, or bars at a resolution.

    Attributes
    ----------
    window_rows : int
        How many rows the gateway may send beyond those that were taken; 0 any number.
    unfinished : bool
        True has the market's last bar sent as it is so far.
    """

    client_id: int
    exchange_id: int
    symbol: str
    symbol_id: int
    data_type: DataType
    resolution: Resolution
    stream_id: int
    range: Range
    window_rows: int = 0
    unfinished: bool = False

    @property
    def is_bars(self) -> bool:
        """True for OHLCV bars, False for trades."""
        return self.data_type in (DataType.OHLCV, DataType.OHLCV_EXACT)

    def __str__(self) -> str:
        what = f"{self.resolution.label} bars" if self.is_bars else "trades"
        stream = "" if self.stream_id == NO_STREAM else f" (stream {self.stream_id})"
        return f"{what} of {self.symbol}{stream}"

    def start_message(self) -> StartData:
        """What asks the gateway for the stream."""
        return StartData(
            client_id=self.client_id,
            exchange_id=self.exchange_id,
            symbol_id=self.symbol_id,
            time_resolution=self.resolution,
            data_type_id=self.data_type,
            stream_id=self.stream_id,
            first_sequence=self.range.first_sequence,
            start_time=microseconds(self.range.start),
            end_time=microseconds(self.range.end),
            pace=self.range.pace,
            window_rows=self.window_rows,
            unfinished=UnfinishedBar.INCLUDED if self.unfinished else UnfinishedBar.LEFT_OUT,
        )

    def stop_message(self) -> StopData:
        """What tells the gateway to end the stream."""
        return StopData(
            self.client_id, self.exchange_id, self.symbol_id, self.data_type, self.stream_id
        )


def whole(name: str, given: int) -> int:
    """A whole number, also where it is one of numpy's.

    Raises
    ------
    UsageError
        It is something else.
    """
    try:
        return operator.index(given)
    except TypeError:
        raise UsageError(f"{name} is {given!r}; expected a whole number") from None


def microseconds(time: Time | None) -> int:
    """A time as messages carry it; None is open.

    Raises
    ------
    UsageError
        A datetime without a time zone, something that is no time, a number that is likely of
        another unit, or a time that i64 microseconds cannot hold.
    """
    if time is None:
        return NO_TIME
    if isinstance(time, str):
        time = _parsed(time)
    if isinstance(time, np.datetime64):
        found = int(time.astype("datetime64[us]").astype(np.int64))
    elif isinstance(time, datetime):
        if time.tzinfo is None:
            raise UsageError(f"the time {time} has no zone; give one, such as tzinfo=UTC")
        found = (time - _EPOCH) // _MICROSECOND
    else:
        found = _counted(time)
    if not -NO_TIME < found < NO_TIME:
        raise UsageError(f"the time {time} is out of range for microseconds since 1970")
    return found


def _counted(time: int) -> int:
    """A whole number of microseconds."""
    try:
        found = operator.index(time)
    except TypeError:
        raise UsageError(
            f"{time!r} is no time; expected text such as 2021-01-31, an aware datetime, or a "
            "whole number of microseconds since 1970"
        ) from None
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in _LIKELY_YEARS)
    for unit, factor in _OTHER_UNITS.items():
        if (first - _EPOCH) // _MICROSECOND <= found * factor < (last - _EPOCH) // _MICROSECOND:
            raise UsageError(
                f"the time {time} looks like {unit} since 1970; numbers are microseconds, so "
                f"give {round(found * factor)}"
            )
    return found


def resolution_of(given: Resolution | str) -> Resolution:
    """Read a bars' resolution that a user gave.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        found = given if isinstance(given, Resolution) else Resolution.parse(given)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if found is Resolution.NONE:
        raise UsageError("no bars of resolution none; give one of 1m to 1y")
    return found


def _parsed(text: str) -> datetime:
    whole = text + "-01-01"[len(text) - 4 :] if _YEAR_OR_MONTH.fullmatch(text) else text
    try:
        found = datetime.fromisoformat(whole)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time; expected one such as 2021, 2021-01-31 or 2021-01-31T12:00+01:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
