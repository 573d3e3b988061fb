"""``qd stream``: a market's trades or bars from the gateway, printed as they come."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from qd_cli import console
from qd_cli.symdb import known_market, symdb_client, symdb_tls
from qd_client import QDClient
from qd_client.client import Stamp
from qd_schemas.arrays import Rows
from qd_schemas.enums import ExchangeId, Resolution
from qd_schemas.specs import ClientSettings, FluvioSettings


class Format(enum.Enum):
    """How rows are printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to stream.

    Attributes
    ----------
    resolution : Resolution or None
        Of bars; None streams trades.
    start, end : int or None
        Microseconds since the epoch, the end exclusive.
    limit : int or None
        At most so many rows.
    from_sequence : int
        The first trade, or bar, counted from 1.
    pace : float
        0 as fast as possible, 1 real time, N times real time.
    unfinished : bool
        Whether the last bar is given as it is so far.
    stamp : str
        A bar's time: the ``start`` of its interval, or its ``close``.
    """

    symbol: str
    exchange: ExchangeId
    resolution: Resolution | None = None
    start: int | None = None
    end: int | None = None
    limit: int | None = None
    from_sequence: int = 1
    pace: float = 0.0
    unfinished: bool = False
    stamp: Stamp = "start"


async def run_stream(
    fluvio: FluvioSettings, symdb: str, client: ClientSettings, wanted: Wanted, layout: Format
) -> None:
    """Print a stream to its end, or to its limit."""
    left = wanted.limit
    async with symdb_client(symdb) as names:
        market = await known_market(names, wanted.exchange, wanted.symbol)
    wanted = replace(wanted, symbol=market.symbol)
    async with QDClient(
        client.client_id,
        endpoint=fluvio,
        symdb=symdb,
        symdb_tls=symdb_tls(),
        exchange=wanted.exchange,
        token=client.token.secret() or None,
    ) as qd:
        stream = _opened(qd, wanted)
        is_first = True
        async with aclosing(stream):
            async for rows in stream:
                chosen = rows if left is None else rows[:left]
                for line in lines(chosen, layout, heading=is_first):
                    console.out(line)
                is_first = False
                left = None if left is None else left - len(chosen)
                if left == 0:
                    break


def _opened(qd: QDClient, wanted: Wanted) -> AsyncGenerator[Rows, None]:
    if wanted.resolution is None:
        return qd.trades(
            wanted.symbol,
            first_sequence=wanted.from_sequence,
            start=wanted.start,
            end=wanted.end,
            pace=wanted.pace,
        )
    return qd.bars(
        wanted.symbol,
        wanted.resolution,
        first_sequence=wanted.from_sequence,
        start=wanted.start,
        end=wanted.end,
        pace=wanted.pace,
        unfinished=wanted.unfinished,
        stamp=wanted.stamp,
    )


_ROWS_AT_ONCE = 4_096
_WIDTHS = {"sequence": 10, "time": 27}
_WIDTH = 16


def lines(rows: Rows, layout: Format, *, heading: bool) -> Iterator[str]:
    """Format rows as blocks of lines.

    Parameters
    ----------
    rows : TRADE or BAR array
        Whatever their columns are.
    heading : bool
        Begin with the columns' names, where the format has a heading.
    """
    names = list(rows.dtype.names or ())
    if heading and layout is Format.CSV:
        yield ",".join(names)
    elif heading and layout is Format.TEXT:
        yield " ".join(f"{name.upper():>{_width(name)}}" for name in names)
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[begin : begin + _ROWS_AT_ONCE].tolist()
        yield "\n".join(_line(names, values, layout) for values in block)


def _width(name: str) -> int:
    return _WIDTHS.get(name, _WIDTH)


def _line(names: list[str], values: tuple[int | float, ...], layout: Format) -> str:
    cells = [_cell(name, value) for name, value in zip(names, values, strict=True)]
    if layout is Format.CSV:
        return ",".join(cells)
    if layout is Format.TEXT:
        return " ".join(f"{cell:>{_width(name)}}" for name, cell in zip(names, cells, strict=True))
    return console.json_line(
        {
            name: cell if name == "time" else value
            for name, cell, value in zip(names, cells, values, strict=True)
        }
    )


def _cell(name: str, value: int | float) -> str:
    if name == "time":
        return console.iso_time(int(value))
    return str(value) if name == "sequence" else console.number(value)
