"""The steps of the main job on a running stack: import, log in, stream, wait for alerts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from qd_cli.demo.alerts import AlertWatch
from qd_cli.demo.events import Progress, View
from qd_cli.demo.memory import Watchman
from qd_cli.demo.plan import Plan
from qd_cli.demo.result import Summary
from qd_cli.errors import RequestRefused
from qd_cli.generate import generate_market
from qd_cli.imports import ImportMeter, import_files
from qd_cli.names import Names
from qd_cli.stack import StateFolder, qd_parts
from qd_cli.stack.parts import DATABASE, FLUVIO, SYMDB
from qd_cli.symdb import symdb_client
from qd_cli.targets import without_tls
from qd_cli.tasks import beside, together
from qd_client import MarketInfo, QDClient, SymdbClient
from qd_fluvio import connect
from qd_schemas.enums import ExchangeId, Resolution
from qd_schemas.errors import QdError
from qd_store.imports import ImportReport

_EXCHANGE = ExchangeId.KRAKEN
_SHOW_SECONDS = 0.12
_KNOWN_MAX = 20


class Work:
    """One run of the main job on a stack that is up.

    Parameters
    ----------
    plan : Plan
        What to do.
    view : View
        Sees everything.
    folder : StateFolder
        The stack's.
    settings : mapping of str to str
        Where the stack's parts can be reached.
    """

    def __init__(
        self, plan: Plan, view: View, folder: StateFolder, settings: Mapping[str, str]
    ) -> None:
        self._plan = plan
        self._view = view
        self._folder = folder
        self._settings = settings
        self._watchman = Watchman(folder, qd_parts())
        self._seconds: dict[str, float] = {}
        self._trades = 0
        self._bars = 0

    async def run(self, start_seconds: float) -> Summary:
        """Do it; returns the closing summary."""
        self._seconds["start"] = start_seconds
        try:
            async with (
                connect(without_tls(self._settings[FLUVIO])) as fluvio,
                symdb_client(self._settings[SYMDB]) as names,
            ):
                watch = AlertWatch(fluvio, Names(names), self._view)
                async with beside(self._watchman.watch(), watch.follow()):
                    return await self._steps(names, watch)
        except QdError as error:
            # The first sign of a dead process may be whatever its users noticed.
            self._watchman.look()
            raise error

    async def _steps(self, symdb: SymdbClient, alerts: AlertWatch) -> Summary:
        report = await self._import(await self._data())
        markets = await symdb.list_symbols(_EXCHANGE)
        market = _chosen(markets, self._plan.market)
        stream_seconds = await self._stream(market.symbol, market.trades)
        self._view.stage(f"waiting until the analytics have evaluated {market.symbol}")
        begin = time.monotonic()
        await alerts.until_complete(market)
        self._seconds["alerts"] = time.monotonic() - begin
        self._watchman.look()
        return Summary(
            generated=self._plan.data is None,
            market=market.symbol,
            markets=len(markets),
            rows_imported=report.rows,
            rows_rejected=report.rejected,
            rejected_by_reason=_reasons(report),
            trades_streamed=market.trades,
            trades_received=self._trades,
            bars_received=self._bars,
            import_rows_per_second=report.rows / max(report.seconds, 1e-9),
            stream_trades_per_second=self._trades / max(stream_seconds, 1e-9),
            alerts=alerts.counts[market.symbol],
            alerts_elsewhere=alerts.counts.total() - alerts.counts[market.symbol],
            seconds={name: round(value, 3) for name, value in self._seconds.items()},
            peak_memory_bytes=self._watchman.peaks(),
        )

    async def _data(self) -> Path:
        """Return the files to import; generate them if none were given."""
        plan = self._plan
        if plan.data is not None:
            return plan.data
        folder = self._folder.path / "csv"
        folder.mkdir(exist_ok=True)
        self._view.stage(
            f"writing generated data: {plan.markets} invented markets of {plan.trades:,} trades "
            f"over three years (seed {plan.seed})"
        )
        begin = time.monotonic()
        for index in range(plan.markets):
            await asyncio.to_thread(
                generate_market, folder, index, trades=plan.trades, seed=plan.seed
            )
        self._seconds["generate"] = time.monotonic() - begin
        return folder

    async def _import(self, data: Path) -> ImportReport:
        self._view.stage(f"importing {'the generated files' if not self._plan.data else data}")
        meter = ImportMeter()
        async with beside(self._show_import(meter)):
            report = await import_files(
                self._settings[DATABASE],
                [data],
                meter,
                exchange=_EXCHANGE.name.lower(),
                rejects_folder=self._folder.rejects,
                scratch_folder=self._folder.path,
            )
        self._seconds["import"] = report.seconds
        for file in report.files:
            self._view.imported(file)
        if not report.rows:
            raise RequestRefused(f"{data} holds no trades that could be imported")
        return report

    async def _show_import(self, meter: ImportMeter) -> None:
        while True:
            share = Progress(meter.bytes_done, meter.bytes_total or None, meter.rows_per_second)
            self._view.importing(meter.rows, share)
            await asyncio.sleep(_SHOW_SECONDS)

    async def _stream(self, market: str, trades: int) -> float:
        """Stream a market's trades and its daily bars side by side; returns the seconds."""
        self._view.stage(f"logging a client in and streaming {market}: trades and daily bars")
        async with _client(self._settings) as qd:
            begin = time.monotonic()
            async with beside(self._show_stream(begin, trades)):
                await together(self._take_trades(qd, market), self._take_bars(qd, market))
            self._seconds["stream"] = time.monotonic() - begin
        self._show_received(begin, trades)
        return self._seconds["stream"]

    async def _take_trades(self, qd: QDClient, market: str) -> None:
        async with aclosing(qd.trades(market)) as stream:
            async for rows in stream:
                self._trades += len(rows)

    async def _take_bars(self, qd: QDClient, market: str) -> None:
        async with aclosing(qd.bars(market, Resolution.D1)) as stream:
            async for rows in stream:
                self._bars += len(rows)

    async def _show_stream(self, begin: float, trades: int) -> None:
        while True:
            self._show_received(begin, trades)
            await asyncio.sleep(_SHOW_SECONDS)

    def _show_received(self, begin: float, trades: int) -> None:
        rate = self._trades / max(time.monotonic() - begin, 1e-9)
        self._view.streaming(Progress(self._trades, trades, rate), self._bars)


def _client(settings: Mapping[str, str]) -> QDClient:
    return QDClient(endpoint=without_tls(settings[FLUVIO]), symdb=settings[SYMDB])


def _chosen(markets: Sequence[MarketInfo], wanted: str | None) -> MarketInfo:
    """Pick the market to stream: the one that was asked for, else the largest."""
    if wanted is None:
        return max(markets, key=lambda market: market.trades)
    for market in markets:
        if market.symbol == wanted:
            return market
    known = ", ".join(market.symbol for market in markets[:_KNOWN_MAX])
    raise RequestRefused(f"no market is named {wanted!r}: there are {known}")


def _reasons(report: ImportReport) -> dict[str, int]:
    found: Counter[str] = Counter()
    for file in report.files:
        found.update(file.reasons)
    return dict(found)
