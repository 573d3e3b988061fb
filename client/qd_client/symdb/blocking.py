"""The symbol master's client for programs without asyncio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from qd_client.blocking import LoopThread
from qd_client.errors import UsageError
from qd_client.symdb.client import (
    CACHE_MARKETS_DEFAULT,
    DEADLINE_SECONDS_DEFAULT,
    SymdbClient,
)
from qd_client.symdb.values import ExchangeInfo, MarketChange, MarketInfo
from qd_schemas.enums import ExchangeId
from qd_schemas.specs import TlsSettings


class SyncSymdbClient:
    """`SymdbClient` whose calls wait; any number of threads may use one.

    The parameters are those of `SymdbClient`, and so is what each call gives and raises.

    Examples
    --------
    >>> with SyncSymdbClient("127.0.0.1", 7070) as symdb:  # doctest: +SKIP
    ...     market = symdb.id_by_symbol(ExchangeId.KRAKEN, "XBT/EUR")
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
        self._client = SymdbClient(
            host, port, deadline_s=deadline_s, tls=tls, cache_markets=cache_markets
        )
        self._thread: LoopThread | None = None

    def __enter__(self) -> Self:
        thread = LoopThread()
        try:
            thread.run(self._client.__aenter__())
        except BaseException:
            thread.close()
            raise
        self._thread = thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self._client.__aexit__(None, None, None))
            finally:
                thread.close()

    def exchange_name(self, exchange_id: int = ExchangeId.KRAKEN) -> str:
        """The name of an exchange."""
        return self._open().run(self._client.exchange_name(exchange_id))

    def exchanges(self) -> list[ExchangeInfo]:
        """All exchanges by id, with how many symbols and trades each has."""
        return self._open().run(self._client.exchanges())

    def symbol_by_id(self, exchange_id: int, symbol_id: int) -> MarketInfo:
        """The market with this symbol id."""
        return self._open().run(self._client.symbol_by_id(exchange_id, symbol_id))

    def id_by_symbol(self, exchange_id: int, symbol: str) -> MarketInfo:
        """The market with this symbol, or with another of its names."""
        return self._open().run(self._client.id_by_symbol(exchange_id, symbol))

    def look_up(self, exchange_id: int, wanted: Sequence[int | str]) -> list[MarketInfo | None]:
        """Many markets at once; None where there is none."""
        return self._open().run(self._client.look_up(exchange_id, wanted))

    def list_symbols(self, exchange_id: int = ExchangeId.KRAKEN) -> list[MarketInfo]:
        """All markets of an exchange that have trades, by symbol id."""
        return self._open().run(self._client.list_symbols(exchange_id))

    def search(
        self, prefix: str, exchange_id: int | None = None, *, limit: int | None = None
    ) -> list[MarketInfo]:
        """Markets with a symbol, or another name, that begins with a prefix."""
        return self._open().run(self._client.search(prefix, exchange_id, limit=limit))

    def changes(
        self, exchange_id: int | None = None, *, with_symbols: bool = False
    ) -> Iterator[MarketChange]:
        """Changes of markets from the first step on, for as long as they are iterated."""
        thread = self._open()
        return thread.iterate(self._client.changes(exchange_id, with_symbols=with_symbols))

    def _open(self) -> LoopThread:
        if self._thread is None:
            raise UsageError("the symdb client is not open; use it in `with`")
        return self._thread
