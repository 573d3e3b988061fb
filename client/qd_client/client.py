"""The QD client: market data streams as async iterators. The one class that users open."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar

from qd_client.acknowledging import window_rows
from qd_client.breakout_alerts import alerts
from qd_client.consuming import Callback, consume
from qd_client.errors import AlreadyLoggedIn, UsageError
from qd_client.limits import LEASE_MS_DEFAULT, LOGIN_TRIES_MAX, PATIENCE_SECONDS_DEFAULT
from qd_client.local import surroundings
from qd_client.replay.events import Market
from qd_client.replay.opening import replay_of
from qd_client.replay.replay import Replay
from qd_client.request import Range, StreamRequest, Time, resolution_of, whole
from qd_client.resuming import Progress, Resuming
from qd_client.session import Session
from qd_client.stream import RowStream, Run
from qd_client.symdb import SymdbClient
from qd_client.symdb.client import SYMBOL_ID_MAX
from qd_fluvio import Fluvio, TopicExists, connect
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_ends
from qd_schemas.enums import DataType, ExchangeId, Resolution
from qd_schemas.errors import QdError
from qd_schemas.messages import BreakoutAlert, ExactBar, ExactTrade, OHLCVBar, TradeBar
from qd_schemas.settings.kinds import Endpoint
from qd_schemas.specs import LEASE_MS_MAX, LEASE_MS_MIN, FluvioSettings, TlsSettings
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN
from qd_schemas.wire import NO_STREAM

TradeMessage: TypeAlias = ExactTrade | TradeBar
BarMessage: TypeAlias = ExactBar | OHLCVBar
Stamp: TypeAlias = Literal["start", "close"]
T = TypeVar("T")

_STREAM_IDS_FROM_MAX = 2**31


class QDClient:
    """A client of the gateway, logged in while its ``async with`` block runs.

    Several streams may run at once; each holds a bounded number of bytes, and one whose reader
    stalls makes the gateway wait.

    Gateways and brokers may be stopped, killed and started again meanwhile: the client finds its
    session, or logs in again, and goes on with each stream at the row that comes next, until the
    stream has seen no row for `patience_s` of trouble. Version 1 cannot do that.

    A program that keeps its event loop busy for longer than the lease cannot be heard meanwhile:
    the gateway ends its session, and the client logs in again and goes on when the program lets
    it. Give such work to a thread, or ask for a longer lease.

    Parameters
    ----------
    client_id : int, optional
        21 to 65534, used by nobody else. Without one, a free one is chosen.
    endpoint : FluvioSettings or str, optional
        The Fluvio cluster; ``host:port`` of its SC alone means the official client without TLS.
        Without one, cluster and symbol master are those of QD_FLUVIO and QD_SYMDB, or else of
        the stack that ``qd up`` started; QD_CLIENT_ID and QD_CLIENT_TOKEN are then taken, too.
    symdb : str, optional
        ``host:port`` of the symbol master; where none is known, symbols are given as ids.
    symdb_tls : TlsSettings, optional
        How to speak TLS to it; None speaks without.
    exchange : ExchangeId
        Whose markets.
    lease_ms : int
        How long the gateway, or this client, may be silent before the other gives up.
    version : int
        2, or 1 for the reference's protocol: f32 values, no ranges, no proof of completeness,
        and whatever interrupts a stream ends it.
    token : str, optional
        What proves that the id is this client's, as ``qd clients add`` printed it. It is never
        sent: the gateway asks a question that only its holder can answer, and takes from then on
        no request that its holder did not sign.
    patience_s : float
        How long a stream may be interrupted without a row before it raises why, and from where
        to ask again, in seconds; 0 raises at once.

    Raises
    ------
    AlreadyLoggedIn, LoginFailed
        On entering: the gateway refused; TokenMissing, TokenUnknown and TokenRefused are
        kinds of LoginFailed.
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
        token: str | None = None,
        patience_s: float = PATIENCE_SECONDS_DEFAULT,
    ) -> None:
        if endpoint is None:
            found = surroundings()
            endpoint = found.fluvio
            if symdb is None:
                symdb, symdb_tls = found.symdb, symdb_tls or found.symdb_tls
            if client_id is None:
                client_id, token = found.client_id, token or found.token
        _check_address("endpoint", endpoint if isinstance(endpoint, str) else endpoint.endpoint)
        _check_number("client_id", client_id, CLIENT_ID_MIN, CLIENT_ID_MAX)
        _check_number("lease_ms", lease_ms, LEASE_MS_MIN, LEASE_MS_MAX)
        _check_number("version", version, 1, 2)
        if token is not None and (version == 1 or not token):
            raise UsageError("a token proves an id in version 2 only; it is some text")
        if not 0 <= patience_s < math.inf:
            raise UsageError(f"patience_s is {patience_s}; expected seconds, 0 for none")
        if symdb is not None:
            _check_address("symdb", symdb)
        self._wanted_id = client_id
        self._cluster = endpoint
        self._symdb_endpoint = symdb
        self._symdb_tls = symdb_tls
        self._symdb: SymdbClient | None = None
        self._exchange = exchange
        self._lease_ms = lease_ms
        self._version = version
        self._token = token
        self._patience_s = patience_s if version > 1 else 0.0
        self._stack = AsyncExitStack()
        self._fluvio: Fluvio | None = None
        self._session: Session | None = None
        # Not from 1: a client before this one may have left streams that still arrive.
        self._stream_ids = itertools.count(random.SystemRandom().randrange(1, _STREAM_IDS_FROM_MAX))

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

    @property
    def trouble(self) -> QdError | None:
        """What keeps the client from the gateway now; None where all is well."""
        return self._opened().trouble

    # --- open and close ---------------------------------------------------------------

    async def __aenter__(self) -> QDClient:
        if self._fluvio is not None:
            raise UsageError("the client is open already; open another")
        try:
            self._fluvio = await self._stack.enter_async_context(connect(self._cluster))
            self._session = await self._login(self._fluvio)
        except BaseException:
            self._fluvio = None
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
            self._fluvio = self._symdb = None
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
        session = Session(fluvio, client_id, self._lease_ms, self._version, self._token)
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
    ) -> RowStream:
        """Stream a market's trades.

        Leaving the loop early ends the stream at the gateway; use ``contextlib.aclosing``
        to have that happen at once.

        Parameters
        ----------
        symbol : str or int
            The symbol, or its id.
        first_sequence : int
            The first trade's sequence within the market, from 1.
        start, end : Time, optional
            The range of time, the end exclusive: microseconds since the epoch (UTC), text such as
            ``2021-01-31``, an aware datetime, or a numpy datetime.
        pace : float
            0 as fast as possible, 1 real time, N times real time.

        Returns
        -------
        RowStream of ndarray of TRADE
            Each trade once, in order of sequence. Reading it may raise what follows.

        Raises
        ------
        SymbolUnknown, DataUnavailable, StreamsFull
            The gateway refused.
        StreamIncomplete
            Trades are missing and do not come, however often they are asked for.
        GatewayLost, NotLoggedIn, ConnectionLost, ChannelFailed, SendFailed, StreamInterrupted
            The gateway, the session, the cluster or the database is gone, for longer than the
            client's patience.
        """
        kind = DataType.TRADES_EXACT if self._version > 1 else DataType.TRADES
        wanted = Range(first_sequence, start, end, pace)
        return RowStream(
            lambda progress: self._stream(symbol, kind, Resolution.NONE, wanted, progress)
        )

    def bars(
        self,
        symbol: str | int,
        resolution: Resolution | str,
        *,
        first_sequence: int = 1,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
        unfinished: bool = False,
        stamp: Stamp = "start",
    ) -> RowStream:
        """Stream a market's OHLCV bars, as `trades` does.

        A paced bar comes when it is over.

        Parameters
        ----------
        resolution : Resolution or str
            One of ``1m 5m 15m 30m 1h 1d 1M 1y``.
        first_sequence : int
            The number of the first bar within the range, from 1.
        unfinished : bool
            True gives the market's last bar as it is so far; False leaves it out until a later
            trade shows that it is over. Version 1 gives it always.
        stamp : "start" or "close"
            Whether a bar's time is the start of its interval or its end, when the next begins.

        Returns
        -------
        RowStream of ndarray of BAR
            In order of time; intervals without trades have no bar.
        """
        if stamp not in ("start", "close"):
            raise UsageError(f"stamp is {stamp!r}; expected 'start' or 'close'")
        kind = DataType.OHLCV_EXACT if self._version > 1 else DataType.OHLCV
        wanted = Range(first_sequence, start, end, pace)
        size = resolution_of(resolution)
        closed = size if stamp == "close" else None
        return RowStream(
            lambda progress: self._stream(
                symbol, kind, size, wanted, progress, unfinished=unfinished, closed=closed
            )
        )

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
        unfinished: bool = False,
        stamp: Stamp = "start",
    ) -> AsyncGenerator[BarMessage, None]:
        """Stream a market's bars as single messages: for convenience, not for speed."""
        kind = ExactBar if self._version > 1 else OHLCVBar
        symbol_id, _ = await self._resolve(symbol)
        stream = self.bars(
            symbol,
            resolution,
            first_sequence=first_sequence,
            start=start,
            end=end,
            pace=pace,
            unfinished=unfinished,
            stamp=stamp,
        )
        async with aclosing(stream):
            async for rows in stream:
                for values in rows.tolist():
                    yield kind(symbol_id, *values)

    def alerts(self, *, follow: bool = True) -> AsyncGenerator[BreakoutAlert, None]:
        """Read the alerts from the first on; see `qd_client.alerts`."""
        return alerts(self.fluvio, follow=follow)

    async def consume(self, stream: AsyncGenerator[T, None], callback: Callback[T]) -> None:
        """Give each item of a stream to a callback; see `qd_client.consume`."""
        await consume(stream, callback)

    def replay(
        self,
        markets: Sequence[Market | str | int],
        *,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
        every: Resolution | str | None = None,
    ) -> Replay:
        """Replay several markets' trades and bars in order of time; see `qd_client.Replay`.

        Each market, given as `Trades` or `Bars`, or by its symbol or id alone for its trades,
        is a stream at the gateway, which allows a client so many at once.
        """
        if self._version == 1:
            raise UsageError("version 1 does not say which bars are over; replay with version 2")
        return replay_of(self, markets, start=start, end=end, pace=pace, every=every)

    async def _stream(
        self,
        symbol: str | int,
        kind: DataType,
        resolution: Resolution,
        wanted: Range,
        progress: Progress,
        *,
        unfinished: bool = False,
        closed: Resolution | None = None,
    ) -> AsyncGenerator[Rows, None]:
        session = self._opened()
        if self._version == 1 and not wanted.is_whole:
            raise UsageError("version 1 streams whole markets only; use version 2 for ranges")
        symbol_id, name = await self._resolve(symbol)
        is_exact = self._version > 1
        request = StreamRequest(
            client_id=session.client_id,
            exchange_id=self._exchange,
            symbol=name,
            symbol_id=symbol_id,
            data_type=kind,
            resolution=resolution,
            stream_id=NO_STREAM,
            range=wanted,
            window_rows=window_rows(is_bars=resolution is not Resolution.NONE) if is_exact else 0,
            unfinished=unfinished,
        )
        resuming = Resuming(request, self._patience_s, progress, random.random)
        new_stream_id = self._stream_ids.__next__ if is_exact else None
        async with aclosing(Run(session, resuming, new_stream_id).rows()) as source:
            async for rows in source:
                if closed is not None:
                    rows["time"] = bar_ends(closed, rows["time"])
                yield rows

    async def _resolve(self, symbol: str | int) -> tuple[int, str]:
        """A symbol's id, and the name for messages."""
        self._opened()  # nobody would close what is opened here
        if not isinstance(symbol, str):
            symbol_id = whole("the symbol's id", symbol)
            _check_number("symbol id", symbol_id, 0, SYMBOL_ID_MAX)
            return symbol_id, f"symbol id {symbol_id}"
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


def _check_number(name: str, found: int | None, low: int, high: int) -> None:
    if found is not None and not low <= whole(name, found) <= high:
        raise UsageError(f"{name} is {found}; expected {low} to {high}")


def _check_address(name: str, found: str) -> None:
    kind = Endpoint(port_min=1)
    try:
        kind.parse(found)
    except ValueError:
        raise UsageError(f"{name} is {found!r}; expected {kind.expected}") from None


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
