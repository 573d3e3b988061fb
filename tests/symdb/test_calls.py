"""Pages, search, bulk look-ups, names, exchanges and changes, as callers meet them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.reflection.v1.reflection_grpc import ServerReflectionStub
from grpclib.reflection.v1.reflection_pb2 import ServerReflectionRequest

from qd_schemas.symdb_grpc import (
    ChangeKind,
    IdBySymbolRequest,
    ListExchangesRequest,
    ListSymbolsRequest,
    LookUpSymbolsRequest,
    SearchSymbolsRequest,
    Symbol,
    SymbolByIdRequest,
    SymbolChanges,
    SymbolMasterStub,
    SymbolQuery,
    SymbolResult,
    WatchSymbolsRequest,
)
from symdb.markets import EXCHANGE, EXCHANGE_ID, ROWS, added, change

SYMBOLS = [Symbol(EXCHANGE_ID, *row) for row in ROWS]
KRAKEN_ID = 1
BITCOIN = 60_001
"""A symbol id of Kraken's that no import of this session reaches."""


@contextlib.asynccontextmanager
async def kraken_market(dsn: str, symbol: str) -> AsyncIterator[None]:
    await change(dsn, added(BITCOIN, symbol, exchange_id=KRAKEN_ID))
    try:
        yield
    finally:
        await change(dsn, f"DELETE FROM symbol WHERE exchange_id = 1 AND symbol_id = {BITCOIN}")


async def test_exchanges(stub: SymbolMasterStub) -> None:
    found = {
        one.exchange_id: one
        for one in (await stub.list_exchanges(ListExchangesRequest())).exchanges
    }
    assert list(found) == sorted(found)
    assert found[KRAKEN_ID].name == "kraken"
    assert found[EXCHANGE_ID].name == EXCHANGE
    assert found[EXCHANGE_ID].symbols == len(ROWS)
    assert found[EXCHANGE_ID].trades == sum(row[2] for row in ROWS)


NAMES = ("XBTCHF", "XBT/CHF", "BTC/CHF", "BTCCHF")


@pytest.mark.parametrize("name", NAMES)
async def test_one_market_by_several_names(
    stub: SymbolMasterStub, database_dsn: str, name: str
) -> None:
    async with kraken_market(database_dsn, "XBTCHF"):
        found = await stub.id_by_symbol(IdBySymbolRequest(KRAKEN_ID, name))
        assert (found.symbol_id, found.symbol) == (BITCOIN, "XBTCHF")
        assert (found.base, found.quote) == ("XBT", "CHF")
        assert found.names == list(NAMES[1:])


async def test_what_is_committed_is_seen_by_the_next_call(
    stub: SymbolMasterStub, database_dsn: str
) -> None:
    for trades in range(1, 40):
        await change(database_dsn, added(40, "NEW", trades))
        found = await stub.symbol_by_id(SymbolByIdRequest(EXCHANGE_ID, 40))
        assert (found.symbol, found.trades) == ("NEW", trades)
        await change(database_dsn, f"DELETE FROM symbol WHERE symbol = 'NEW' AND trades = {trades}")
        with pytest.raises(GRPCError, match="no symbol with id 40"):
            await stub.symbol_by_id(SymbolByIdRequest(EXCHANGE_ID, 40))


@pytest.mark.parametrize("size", [1, 2, 3, 50])
async def test_a_list_by_pages(stub: SymbolMasterStub, size: int) -> None:
    found, token = [], ""
    while True:
        reply = await stub.list_symbols(ListSymbolsRequest(EXCHANGE_ID, size, token))
        assert len(reply.symbols) <= size
        found += reply.symbols
        token = reply.next_page_token
        if not token:
            break
    assert found == SYMBOLS


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("xbt", ["XBT/ÜSD", "XBTEUR"]),
        ("xbt/ü", ["XBT/ÜSD"]),
        ("l", ["LAST"]),
        ("q", []),
        ("X" * 999, []),
    ],
)
async def test_search(stub: SymbolMasterStub, prefix: str, expected: list[str]) -> None:
    reply = await stub.search_symbols(SearchSymbolsRequest(EXCHANGE_ID, prefix))
    assert [symbol.symbol for symbol in reply.symbols] == expected


