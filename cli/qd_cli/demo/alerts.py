"""Reading the alerts while the demo runs, and knowing when a market's are complete."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing

from qd_cli.alerts import row_of
from qd_cli.demo.events import View
from qd_cli.names import Names
from qd_client import MarketInfo, alerts, until_evaluated
from qd_fluvio import Fluvio


class AlertWatch:
    """Counts and shows the alerts of all markets.

    Parameters
    ----------
    fluvio : Fluvio
        The cluster.
    names : Names
        Turns symbol ids into symbols.
    view : View
        Sees each alert.
    """

    def __init__(self, fluvio: Fluvio, names: Names, view: View) -> None:
        self.counts: Counter[str] = Counter()
        self._fluvio = fluvio
        self._names = names
        self._view = view
        self._seen = asyncio.Event()

    async def follow(self) -> None:
        """Read the alerts as they come, for ever."""
        async with aclosing(alerts(self._fluvio)) as stream:
            async for alert in stream:
                row = await row_of(alert, self._names)
                self.counts[row.symbol] += 1
                self._view.alert(row, self.counts.total())
                self._seen.set()

    async def until_complete(self, market: MarketInfo) -> None:
        """Wait until all alerts of a market's trades have been seen.

        The analytics service says when they are all on the topic; what is on the topic then
        is read back once more, to be compared with what came as it happened.
        """
        await until_evaluated(
            self._fluvio, market.symbol_id, market.trades, exchange_id=market.exchange_id
        )
        expected = 0
        async with aclosing(alerts(self._fluvio, follow=False)) as stream:
            async for alert in stream:
                expected += alert.symbol_id == market.symbol_id
        while self.counts[market.symbol] < expected:
            self._seen.clear()
            await self._seen.wait()
