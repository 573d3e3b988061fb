"""The common case in one call: a market's trades or bars, whole, as one array or frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack, overload

import numpy as np

from qd_client.blocking import LoopThread
from qd_client.client import QDClient
from qd_client.consuming import collect
from qd_client.frames import FrameKind, maker_of
from qd_client.request import Time
from qd_client.stream import RowStream
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.enums import ExchangeId, Resolution

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    Frame: TypeAlias = pandas.DataFrame | polars.DataFrame | pyarrow.Table


class _Asked(TypedDict, total=False):
    """What may be said of either kind of rows; see `trades`."""

    start: Time | None
    end: Time | None
    exchange: ExchangeId


class _AskedTrades(_Asked, total=False):
    first_sequence: int


class _AskedBars(_Asked, total=False):
    unfinished: bool


# fmt: off
@overload
def trades(
    symbol: str | int, *, frame: None = None, **asked: Unpack[_AskedTrades]
) -> Rows: ...
@overload
def trades(
    symbol: str | int, *, frame: Literal["pandas"], **asked: Unpack[_AskedTrades]
) -> pandas.DataFrame: ...
@overload
def trades(
    symbol: str | int, *, frame: Literal["polars"], **asked: Unpack[_AskedTrades]
) -> polars.DataFrame: ...
@overload
def trades(
    symbol: str | int, *, frame: Literal["arrow"], **asked: Unpack[_AskedTrades]
) -> pyarrow.Table: ...
@overload
def trades(
    symbol: str | int, *, frame: FrameKind | None, **asked: Unpack[_AskedTrades]
) -> Rows | Frame: ...
# fmt: on
def trades(
    symbol: str | int,
    *,
    start: Time | None = None,
    end: Time | None = None,
    first_sequence: int = 1,
    exchange: ExchangeId = ExchangeId.KRAKEN,
    frame: FrameKind | None = None,
) -> Rows | Frame:
    """Read a market's trades of a range of time into one array, or frame.

    It connects to QD_FLUVIO and QD_SYMDB of the environment, else to the stack that ``qd up``
    started, and logs in and out again: for many calls, open a `SyncQDClient` once. It works in
    scripts and in notebooks. The result is in memory at once: 32 bytes a trade.

    Parameters
    ----------
    symbol : str or int
        The symbol, or its id.
    start, end : Time, optional
        The range of time, the end exclusive: ``"2021-01-31"``, a datetime, microseconds.
    first_sequence : int
        The first trade's sequence within the market.
    exchange : ExchangeId
        Whose market.
    frame : {"pandas", "polars", "arrow"}, optional
        What to make of the array; None leaves it as it is.

    Returns
    -------
    ndarray of TRADE, or DataFrame, or Table
        Columns ``sequence time price volume``.

    Raises
    ------
    NoStack
        Nothing runs: the text says what to start.
    SymbolNotFound, DataUnavailable
        There is no such market, or nothing in the range.
    LibraryMissing
        The frame's library is not installed.
    """

    def asked(qd: QDClient) -> RowStream:
        return qd.trades(symbol, first_sequence=first_sequence, start=start, end=end)

    return _read(asked, TRADE, exchange, frame)


# fmt: off
@overload
def bars(
    symbol: str | int, resolution: Resolution | str, *,
    frame: None = None, **asked: Unpack[_AskedBars],
) -> Rows: ...
@overload
def bars(
    symbol: str | int, resolution: Resolution | str, *,
    frame: Literal["pandas"], **asked: Unpack[_AskedBars],
) -> pandas.DataFrame: ...
@overload
def bars(
    symbol: str | int, resolution: Resolution | str, *,
    frame: Literal["polars"], **asked: Unpack[_AskedBars],
) -> polars.DataFrame: ...
@overload
def bars(
    symbol: str | int, resolution: Resolution | str, *,
    frame: Literal["arrow"], **asked: Unpack[_AskedBars],
) -> pyarrow.Table: ...
@overload
def bars(
    symbol: str | int, resolution: Resolution | str, *,
    frame: FrameKind | None, **asked: Unpack[_AskedBars],
) -> Rows | Frame: ...
# fmt: on
def bars(
    symbol: str | int,
    resolution: Resolution | str,
    *,
    start: Time | None = None,
    end: Time | None = None,
    exchange: ExchangeId = ExchangeId.KRAKEN,
    unfinished: bool = False,
    frame: FrameKind | None = None,
) -> Rows | Frame:
    """Read a market's bars of a range of time into one array, or frame, as `trades` does.

    Parameters
    ----------
    resolution : Resolution or str
        One of ``1m 5m 15m 30m 1h 1d 1M 1y``.
    unfinished : bool
        True gives the market's last bar as it is so far; False leaves it out.

    Returns
    -------
    ndarray of BAR, or DataFrame, or Table
        Columns ``time open high low close volume``; the time is that of a bar's start.
    """

    def asked(qd: QDClient) -> RowStream:
        return qd.bars(symbol, resolution, start=start, end=end, unfinished=unfinished)

    return _read(asked, BAR, exchange, frame)


def _read(
    asked: Callable[[QDClient], RowStream],
    dtype: np.dtype[np.void],
    exchange: ExchangeId,
    frame: FrameKind | None,
) -> Any:
    make = maker_of(frame)
    client = QDClient(exchange=exchange)

    async def read() -> Rows:
        async with client as qd:
            return await collect(asked(qd), dtype)

    thread = LoopThread()
    try:
        rows = thread.run(read())
    finally:
        thread.close()
    return make(rows)