async def test_search_over_all_exchanges_by_pages(
    stub: SymbolMasterStub, database_dsn: str
) -> None:
    async with kraken_market(database_dsn, "XBTEUR"):
        first = await stub.search_symbols(SearchSymbolsRequest(0, "xbteur", 1))
        second = await stub.search_symbols(
            SearchSymbolsRequest(0, "xbteur", 1, first.next_page_token)
        )
    found = [*first.symbols, *second.symbols]
    assert [symbol.exchange_id for symbol in found] == [KRAKEN_ID, EXCHANGE_ID]
    assert second.next_page_token == ""


async def test_many_look_ups_in_one(stub: SymbolMasterStub) -> None:
    queries = [
        SymbolQuery(EXCHANGE_ID, "LAST"),
        SymbolQuery(EXCHANGE_ID, "NONE"),
        SymbolQuery(EXCHANGE_ID, symbol_id=1),
        SymbolQuery(99, symbol_id=1),
    ]
    results = (await stub.look_up_symbols(LookUpSymbolsRequest(queries))).results
    last, none, first, nowhere = results
    assert (last, first) == (SymbolResult(SYMBOLS[2]), SymbolResult(SYMBOLS[0]))
    assert none.error.startswith(f"{EXCHANGE} has no symbol 'NONE'")
    assert nowhere.error.startswith("no exchange has id 99; expected 1 (kraken)")
    assert (none.symbol.symbol_id, nowhere.symbol.symbol_id) == (0, 0)


REFUSALS: list[tuple[str, Any, Status, str]] = [
    (
        "look_up_symbols",
        LookUpSymbolsRequest([SymbolQuery()] * 1001),
        Status.INVALID_ARGUMENT,
        "1001 queries; expected at most 1000",
    ),
    (
        "list_symbols",
        ListSymbolsRequest(EXCHANGE_ID, 1, "x"),
        Status.INVALID_ARGUMENT,
        "'x' is no page token",
    ),
    (
        "list_symbols",
        ListSymbolsRequest(EXCHANGE_ID, 1, "9" * 5000),
        Status.INVALID_ARGUMENT,
        "no page token",
    ),
    (
        "search_symbols",
        SearchSymbolsRequest(0, "", 1, "XBT"),
        Status.INVALID_ARGUMENT,
        "'XBT' is no page token",
    ),
    (
        "search_symbols",
        SearchSymbolsRequest(77, ""),
        Status.INVALID_ARGUMENT,
        "no exchange has id 77",
    ),
]


@pytest.mark.parametrize(("method", "request_", "status", "text"), REFUSALS)
async def test_refusals(
    stub: SymbolMasterStub, method: str, request_: Any, status: Status, text: str
) -> None:
    with pytest.raises(GRPCError) as caught:
        await getattr(stub, method)(request_)
    assert caught.value.status is status
    assert text in str(caught.value.message)


async def test_a_watch_of_an_unknown_exchange(stub: SymbolMasterStub) -> None:
    with pytest.raises(GRPCError, match="no exchange has id 77"):
        await anext(stub.watch_symbols(WatchSymbolsRequest(77)))


async def changes_of(
    watch: AsyncIterator[SymbolChanges], count: int
) -> list[tuple[ChangeKind, str, int]]:
    """The next changes; heartbeats come between."""
    found: list[tuple[ChangeKind, str, int]] = []
    while len(found) < count:
        message = await anext(watch)
        found += [(one.kind, one.symbol.symbol, one.symbol.trades) for one in message.changes]
    return found


