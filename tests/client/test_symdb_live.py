"""The symbol master's client over a real service: its cache, tries, changes, and its sync face."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qd_client import ChangeKind, MarketChange, SymdbClient, SyncSymdbClient
from qd_client.errors import SymbolNotFound, SymdbUnavailable, UsageError
from qd_client.symdb import MarketInfo
from support.processes import Process
from symdb.markets import EXCHANGE, EXCHANGE_ID, ROWS, added, change, markets_in

MARKETS = [MarketInfo(EXCHANGE_ID, *row) for row in ROWS]


class Service:
    """A symbol master that can be started again on its port."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self._folder = folder
        self._env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": dsn}
        self.process = self._start()
        self.endpoint = str(self.process.wait_ready()["endpoint"])
        self._env["QD_SYMDB"] = self.endpoint
        self.address = ("127.0.0.1", int(self.endpoint.split(":")[1]))

    def again(self) -> None:
        self.process = self._start()
        self.process.wait_ready()

    def _start(self) -> Process:
        return Process("qd_symdb", folder=self._folder, env=self._env)


@pytest.fixture
async def service(database_dsn: str, tmp_path: Path) -> AsyncIterator[Service]:
    found = Service(database_dsn, tmp_path)
    try:
        async with markets_in(database_dsn):
            yield found
    finally:
        found.process.stop()


async def kept(client: SymdbClient) -> None:
    """Return once the client keeps answers."""
    while not len(client._cache):
        await client.symbol_by_id(EXCHANGE_ID, 1)


async def trades_are(client: SymdbClient, trades: int) -> None:
    while True:
        if (await client.symbol_by_id(EXCHANGE_ID, 1)).trades == trades:
            return
        await asyncio.sleep(0)  # a kept answer awaits nothing, so the watch would have no turn


async def test_a_kept_answer_needs_no_service_until_a_change_or_a_loss(service: Service) -> None:
    update = f"UPDATE symbol SET trades = 5 WHERE exchange_id = {EXCHANGE_ID} AND symbol_id = 1"
    async with SymdbClient(*service.address) as client:
        await kept(client)
        assert await client.symbol_by_id(EXCHANGE_ID, 1) == MARKETS[0]
        await change(service.dsn, update)
        await trades_are(client, 5)
        await kept(client)
        service.process.kill()
        with pytest.raises(SymdbUnavailable):
            await trades_are(client, 6)
        service.again()
        assert (await client.symbol_by_id(EXCHANGE_ID, 1)).trades == 5


async def test_a_client_without_a_cache_is_never_behind(service: Service) -> None:
    async with SymdbClient(*service.address, cache_markets=0) as client:
        for trades in range(1, 20):
            statement = f"UPDATE symbol SET trades = {trades} WHERE symbol = 'LAST'"
            await change(service.dsn, statement)
            found = await client.id_by_symbol(EXCHANGE_ID, "LAST")
            assert found.trades == trades


async def test_what_fails_for_a_while_is_tried_again(service: Service) -> None:
    async with SymdbClient(*service.address, deadline_s=30) as client:
        await client.exchange_name()
        service.process.kill()
        starting = asyncio.ensure_future(asyncio.to_thread(service.again))
        name = ""
        while not name:
            with contextlib.suppress(SymdbUnavailable):
                name = await client.exchange_name(EXCHANGE_ID)
        assert name == EXCHANGE
        await starting


