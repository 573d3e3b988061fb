"""The QD client: market data streams as async iterators. The one class that users open."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import TypeAlias

from qd_client.assembly import Assembly, ExactAssembly, ReferenceAssembly
from qd_client.breakout_alerts import alerts
from qd_client.errors import AlreadyLoggedIn, UsageError
from qd_client.limits import LEASE_MS_DEFAULT, LOGIN_TRIES_MAX
from qd_client.local import endpoints
from qd_client.request import Range, StreamRequest, Time
from qd_client.session import Session
from qd_client.symdb import SymdbClient
from qd_fluvio import Fluvio, TopicExists, connect
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataType, ExchangeId, Resolution
from qd_schemas.messages import BreakoutAlert, ExactBar, ExactTrade, OHLCVBar, TradeBar
from qd_schemas.specs import LEASE_MS_MAX, LEASE_MS_MIN, FluvioSettings, TlsSettings
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN
from qd_schemas.wire import NO_STREAM

TradeMessage: TypeAlias = ExactTrade | TradeBar
BarMessage: TypeAlias = ExactBar | OHLCVBar


class QDClient:
    """A client of the gateway, logged in while its ``async with`` block runs.

    Several streams may run at once; each holds a bounded number of bytes.

    Parameters
    ----------
    client_id : int, optional
        21 to 65534, used by nobody else. Without one, a free one is chosen.
    endpoint : FluvioSettings or str, optional
        The Fluvio cluster; ``host:port`` of its SC alone means the official client without TLS.
        Without one, cluster and symbol master are those of QD_FLUVIO and QD_SYMDB, or else of
        the stack that ``qd up`` started.
    symdb : str, optional
        ``host:port`` of the symbol master; where none is known, symbols are given as ids.
    symdb_tls : TlsSettings, optional
        How to speak TLS to it; None speaks without.
    exchange : ExchangeId
        Whose markets.
    lease_ms : int
        How long the gateway, or this client, may be silent before the other gives up.
    version : int
        2, or 1 for the reference's protocol: f32 values, no ranges, no proof of completeness.

    Raises
    ------
    AlreadyLoggedIn, LoginFailed
        On entering: the gateway refused.
    GatewayUnavailable
        On entering: no gateway answered.
    ClusterUnreachable
        On entering: no cluster at `endpoint`.
    NoStack
        No endpoint is given, none is in the environment, and no stack runs.

    Examples
    --------
    >>> async def main():
    ...     async with QDClient(endpoint="127.0.0.1:9003", symdb="127.0.0.1:7070") as qd:
    ...         async for rows in qd.trades("XBTUSD"):
    ...             print(rows["price"].mean())
    """

    def __init__(
        self,
        client_id: int | None = None,
        *,
        endpoint: FluvioSettings | str | None = None,
        symdb: str | None = None,
        symdb_tls: TlsSettings | None = None,
        exchange: ExchangeId = ExchangeId.KRAKEN,
        lease_ms: int = LEASE_MS_DEFAULT,
        version: int = 2,
    ) -> None:
        _check_number("client_id", client_id, CLIENT_ID_MIN, CLIENT_ID_MAX)
        _check_number("lease_ms", lease_ms, LEASE_MS_MIN, LEASE_MS_MAX)
        _check_number("version", version, 1, 2)
        if symdb is not None and not symdb.rpartition(":")[2].isdecimal():
            raise UsageError(f"symdb is {symdb!r}; expected host:port, such as 127.0.0.1:7070")
        if endpoint is None:
            found = endpoints()
            endpoint = found.fluvio
            if symdb is None:
                symdb, symdb_tls = found.symdb, symdb_tls or found.symdb_tls
        self._wanted_id = client_id
        self._cluster = endpoint
        self._symdb_endpoint = symdb
        self._symdb_tls = symdb_tls
        self._symdb: SymdbClient | None = None
        self._exchange = exchange
        self._lease_ms = lease_ms
        self._version = version
        self._stack = AsyncExitStack()
        self._fluvio: Fluvio | None = None
        self._session: Session | None = None
        self._stream_ids = itertools.count(1)

    @property
    def client_id(self) -> int:
        """The id that the client is logged in with."""
        return self._opened().client_id

    @property
    def fluvio(self) -> Fluvio:
        """The client's connection to the cluster."""
        if self._fluvio is None:
            raise UsageError("the client is not open; use it inside `async with QDClient(…)`")
        return self._fluvio

    # --- open and close ---------------------------------------------------------------

    async def __aenter__(self) -> QDClient:
        try:
            self._fluvio = await self._stack.enter_async_context(connect(self._cluster))
            self._session = await self._login(self._fluvio)
        except BaseException:
            await _finished(self._stack.aclose())
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await _finished(self._close(error))

    async def _close(self, error: BaseException | None) -> None:
        session, self._session = self._session, None
        try:
            if session is not None:
                await session.close()
        finally:
            self._fluvio = None
            # With the block's error, which an error of closing must not take the place of.
            kind, traceback = (type(error), error.__traceback__) if error else (None, None)
            await self._stack.__aexit__(kind, error, traceback)

    async def _login(self, fluvio: Fluvio) -> Session:
        """Log in with the id that was given, or with one chosen at random until one is free."""
        if self._wanted_id is not None:
            return await self._try_login(fluvio, self._wanted_id, may_exist=True)
        for _ in range(LOGIN_TRIES_MAX):
            chosen = random.SystemRandom().randint(CLIENT_ID_MIN, CLIENT_ID_MAX)
            with contextlib.suppress(AlreadyLoggedIn, TopicExists):
                return await self._try_login(fluvio, chosen, may_exist=False)
        raise AlreadyLoggedIn(
            f"{LOGIN_TRIES_MAX} ids chosen at random are all in use; give a client_id"
        )

    async def _try_login(self, fluvio: Fluvio, client_id: int, *, may_exist: bool) -> Session:
        session = Session(fluvio, client_id, self._lease_ms, self._version)
        try:
            await session.open(may_exist=may_exist)
        except BaseException:
            await _finished(session.close())
            raise
        return session

    def _opened(self) -> Session:
        if self._session is None:
            raise UsageError("the client is not open; use it inside `async with QDClient(…)`")
        return self._session

    # --- streams ----------------------------------------------------------------------

    def trades(
        self,
        symbol: str | int,
        *,
        first_sequence: int = 1,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
    ) -> AsyncGenerator[Rows, None]:
        """Stream a market's trades.

        Leaving the loop early ends the stream at the gateway; use ``contextlib.aclosing``
        to have that happen at once.

        Parameters
        ----------
        symbol : str or int
            The symbol, or its id.
        first_sequence : int
            The first trade's sequence within the market, from 1.
        start, end : int, datetime or datetime64, optional
            The range of time, the end exclusive; ints are microseconds since the epoch, UTC.
        pace : float
            0 as fast as possible, 1 real time, N times real time.

        Yields
        ------
        ndarray of TRADE
            Each trade once, in order of sequence.

        Raises
        ------
        SymbolUnknown, DataUnavailable, ChannelFailed, SendFailed
            The gateway refused.
        StreamIncomplete
            Trades are missing, or the gateway ended the stream early.
        GatewayLost, NotLoggedIn, ConnectionLost
            The gateway, the session or the cluster is gone.
        """
        kind = DataType.TRADES_EXACT if self._version > 1 else DataType.TRADES
        wanted = Range(first_sequence, start, end, pace)
        return self._stream(symbol, kind, Resolution.NONE, wanted)

    def bars(
        self,
        symbol: str | int,
        resolution: Resolution | str,
        *,
        first_sequence: int = 1,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
    ) -> AsyncGenerator[Rows, None]:
        """Stream a market's OHLCV bars, as `trades` does.

        Parameters
        ----------
        resolution : Resolution or str
            One of ``1m 5m 15m 30m 1h 1d 1M 1y``.
        first_sequence : int
            The number of the first bar within the range, from 1.

        Yields
        ------
        ndarray of BAR
            In order of time; intervals without trades have no bar.
        """
        kind = DataType.OHLCV_EXACT if self._version > 1 else DataType.OHLCV
        wanted = Range(first_sequence, start, end, pace)
        return self._stream(symbol, kind, _resolution(resolution), wanted)

    async def trade_messages(
        self,
        symbol: str | int,
        *,
        first_sequence: int = 1,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
    ) -> AsyncGenerator[TradeMessage, None]:
        """Stream a market's trades as single messages: for convenience, not for speed."""
        kind = ExactTrade if self._version > 1 else TradeBar
        symbol_id, _ = await self._resolve(symbol)
        stream = self.trades(symbol, first_sequence=first_sequence, start=start, end=end, pace=pace)
        async with aclosing(stream):
            async for rows in stream:
                for _, time, price, volume in rows.tolist():
                    yield kind(symbol_id, time, price, volume)

    async def bar_messages(
        self,
        symbol: str | int,
        resolution: Resolution | str,
        *,
        first_sequence: int = 1,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
    ) -> AsyncGenerator[BarMessage, None]:
        """Stream a market's bars as single messages: for convenience, not for speed."""
        kind = ExactBar if self._version > 1 else OHLCVBar
        symbol_id, _ = await self._resolve(symbol)
        stream = self.bars(
            symbol, resolution, first_sequence=first_sequence, start=start, end=end, pace=pace
        )
        async with aclosing(stream):
            async for rows in stream:
                for values in rows.tolist():
                    yield kind(symbol_id, *values)

    def alerts(self, *, follow: bool = True) -> AsyncGenerator[BreakoutAlert, None]:
        """Read the alerts from the first on; see `qd_client.alerts`."""
        return alerts(self.fluvio, follow=follow)

    async def _stream(
        self, symbol: str | int, kind: DataType, resolution: Resolution, wanted: Range
    ) -> AsyncGenerator[Rows, None]:
        session = self._opened()
        if self._version == 1 and not wanted.is_whole:
            raise UsageError("version 1 streams whole markets only; use version 2 for ranges")
        symbol_id, name = await self._resolve(symbol)
        request = StreamRequest(
            client_id=session.client_id,
            exchange_id=self._exchange,
            symbol=name,
            symbol_id=symbol_id,
            data_type=kind,
            resolution=resolution,
            stream_id=next(self._stream_ids) if self._version > 1 else NO_STREAM,
            range=wanted,
        )
        assembly: Assembly
        assembly = ExactAssembly(request) if self._version > 1 else ReferenceAssembly(request)
        inbox = await session.start_stream(request)
        try:
            while not assembly.is_ended:
                rows = assembly.add(await inbox.take())
                if rows is not None:
                    yield rows
        finally:
            if self._session is session:
                await session.end_stream(request, stop=not assembly.is_ended)

    async def _resolve(self, symbol: str | int) -> tuple[int, str]:
        """A symbol's id, and the name for messages."""
        if isinstance(symbol, int):
            return symbol, f"symbol id {symbol}"
        if self._symdb_endpoint is None:
            raise UsageError(
                f"no symbol master is known to look {symbol!r} up; open the client with "
                "symdb='host:port', or give the symbol's id"
            )
        if self._symdb is None:
            host, _, port = self._symdb_endpoint.rpartition(":")
            symdb = SymdbClient(host.strip("[]"), int(port), tls=self._symdb_tls)
            self._symdb = await self._stack.enter_async_context(symdb)
        found = await self._symdb.id_by_symbol(self._exchange, symbol)
        return found.symbol_id, symbol


def _resolution(given: Resolution | str) -> Resolution:
    try:
        return given if isinstance(given, Resolution) else Resolution.parse(given)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _check_number(name: str, found: int | None, low: int, high: int) -> None:
    if found is not None and not low <= found <= high:
        raise UsageError(f"{name} is {found}; expected {low} to {high}")


async def _finished(work: object) -> None:
    """Wait for cleaning up to end, also while this task is being cancelled."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
