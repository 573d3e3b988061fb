"""The symbol master's requests: what each checks and answers. It knows no sockets.

Every failure is a gRPC status whose message says what was found and what was expected; the
proto file lists them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from grpclib import GRPCError, Status

from qd_schemas import symdb_grpc as declared
from qd_schemas.errors import QdError
from qd_schemas.symdb_messages import (
    Exchange,
    ExchangeNameReply,
    ListExchangesReply,
    ListSymbolsReply,
    LookUpSymbolsReply,
    SearchSymbolsReply,
    SymbolChange,
    SymbolChanges,
    SymbolResult,
)
from qd_symdb.codec import Encoded
from qd_symdb.directory import Change, Directory, Entry, Kind
from qd_symdb.following import ANSWER_SECONDS_MAX, Follower
from qd_symdb.limits import (
    CHECK_SECONDS_MAX,
    HEARTBEAT_MS_DEFAULT,
    HEARTBEAT_MS_MAX,
    HEARTBEAT_MS_MIN,
    PAGE_SYMBOLS_MAX,
    QUERIES_MAX,
    SEARCH_SYMBOLS_DEFAULT,
    STEP_SYMBOLS,
    SYMBOL_CHARS_MAX,
)
from qd_symdb.watching import WatchEnded, Watchers

_T = TypeVar("_T")


class SymbolMaster(declared.SymbolMasterBase):
    """Answers from the directory, once that is surely as the database is.

    Requests and replies are of the classes of `symdb_messages`, or bytes that are at hand
    (`Encoded`); the generated class declares others with the same fields.
    """

    def __init__(self, follower: Follower, watchers: Watchers) -> None:
        self._follower = follower
        self._watchers = watchers

    async def can_answer(self) -> bool:
        """Whether the database answers now, with its tables."""
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                await self._follower.current()
        except (QdError, TimeoutError):
            return False
        return True

    async def exchange_name(self, exchange_name_request: declared.ExchangeNameRequest) -> Any:
        """The name of an exchange."""
        exchange_id = _given(exchange_name_request).exchange_id
        directory = await self._current()
        return ExchangeNameReply(
            exchange_id=exchange_id, name=_exchange_name(directory, exchange_id)
        )

    async def symbol_by_id(self, symbol_by_id_request: declared.SymbolByIdRequest) -> Any:
        """The market with a symbol id."""
        request = _given(symbol_by_id_request)
        found = _by_id(await self._current(), request.exchange_id, request.symbol_id)
        return Encoded(found.sent)

    async def id_by_symbol(self, id_by_symbol_request: declared.IdBySymbolRequest) -> Any:
        """The market with a symbol, or another name."""
        request = _given(id_by_symbol_request)
        found = _by_name(await self._current(), request.exchange_id, request.symbol)
        return Encoded(found.sent)

    async def list_symbols(self, list_symbols_request: declared.ListSymbolsRequest) -> Any:
        """All markets of an exchange that have trades, or a page of them."""
        request = _given(list_symbols_request)
        directory = await self._current()
        _exchange_name(directory, request.exchange_id)
        after = _symbol_id_of(request.page_token)
        most = min(request.page_size, PAGE_SYMBOLS_MAX) or None
        rest = directory.entries(request.exchange_id, after)
        entries = list(islice(rest, most))
        token = str(entries[-1].key[1]) if next(rest, None) else ""
        return await _listed(entries, ListSymbolsReply(next_page_token=token))

    async def list_exchanges(self, list_exchanges_request: declared.ListExchangesRequest) -> Any:
        """All exchanges."""
        directory = await self._current()
        exchanges = []
        for exchange_id, name in sorted(directory.exchanges.items()):
            trades = [entry.market.trades for entry in directory.entries(exchange_id)]
            counts = {"symbols": len(trades), "trades": sum(trades)}
            exchanges.append(Exchange(exchange_id=exchange_id, name=name, **counts))
        return ListExchangesReply(exchanges=exchanges)

    async def search_symbols(self, search_symbols_request: declared.SearchSymbolsRequest) -> Any:
        """Markets with a name that begins with the prefix."""
        request = _given(search_symbols_request)
        directory = await self._current()
        if request.exchange_id:
            _exchange_name(directory, request.exchange_id)
        if len(request.prefix) > SYMBOL_CHARS_MAX:
            return SearchSymbolsReply()
        after = _symbol_and_exchange_of(request.page_token)
        most = min(request.page_size or SEARCH_SYMBOLS_DEFAULT, PAGE_SYMBOLS_MAX)
        found, more = directory.search(request.exchange_id, request.prefix, after, most)
        token = f"{found[-1].key[0]}:{found[-1].symbol.symbol}" if more else ""
        return await _listed(found, SearchSymbolsReply(next_page_token=token))

    async def look_up_symbols(self, look_up_symbols_request: declared.LookUpSymbolsRequest) -> Any:
        """Many look-ups, each answered by itself."""
        queries = _given(look_up_symbols_request).queries
        if len(queries) > QUERIES_MAX:
            raise GRPCError(
                Status.INVALID_ARGUMENT,
                f"{len(queries)} queries; expected at most {QUERIES_MAX}: ask in parts",
            )
        directory = await self._current()
        return LookUpSymbolsReply(results=[_result(directory, query) for query in queries])

    async def watch_symbols(
        self, watch_symbols_request: declared.WatchSymbolsRequest
    ) -> AsyncIterator[Any]:
        """Changes from now on, and before them all markets if they are wanted."""
        request = _given(watch_symbols_request)
        heartbeat_ms = request.heartbeat_ms or HEARTBEAT_MS_DEFAULT
        heartbeat_s = min(max(heartbeat_ms, HEARTBEAT_MS_MIN), HEARTBEAT_MS_MAX) / 1000
        directory = await self._current()
        if request.exchange_id:
            _exchange_name(directory, request.exchange_id)
        # Nothing is awaited since the directory was current, so no change is missed.
        with self._watchers.watching(request.exchange_id) as watcher:
            entries = list(directory.entries(request.exchange_id)) if request.with_symbols else []
            for part in _parts([Change(Kind.ADDED, entry) for entry in entries]):
                yield _changes(part, snapshot=True)
            yield SymbolChanges()
            while True:
                try:
                    yield _changes(await watcher.take(heartbeat_s, STEP_SYMBOLS))
                except WatchEnded as error:
                    raise GRPCError(
                        Status.UNAVAILABLE, f"{error}: ask again for all, and watch anew"
                    ) from None

    async def _current(self) -> Directory:
        """The directory as the database is now; a failure to ask it becomes UNAVAILABLE."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await self._follower.current()
        except TimeoutError:
            raise _unavailable(f"no answer within {ANSWER_SECONDS_MAX:g} s") from None
        except QdError as error:
            raise _unavailable(str(error)) from error


