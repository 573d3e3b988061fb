"""The symbol master's requests: what each checks, reads and answers. It knows no sockets.

Every failure is a gRPC status whose message says what was found and what was expected:
INVALID_ARGUMENT, NOT_FOUND, or UNAVAILABLE while the database cannot be asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final, TypeVar

from grpclib import GRPCError, Status

from qd_schemas.errors import QdError
from qd_schemas.symdb_grpc import (
    ExchangeNameReply,
    ExchangeNameRequest,
    IdBySymbolRequest,
    ListSymbolsReply,
    ListSymbolsRequest,
    Symbol,
    SymbolByIdRequest,
    SymbolMasterBase,
)
from qd_store import Market, Store

ANSWER_SECONDS_MAX: Final = 10.0
"""How long a request waits for the database, whatever its own deadline."""
CHECK_SECONDS_MAX: Final = 2.0
"""How long a health check waits for the database."""
SYMBOL_CHARS_MAX: Final = 100

_log = logging.getLogger("qd_symdb")
_Request = TypeVar("_Request")


class SymbolMaster(SymbolMasterBase):
    """Answers from the store; holds nothing itself, so an import is seen at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def can_answer(self) -> bool:
        """Whether the database answers now, with its tables."""
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                await self._store.exchanges()
        except (QdError, TimeoutError):
            return False
        return True

    async def exchange_name(self, exchange_name_request: ExchangeNameRequest) -> ExchangeNameReply:
        """The name of an exchange."""
        exchange_id = _given(exchange_name_request).exchange_id
        async with self._asking() as store:
            return ExchangeNameReply(exchange_id, await _exchange_name(store, exchange_id))

    async def symbol_by_id(self, symbol_by_id_request: SymbolByIdRequest) -> Symbol:
        """The market with a symbol id."""
        request = _given(symbol_by_id_request)
        async with self._asking() as store:
            name = await _exchange_name(store, request.exchange_id)
            market = await store.market(request.exchange_id, request.symbol_id)
        if market is None:
            raise GRPCError(
                Status.NOT_FOUND,
                f"{name} has no symbol with id {request.symbol_id}; "
                "expected one that ListSymbols gives",
            )
        return _symbol(market)

    async def id_by_symbol(self, id_by_symbol_request: IdBySymbolRequest) -> Symbol:
        """The market with a symbol."""
        request = _given(id_by_symbol_request)
        async with self._asking() as store:
            name = await _exchange_name(store, request.exchange_id)
            market = await _market_by_symbol(store, request.exchange_id, request.symbol)
        if market is None:
            raise GRPCError(
                Status.NOT_FOUND,
                f"{name} has no symbol {request.symbol[:SYMBOL_CHARS_MAX]!r}; "
                "expected one that ListSymbols gives, such as XBTEUR",
            )
        return _symbol(market)

    async def list_symbols(self, list_symbols_request: ListSymbolsRequest) -> ListSymbolsReply:
        """All markets of an exchange that have trades."""
        exchange_id = _given(list_symbols_request).exchange_id
        async with self._asking() as store:
            await _exchange_name(store, exchange_id)
            return ListSymbolsReply([_symbol(found) for found in await store.markets(exchange_id)])

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[Store]:
        """The store for one request, for a bounded time; its errors become UNAVAILABLE."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                yield self._store
        except TimeoutError:
            raise _unavailable(f"no answer within {ANSWER_SECONDS_MAX:g} s") from None
        except QdError as error:
            raise _unavailable(str(error)) from error


def _unavailable(why: str) -> GRPCError:
    _log.warning("the database cannot be asked: %s", why)
    return GRPCError(
        Status.UNAVAILABLE, f"the market database cannot be asked now, try again: {why}"
    )


def _given(request: _Request | None) -> _Request:
    """The request; a caller may end a call without having sent one."""
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call ended without a request")
    return request


async def _exchange_name(store: Store, exchange_id: int) -> str:
    known = {exchange.exchange_id: exchange.name for exchange in await store.exchanges()}
    if exchange_id not in known:
        expected = ", ".join(f"{key} ({name})" for key, name in known.items())
        raise GRPCError(
            Status.INVALID_ARGUMENT, f"no exchange has id {exchange_id}; expected {expected}"
        )
    return known[exchange_id]


async def _market_by_symbol(store: Store, exchange_id: int, symbol: str) -> Market | None:
    """Look a symbol up, unless it is one that the database would refuse to be asked for."""
    if len(symbol) > SYMBOL_CHARS_MAX or not symbol.isprintable():
        return None
    return await store.market_by_symbol(exchange_id, symbol)


def _symbol(market: Market) -> Symbol:
    return Symbol(
        exchange_id=market.exchange_id,
        symbol_id=market.symbol_id,
        symbol=market.symbol,
        trades=market.trades,
        first_time=market.first_time,
        last_time=market.last_time,
    )