async def test_bulk_search_and_exchanges(service: Service) -> None:
    async with SymdbClient(*service.address) as client:
        for _ in range(2):
            found = await client.look_up(EXCHANGE_ID, ["LAST", 1, "NONE", 7, "XBT/ÜSD", "LAST"])
            assert found == [MARKETS[2], MARKETS[0], None, None, MARKETS[1], MARKETS[2]]
            await kept(client)
        many = await client.look_up(EXCHANGE_ID, list(range(1, 2500)))
        assert [one for one in many if one] == MARKETS[:2]
        assert await client.search("xbt", EXCHANGE_ID) == [MARKETS[1], MARKETS[0]]
        assert await client.search("XBT", EXCHANGE_ID, limit=1) == [MARKETS[1]]
        assert MARKETS[2] in await client.search("last")
        (exchange,) = (one for one in await client.exchanges() if one.name == EXCHANGE)
        assert (exchange.exchange_id, exchange.symbols) == (EXCHANGE_ID, 3)
        with pytest.raises(UsageError, match="a name is empty"):
            await client.look_up(EXCHANGE_ID, [""])


async def test_changes_without_a_gap_over_a_loss(service: Service) -> None:
    async with SymdbClient(*service.address) as client:
        changes = client.changes(EXCHANGE_ID, with_symbols=True)
        first = [await anext(changes) for _ in MARKETS]
        assert first == [MarketChange(ChangeKind.ADDED, market) for market in MARKETS]
        await change(service.dsn, added(50, "LIVE", trades=3))
        assert (await anext(changes)).market.symbol == "LIVE"

        service.process.kill()
        await change(service.dsn, added(51, "WHILE-AWAY"))
        await change(service.dsn, "UPDATE symbol SET trades = 4 WHERE symbol = 'LIVE'")
        await change(service.dsn, "DELETE FROM symbol WHERE symbol = 'LAST'")
        next_ones = asyncio.ensure_future(take(changes, 3))
        service.again()
        found = {(one.kind, one.market.symbol, one.market.trades) for one in await next_ones}
        assert found == {
            (ChangeKind.REMOVED, "LAST", MARKETS[2].trades),
            (ChangeKind.CHANGED, "LIVE", 4),
            (ChangeKind.ADDED, "WHILE-AWAY", 7),
        }
        await changes.aclose()


async def take(changes: AsyncIterator[MarketChange], count: int) -> list[MarketChange]:
    return [await anext(changes) for _ in range(count)]


async def test_changes_where_nobody_listens() -> None:
    async with SymdbClient("127.0.0.1", 1) as client:
        with pytest.raises(SymdbUnavailable):
            await anext(client.changes())


async def test_the_synchronous_face(service: Service) -> None:
    await asyncio.to_thread(use_synchronously, service)


def use_synchronously(service: Service) -> None:
    with SyncSymdbClient(*service.address) as client:
        assert client.exchange_name(EXCHANGE_ID) == EXCHANGE
        assert client.symbol_by_id(EXCHANGE_ID, 1) == MARKETS[0]
        assert client.id_by_symbol(EXCHANGE_ID, "LAST") == MARKETS[2]
        assert client.look_up(EXCHANGE_ID, [1, "NONE"]) == [MARKETS[0], None]
        assert client.list_symbols(EXCHANGE_ID) == MARKETS
        assert client.search("last", EXCHANGE_ID) == [MARKETS[2]]
        assert EXCHANGE in {one.name for one in client.exchanges()}
        with pytest.raises(SymbolNotFound):
            client.id_by_symbol(EXCHANGE_ID, "NONE")
        changes = client.changes(EXCHANGE_ID, with_symbols=True)
        assert [next(changes).market for _ in MARKETS] == MARKETS
        threads = [threading.Thread(target=client.list_symbols) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with pytest.raises(UsageError, match="not open; use it in `with`"):
        client.list_symbols(EXCHANGE_ID)
    assert not [thread for thread in threading.enumerate() if thread.name == "qd"]


async def test_the_synchronous_face_in_a_coroutine() -> None:
    with pytest.raises(UsageError, match="use the asynchronous client there"):
        SyncSymdbClient("127.0.0.1", 1).__enter__()


def test_nobody_listens_to_the_synchronous_face() -> None:
    with SyncSymdbClient("127.0.0.1", 1) as client, pytest.raises(SymdbUnavailable):
        client.list_symbols()