def _unavailable(why: str) -> GRPCError:
    return GRPCError(
        Status.UNAVAILABLE, f"the market database cannot be asked now, try again: {why}"
    )


def _given(request: _T | None) -> _T:
    """The request; a caller may end a call without having sent one."""
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call ended without a request")
    return request


def _exchange_name(directory: Directory, exchange_id: int) -> str:
    name = directory.exchanges.get(exchange_id)
    if name is None:
        known = sorted(directory.exchanges.items())
        expected = ", ".join(f"{key} ({name})" for key, name in known)
        raise GRPCError(
            Status.INVALID_ARGUMENT, f"no exchange has id {exchange_id}; expected {expected}"
        )
    return name


def _by_id(directory: Directory, exchange_id: int, symbol_id: int) -> Entry:
    name = _exchange_name(directory, exchange_id)
    found = directory.by_id(exchange_id, symbol_id)
    if found is None:
        raise GRPCError(
            Status.NOT_FOUND,
            f"{name} has no symbol with id {symbol_id}; "
            "expected one that `qd symbols` or ListSymbols gives",
        )
    return found


def _by_name(directory: Directory, exchange_id: int, symbol: str) -> Entry:
    name = _exchange_name(directory, exchange_id)
    found = None
    if len(symbol) <= SYMBOL_CHARS_MAX:
        found = directory.by_name(exchange_id, symbol)
    if found is None:
        raise GRPCError(
            Status.NOT_FOUND,
            f"{name} has no symbol {symbol[:SYMBOL_CHARS_MAX]!r}; "
            "expected one that `qd symbols` or ListSymbols gives, such as XBTEUR",
        )
    return found


def _result(directory: Directory, query: Any) -> Any:
    try:
        if query.name:
            return _by_name(directory, query.exchange_id, query.name).result
        return _by_id(directory, query.exchange_id, query.symbol_id).result
    except GRPCError as error:
        return SymbolResult(error=error.message or "")


def _symbol_id_of(token: str) -> int:
    if token and not (token.isdecimal() and token.isascii() and len(token) < 10):
        raise _no_token(token)
    return int(token or 0)


def _symbol_and_exchange_of(token: str) -> tuple[str, int] | None:
    if not token:
        return None
    exchange, colon, symbol = token.partition(":")
    if not colon:
        raise _no_token(token)
    return symbol, _symbol_id_of(exchange)


def _no_token(token: str) -> GRPCError:
    return GRPCError(
        Status.INVALID_ARGUMENT,
        f"{token[:SYMBOL_CHARS_MAX]!r} is no page token; expected the next_page_token of a reply",
    )


async def _listed(entries: Sequence[Entry], rest: Any) -> Encoded:
    """A reply that lists entries; long ones let other calls have their turns."""
    parts = []
    for part in _parts(entries):
        parts += [entry.listed for entry in part]
        await asyncio.sleep(0)
    return Encoded(b"".join(parts) + rest.SerializeToString())


def _parts(entries: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(entries)
    while part := list(islice(rest, STEP_SYMBOLS)):
        yield part


def _changes(changes: list[Change], *, snapshot: bool = False) -> Any:
    told = [SymbolChange(kind=one.kind.value, symbol=one.entry.symbol) for one in changes]
    return SymbolChanges(changes=told, snapshot=snapshot)
