"""Top movers: in each window of time, the markets whose prices changed most."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.processor import Processor
from qd_fluvio.processors.rows import TRADES
from qd_fluvio.processors.stages.windows import Window
from qd_fluvio.processors.stateful import window
from qd_schemas.arrays import Rows

TOP_MAX: Final = 1_000

_Markets = dict[int, tuple[float, float, float, int]]  # first price, last price, volume, trades


def top_movers(every: str = "1h", top: int = 10, lateness: str = "0s") -> Processor:
    """Per window, the markets whose price changed most, as one JSON object.

    Parameters
    ----------
    every : str
        The window's width, such as 1h.
    top : int
        How many markets.
    lateness : str
        How much older than the newest trade of any market one may be.
    """
    if not 1 <= top <= TOP_MAX:
        raise BadProcessor(f"top is {top}; expected 1 to {TOP_MAX}")

    def result(closed: Window) -> dict[str, Any]:
        movers = [_mover(symbol_id, *market) for symbol_id, market in closed.value.items()]
        movers.sort(key=lambda mover: (-abs(mover["change_percent"]), mover["symbol_id"]))
        return {"start": closed.start, "end": closed.end, "movers": movers[:top]}

    @window(TRADES, every=every, initial={}, lateness=lateness, result=result)
    def movers(markets: _Markets, trades: Rows) -> _Markets:
        """Per window, the markets whose price changed most."""
        found, first, inverse = np.unique(
            trades["symbol_id"], return_index=True, return_inverse=True
        )
        last = len(trades) - 1 - np.unique(trades["symbol_id"][::-1], return_index=True)[1]
        counts = np.bincount(inverse, minlength=len(found))
        symbols = found.tolist()
        # From left to right, from what was there: the sum is then the same however rows are cut.
        before = [markets[symbol][2] if symbol in markets else 0.0 for symbol in symbols]
        volumes = np.bincount(
            np.concatenate((np.arange(len(found)), inverse)),
            weights=np.concatenate((before, trades["volume"])),
        )
        for i, symbol in enumerate(symbols):
            start, _, _, count = markets.get(symbol, (float(trades["price"][first[i]]), 0, 0, 0))
            end = float(trades["price"][last[i]])
            markets[symbol] = (start, end, float(volumes[i]), count + int(counts[i]))
        return markets

    return movers


def _mover(symbol_id: int, first: float, last: float, volume: float, trades: int) -> dict[str, Any]:
    return {
        "symbol_id": symbol_id,
        "first": first,
        "last": last,
        "change_percent": (last / first - 1) * 100 if first else 0.0,
        "volume": volume,
        "trades": trades,
    }
