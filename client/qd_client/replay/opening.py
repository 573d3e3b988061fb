"""Makes a replay of what a client streams."""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from qd_client.errors import UsageError
from qd_client.replay.events import Bars, Market, Trades
from qd_client.replay.replay import Replay
from qd_client.request import Time
from qd_schemas.arrays import Rows
from qd_schemas.enums import Resolution


class Streams(Protocol):
    """What streams a market's rows: `QDClient`."""

    def trades(
        self, symbol: str | int, *, start: Time | None = None, end: Time | None = None
    ) -> AsyncGenerator[Rows, None]:
        """Stream trades of a range of time."""
        ...

    def bars(
        self,
        symbol: str | int,
        resolution: Resolution | str,
        *,
        start: Time | None = None,
        end: Time | None = None,
    ) -> AsyncGenerator[Rows, None]:
        """Stream bars of a range of time, each once it is over, at its start's time."""
        ...


def replay_of(
    streams: Streams,
    markets: Sequence[Market | str | int],
    *,
    start: Time | None,
    end: Time | None,
    pace: float,
    every: Resolution | str | None,
) -> Replay:
    """Make a replay of streams; a symbol or id alone means its trades."""
    if isinstance(markets, str | Trades | Bars):  # a text would be a list of its letters
        raise UsageError(f"a replay's markets are a list; give [{markets!r}]")

    def opened(market: Market, start: Time | None, end: Time | None) -> AsyncGenerator[Rows, None]:
        if isinstance(market, Trades):
            return streams.trades(market.symbol, start=start, end=end)
        return streams.bars(market.symbol, market.resolution, start=start, end=end)

    return Replay(
        opened, [_market(one) for one in markets], start=start, end=end, pace=pace, every=every
    )


def _market(given: Market | str | int) -> Market:
    if isinstance(given, Trades | Bars):
        return given
    if isinstance(given, str):
        return Trades(given)
    try:
        return Trades(operator.index(given))
    except TypeError:
        raise UsageError(
            f"{given!r} is no market; expected Trades(…), Bars(…), a symbol or its id"
        ) from None