async def test_changes_come_as_they_are_committed(
    stub: SymbolMasterStub, database_dsn: str
) -> None:
    watch = stub.watch_symbols(WatchSymbolsRequest(EXCHANGE_ID, heartbeat_ms=200)).__aiter__()
    assert await anext(watch) == SymbolChanges()
    for statement, kind, trades in (
        (added(41, "NEW"), ChangeKind.ADDED, 7),
        ("UPDATE symbol SET trades = 8 WHERE symbol = 'NEW'", ChangeKind.CHANGED, 8),
        ("UPDATE symbol SET bars_sequence = 1 WHERE symbol = 'NEW'", None, 0),
        (added(42, "LATER", trades=0), None, 0),
        ("DELETE FROM symbol WHERE symbol = 'NEW'", ChangeKind.REMOVED, 8),
    ):
        await change(database_dsn, statement)
        if kind is not None:
            assert await changes_of(watch, 1) == [(kind, "NEW", trades)]
    await watch.aclose()  # type: ignore[attr-defined]


async def test_a_watch_that_begins_with_all(stub: SymbolMasterStub, database_dsn: str) -> None:
    watch = stub.watch_symbols(WatchSymbolsRequest(EXCHANGE_ID, with_symbols=True)).__aiter__()
    first = await anext(watch)
    assert first.snapshot
    assert [one.symbol for one in first.changes] == SYMBOLS
    assert {one.kind for one in first.changes} == {ChangeKind.ADDED}
    assert await anext(watch) == SymbolChanges()
    await watch.aclose()  # type: ignore[attr-defined]


async def test_a_silent_watch_has_heartbeats(stub: SymbolMasterStub) -> None:
    watch = stub.watch_symbols(WatchSymbolsRequest(EXCHANGE_ID, heartbeat_ms=1)).__aiter__()
    assert [await anext(watch) for _ in range(3)] == [SymbolChanges()] * 3
    await watch.aclose()  # type: ignore[attr-defined]


async def test_another_exchange_ends_watches(stub: SymbolMasterStub, database_dsn: str) -> None:
    watch = stub.watch_symbols(WatchSymbolsRequest()).__aiter__()
    await anext(watch)
    await change(database_dsn, "INSERT INTO exchange VALUES (202, 'symdb-tests-2')")
    try:
        with pytest.raises(GRPCError, match="the exchanges changed: ask again for all") as caught:
            await changes_of(watch, 999)
        assert caught.value.status is Status.UNAVAILABLE
    finally:
        await change(database_dsn, "DELETE FROM exchange WHERE exchange_id = 202")


async def test_many_watchers_of_many_changes(stub: SymbolMasterStub, database_dsn: str) -> None:
    """Each sees the last count of every market, whatever it missed between."""
    watches = [stub.watch_symbols(WatchSymbolsRequest(EXCHANGE_ID)).__aiter__() for _ in range(20)]
    for watch in watches:
        await anext(watch)

    async def last_of(watch: AsyncIterator[SymbolChanges]) -> int:
        while True:
            for one in (await anext(watch)).changes:
                if one.symbol.trades == 62_200:
                    return one.symbol.trades

    seen = asyncio.gather(*(last_of(watch) for watch in watches))
    for trades in range(62_160, 62_201):
        await change(
            database_dsn,
            f"UPDATE symbol SET trades = {trades} WHERE symbol = 'XBTEUR' AND exchange_id = 201",
        )
    assert await seen == [62_200] * 20
    for watch in watches:
        await watch.aclose()  # type: ignore[attr-defined]


async def test_reflection_describes_every_call(channel: Channel) -> None:
    async with ServerReflectionStub(channel).ServerReflectionInfo.open() as stream:
        await stream.send_message(ServerReflectionRequest(list_services=""))
        listed = await stream.recv_message()
        assert listed is not None
        names = {one.name for one in listed.list_services_response.service}
        assert {"qd.symdb.v1.SymbolMaster", "grpc.health.v1.Health"} <= names
        for name in sorted(names - {"grpc.reflection.v1.ServerReflection"}):
            await stream.send_message(ServerReflectionRequest(file_containing_symbol=name))
            found = await stream.recv_message()
            assert found is not None
            assert found.file_descriptor_response.file_descriptor_proto
        await stream.end()
