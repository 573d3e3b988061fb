"""The symbol master's client: what users call.

Answers may come out of a bounded cache, which a watch of changes keeps from being old.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from qd_client.errors import UsageError
from qd_client.local import symdb_surroundings
from qd_client.symdb.cache import Cache, Key
from qd_client.symdb.connection import Connection, Method
from qd_client.symdb.values import (
    ExchangeInfo,
    MarketChange,
    MarketInfo,
    exchange_of,
    market_of,
)
from qd_client.symdb.watching import changes_of, keep_valid
from qd_schemas.enums import ExchangeId
from qd_schemas.specs import TlsSettings
from qd_schemas.symdb_messages import (
    ExchangeNameRequest,
    IdBySymbolRequest,
    ListExchangesRequest,
    ListSymbolsRequest,
    LookUpSymbolsRequest,
    SearchSymbolsRequest,
    SymbolByIdRequest,
    SymbolQuery,
)

DEADLINE_SECONDS_DEFAULT: Final = 5.0
CACHE_MARKETS_DEFAULT: Final = 10_000
EXCHANGE_ID_MAX: Final = 255
SYMBOL_ID_MAX: Final = 65_535
SYMBOL_CHARS_MAX: Final = 100
PAGE_SYMBOLS: Final = 5_000
QUERIES_MAX: Final = 1_000
"""Of one bulk look-up; more are asked in parts."""


class SymdbClient:
    """Asks the symbol master.

    Parameters
    ----------
    host, port : str, int, optional
        Where it listens. Without them, QD_SYMDB says so, or else the stack that ``qd up`` started.
    deadline_s : float
        Seconds that a call may take, connecting and trying again included.
    tls : TlsSettings, optional
        How to speak TLS; None speaks without.
    cache_markets : int
        How many markets the kept answers may hold in all; 0 keeps none. A kept answer is as
        old as a change takes to be told, a few milliseconds, or 15 seconds where the
        connection dies without a word.

    Examples
    --------
    >>> async with SymdbClient("127.0.0.1", 7070) as symdb:  # doctest: +SKIP
    ...     market = await symdb.id_by_symbol(ExchangeId.KRAKEN, "XBT/EUR")

    Notes
    -----
    Connects at the first call, and again after a loss; what failed for a reason that passes is
    tried again within the deadline. Every call raises `SymdbUnavailable` where the service or
    its database cannot be asked, `SymdbTlsFailed` where no secure connection can be made, and
    `ExchangeNotFound` where there is no such exchange.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        deadline_s: float = DEADLINE_SECONDS_DEFAULT,
        tls: TlsSettings | None = None,
        cache_markets: int = CACHE_MARKETS_DEFAULT,
    ) -> None:
        if host is None or port is None:
            if (host is None) != (port is None):
                raise UsageError("host and port go together; give both, or none")
            found, found_tls = symdb_surroundings()
            host, port, tls = found.host, found.port, tls or found_tls
        self._address = (host, port)
        self._deadline_s = deadline_s
        self._tls = tls
        self._cache_markets = cache_markets
        self._cache = Cache(cache_markets)
        self._connection: Connection | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._connection = Connection(*self._address, self._deadline_s, self._tls)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        watch, self._watch = self._watch, None
        try:
            if watch is not None:
                watch.cancel()
                await asyncio.wait([watch])
        finally:
            if connection is not None:
                await connection.close()

    async def exchange_name(self, exchange_id: int = ExchangeId.KRAKEN) -> str:
        """The name of an exchange."""
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        request = ExchangeNameRequest(exchange_id=exchange_id)
        name: str = (await self._ask(lambda stub: stub.exchange_name, request)).name
        return name

    async def exchanges(self) -> list[ExchangeInfo]:
        """All exchanges by id, with how many symbols and trades each has."""
        reply = await self._ask(lambda stub: stub.list_exchanges, ListExchangesRequest())
        return [exchange_of(exchange) for exchange in reply.exchanges]

    async def symbol_by_id(self, exchange_id: int, symbol_id: int) -> MarketInfo:
        """The market with this symbol id.

        Raises
        ------
        SymbolNotFound
            The exchange has none.
        """
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        _check("symbol id", symbol_id, SYMBOL_ID_MAX)
        request = SymbolByIdRequest(exchange_id=exchange_id, symbol_id=symbol_id)
        return await self._one(
            ("id", exchange_id, symbol_id), lambda stub: stub.symbol_by_id, request
        )

    async def id_by_symbol(self, exchange_id: int, symbol: str) -> MarketInfo:
        """The market with this symbol, or with another of its names.

        Raises
        ------
        SymbolNotFound
            The exchange has none.
        """
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        _check_text(symbol)
        request = IdBySymbolRequest(exchange_id=exchange_id, symbol=symbol)
        return await self._one(
            ("name", exchange_id, symbol), lambda stub: stub.id_by_symbol, request
        )

    async def look_up(
        self, exchange_id: int, wanted: Sequence[int | str]
    ) -> list[MarketInfo | None]:
        """Many markets at once.

        Parameters
        ----------
        exchange_id : int
            Their exchange.
        wanted : sequence of int or str
            Symbol ids, symbols, or other names, in any mixture.

        Returns
        -------
        list of MarketInfo or None
            In the order of `wanted`; None where there is none.
        """
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        keys = [_key(exchange_id, one) for one in wanted]
        found: dict[Key, MarketInfo | None] = {key: self._cache.get(key) for key in keys}
        missing = [key for key, market in found.items() if market is None]
        for start in range(0, len(missing), QUERIES_MAX):
            part = missing[start : start + QUERIES_MAX]
            found.update(zip(part, await self._looked_up(exchange_id, part), strict=True))
        if not any(found.values()):
            await self.exchange_name(exchange_id)  # raises where that is why
        return [found[key] for key in keys]

    async def list_symbols(self, exchange_id: int = ExchangeId.KRAKEN) -> list[MarketInfo]:
        """All markets of an exchange that have trades, by symbol id."""
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        key: Key = ("list", exchange_id, 0)
        kept: tuple[MarketInfo, ...] | None = self._cache.get(key)
        if kept is not None:
            return list(kept)
        self._keep_valid()
        with self._cache.asking(exchange_id) as asking:
            markets = await self._all_pages(exchange_id)
            self._cache.keep(asking, key, tuple(markets), markets)
        return markets

    async def search(
        self, prefix: str, exchange_id: int | None = None, *, limit: int | None = None
    ) -> list[MarketInfo]:
        """Markets with a symbol, or another name, that begins with a prefix.

        Parameters
        ----------
        prefix : str
            In letters of any size.
        exchange_id : int, optional
            By default all exchanges.
        limit : int, optional
            How many, at most; by default all.

        Returns
        -------
        list of MarketInfo
            By symbol, then by exchange.
        """
        _check("exchange id", exchange_id or 0, EXCHANGE_ID_MAX)
        _check_text(prefix)
        found: list[MarketInfo] = []
        token = ""
        while limit is None or len(found) < limit:
            size = PAGE_SYMBOLS if limit is None else min(limit - len(found), PAGE_SYMBOLS)
            request = SearchSymbolsRequest(
                exchange_id=exchange_id or 0, prefix=prefix, page_size=size, page_token=token
            )
            reply = await self._ask(lambda stub: stub.search_symbols, request)
            found += map(market_of, reply.symbols)
            token = reply.next_page_token
            if not token:
                break
        return found

    def changes(
        self, exchange_id: int | None = None, *, with_symbols: bool = False
    ) -> AsyncGenerator[MarketChange, None]:
        """Changes of markets from the first step on, for as long as they are iterated.

        After a lost connection it goes on by itself, and gives what changed meanwhile. Of
        several changes of a market in a short time only the last may come.

        Parameters
        ----------
        exchange_id : int, optional
            By default all exchanges.
        with_symbols : bool
            Begin with all markets, as added.

        Yields
        ------
        MarketChange
            What became of a market.

        Raises
        ------
        SymdbUnavailable, SymdbTlsFailed, ExchangeNotFound
            The first connection failed.
        """
        _check("exchange id", exchange_id or 0, EXCHANGE_ID_MAX)
        return changes_of(self._open(), exchange_id or 0, with_symbols=with_symbols)

    async def _one(self, key: Key, method: Method, request: Any) -> MarketInfo:
        kept: MarketInfo | None = self._cache.get(key)
        if kept is not None:
            return kept
        self._keep_valid()
        with self._cache.asking(key[1]) as asking:
            market = market_of(await self._ask(method, request))
            self._cache.keep(asking, key, market, [market])
        return market

    async def _looked_up(self, exchange_id: int, keys: Sequence[Key]) -> list[MarketInfo | None]:
        self._keep_valid()
        queries = [
            SymbolQuery(exchange_id=exchange_id, name=wanted)
            if isinstance(wanted, str)
            else SymbolQuery(exchange_id=exchange_id, symbol_id=wanted)
            for _, _, wanted in keys
        ]
        with self._cache.asking(exchange_id) as asking:
            request = LookUpSymbolsRequest(queries=queries)
            results = (await self._ask(lambda stub: stub.look_up_symbols, request)).results
            found = [market_of(one.symbol) if one.symbol.symbol_id else None for one in results]
            for key, market in zip(keys, found, strict=True):
                if market is not None:
                    self._cache.keep(asking, key, market, [market])
        return found

    async def _all_pages(self, exchange_id: int) -> list[MarketInfo]:
        markets: list[MarketInfo] = []
        token = ""
        while True:
            request = ListSymbolsRequest(
                exchange_id=exchange_id, page_size=PAGE_SYMBOLS, page_token=token
            )
            reply = await self._ask(lambda stub: stub.list_symbols, request)
            markets += map(market_of, reply.symbols)
            token = reply.next_page_token
            if not token:
                return markets

    async def _ask(self, method: Method, request: Any) -> Any:
        return await self._open().ask(method, request)

    def _keep_valid(self) -> None:
        """Begin to watch, where answers are to be kept."""
        if self._watch is None and self._cache_markets:
            self._watch = asyncio.ensure_future(keep_valid(self._open(), self._cache))

    def _open(self) -> Connection:
        if self._connection is None:
            raise UsageError("the symdb client is not open; use it in `async with`")
        return self._connection


def _key(exchange_id: int, wanted: int | str) -> Key:
    if isinstance(wanted, str):
        _check_text(wanted)
        if not wanted:
            raise UsageError("a name is empty; expected one such as XBTEUR, or a symbol id")
        return "name", exchange_id, wanted
    _check("symbol id", wanted, SYMBOL_ID_MAX)
    return "id", exchange_id, wanted


def _check(what: str, value: int, highest: int) -> None:
    if not 0 <= value <= highest:
        raise UsageError(f"{what} is {value}; expected 0 to {highest}")


def _check_text(symbol: str) -> None:
    if len(symbol) > SYMBOL_CHARS_MAX:
        raise UsageError(
            f"symbol {symbol[:SYMBOL_CHARS_MAX]!r}… has {len(symbol)} letters; "
            f"expected at most {SYMBOL_CHARS_MAX}"
        )
    try:
        symbol.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"symbol {symbol!r} is no text; expected one such as XBTEUR") from error
