"""Models over a market's history, straight from the store: no broker, no gateway.

The store gives arrays of trades, `qd_analytics.backtest` says what the model says of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qd_analytics.backtest import backtest
from qd_analytics.market_run import Judged
from qd_analytics.models.loading import Chosen
from qd_cli.blocking import Meter
from qd_cli.errors import RequestRefused
from qd_schemas.arrays import Rows
from qd_schemas.enums import ExchangeId
from qd_store import Market, Store
from qd_store.errors import UnknownExchange
from qd_store.exchanges import find_exchange
from qd_store.reading.blocking import read_trades


async def stored_market(dsn: str, exchange: ExchangeId, name: str) -> Market:
    """Look a market up in the database by its symbol, or by another of its names.

    Raises
    ------
    RequestRefused
        There is none of this name that has trades.
    """
    async with Store.open(dsn) as store:
        await store.check_version()
        symbols = [name, name.upper()]
        with contextlib.suppress(UnknownExchange):
            symbols.append(find_exchange(exchange).symbol_of(name))
        for symbol in symbols:
            if (found := await store.market_by_symbol(exchange, symbol)) is not None:
                return found
    raise RequestRefused(
        f"the database has no market {name!r} of {exchange.name.lower()}: "
        "`qd symbols` lists them, `qd import` brings more"
    )


@dataclass(frozen=True, slots=True)
class History:
    """A market's trades, and what watches them.

    Attributes
    ----------
    dsn : str
        The database.
    market : Market
        Whose trades.
    chosen : Chosen
        The model.
    end_time : int or None
        Trades before this time, microseconds since the epoch.
    from_time : int or None
        Trades from this time on; None for answers that are the service's.
    """

    dsn: str
    market: Market
    chosen: Chosen
    end_time: int | None = None
    from_time: int | None = None

    def judged(self, meter: Meter) -> Iterator[Judged]:
        """What the model says of each array of trades; blocks, and heeds the meter's stop."""
        return backtest(
            self.chosen,
            self._arrays(meter),
            exchange_id=self.market.exchange_id,
            symbol_id=self.market.symbol_id,
        )

    def _arrays(self, meter: Meter) -> Iterator[Rows]:
        symbol, total = self.market.symbol, self.market.trades
        meter.take(0, total, symbol)
        stored = read_trades(self.dsn, self.market.key, self.from_time)
        done = 0
        with contextlib.closing(stored):
            for rows in stored:
                if meter.stop.is_set():
                    return
                wanted = rows
                if self.end_time is not None and rows["time"][-1] >= self.end_time:
                    wanted = rows[: int(np.searchsorted(rows["time"], self.end_time))]
                yield wanted
                done += len(rows)
                meter.take(done, total, symbol)
                if len(wanted) < len(rows):
                    return
