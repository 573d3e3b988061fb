"""Reading the alerts while the demo runs, and knowing when a market's are complete."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from pathlib import Path

from qd_cli.alerts import row_of
from qd_cli.demo.caught_up import trades_evaluated
from qd_cli.demo.events import View
from qd_cli.names import Names
from qd_client.alerts import alerts
from qd_fluvio import Fluvio

_POLL_SECONDS = 0.1


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

    async def until_complete(self, analytics_log: Path, symbol: str, trades: int) -> None:
        """Wait until all alerts of a market's first `trades` trades have been seen.

        The analytics service logs when they are all on the topic; what is on the topic then
        is read back once more, to be compared with what came as it happened.
        """
        while True:
            if trades_evaluated(_lines(analytics_log), symbol) >= trades:
                break
            await asyncio.sleep(_POLL_SECONDS)
        expected = 0
        async with aclosing(alerts(self._fluvio, follow=False)) as stream:
            async for alert in stream:
                row = await row_of(alert, self._names)
                expected += row.symbol == symbol
        while self.counts[symbol] < expected:
            self._seen.clear()
            await self._seen.wait()


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines() if log.exists() else []
