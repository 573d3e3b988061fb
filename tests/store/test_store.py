"""The way out: markets, streams by sequence and time, their ends, their limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import psycopg
import pytest

from qd_schemas.arrays import TRADE, Rows
from qd_store import Exchange, Market, Store, TooManyStreams
from qd_store import store as store_module
from qd_store.errors import (
    DatabaseUnreachable,
    FetchFailed,
    QueryFailed,
    QueryTimedOut,
    SchemaMismatch,
)
from qd_store.imports import ImportReport
from qd_store.reading import TradeQuery

Importer = Callable[..., ImportReport]
Collect = Callable[..., Awaitable[Rows]]
COUNT = 20_000
START = 1514764802


@pytest.fixture
async def market(store: Store, importer: Importer, tmp_path: Path) -> Market:
    """A market of COUNT trades, two of them each 50 minutes."""
    path = tmp_path / "XBTEUR.csv"
    path.write_text(
        "".join(f"{START + i // 2 * 3000},{100 + i % 97}.25,0.{i:05}\n" for i in range(COUNT))
    )
    importer(path)
    found = await store.market_by_symbol(1, "XBTEUR")
    assert found is not None
    return found


def expected() -> Rows:
    index = np.arange(COUNT)
    rows = np.empty(COUNT, TRADE)
    rows["sequence"] = index + 1
    rows["time"] = (START + index // 2 * 3000) * 1_000_000
    rows["price"] = 100.25 + index % 97
    rows["volume"] = [float(f"0.{i:05}") for i in range(COUNT)]
    return rows


def wait_until(dsn: str, condition: str) -> None:
    """Wait until something is true of this test's connections; the server does the waiting."""
    own = "FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '20s'")
        connection.execute(
            f"DO $$ BEGIN WHILE NOT ({condition.format(own=own)}) LOOP "
            "PERFORM pg_stat_clear_snapshot(), pg_sleep(0.01); END LOOP; END $$".encode()
        )


NO_STREAM = "NOT EXISTS (SELECT {own} AND query LIKE 'COPY (SELECT %' AND state = 'active')"
ONE = "1 = (SELECT count(*) {own})"  # the connection that asks this
BLOCKED = "EXISTS (SELECT {own} AND wait_event_type = 'Lock')"


async def test_exchanges_and_markets(store: Store, market: Market) -> None:
    assert await store.exchanges() == [Exchange(1, "kraken")]
    assert market == Market(
        1, 1, "XBTEUR", COUNT, START * 1_000_000, (START + (COUNT // 2 - 1) * 3000) * 1_000_000
    )
    assert await store.markets(1) == [market]
    assert await store.market(1, 1) == market
    assert await store.market(1, 2) is None
    assert await store.market_by_symbol(1, "xbteur") is None
    assert await store.markets(2) == []


@pytest.mark.parametrize("batch_rows", [1000, 32_768])
async def test_all_trades(market: Market, collect: Collect, batch_rows: int) -> None:
    found = await collect(market, batch_rows=batch_rows)
    assert found.dtype == TRADE
    assert (found == expected()).all()


async def test_batches_are_bounded_and_never_empty(store: Store, market: Market) -> None:
    sizes = [len(rows) async for rows in store.fetch(TradeQuery(market), batch_rows=1000)]
    assert sum(sizes) == COUNT
    assert min(sizes) > 0
    assert max(sizes) <= 1000


@pytest.mark.parametrize("first", [1, 2, COUNT - 1, COUNT, COUNT + 1, 2**40])
async def test_from_a_sequence(market: Market, collect: Collect, first: int) -> None:
    found = await collect(market, first_sequence=first)
    assert found["sequence"].tolist() == list(range(first, COUNT + 1))


MIDDLE = (START + 3000 * 5000) * 1_000_000


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (0, 2**63 - 1),
        (-(2**62), START * 1_000_000),
        (START * 1_000_000, START * 1_000_000 + 1),
        (MIDDLE, MIDDLE + 1),
        (MIDDLE + 1, MIDDLE + 3000 * 1_000_000),
        (MIDDLE - 1, MIDDLE),
        (MIDDLE, MIDDLE - 1),
        (2**62, None),
    ],
)
async def test_between_times(
    market: Market, collect: Collect, start: int | None, end: int | None
) -> None:
    found = await collect(market, start_time=start, end_time=end)
    rows = expected()
    keep = np.ones(COUNT, np.bool_)
    if start is not None:
        keep &= rows["time"] >= start
    if end is not None:
        keep &= rows["time"] < end
    assert found.tolist() == rows[keep].tolist()


async def test_sequence_and_time_together(market: Market, collect: Collect) -> None:
    found = await collect(market, first_sequence=10_011, start_time=MIDDLE, batch_rows=7)
    assert found["sequence"].tolist() == list(range(10_011, COUNT + 1))


async def test_leaving_early_ends_the_query(store: Store, market: Market, dsn: str) -> None:
    stream = store.fetch(TradeQuery(market), batch_rows=10)
    await anext(stream)
    await stream.aclose()
    wait_until(dsn, NO_STREAM)
    async for _ in store.fetch(TradeQuery(market)):
        break


async def test_cancellation_ends_the_query(store: Store, market: Market, dsn: str) -> None:
    first = asyncio.Event()

    async def consume() -> None:
        async with contextlib.aclosing(store.fetch(TradeQuery(market), batch_rows=10)) as stream:
            async for _ in stream:
                first.set()
                await asyncio.Event().wait()

    task = asyncio.ensure_future(consume())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wait_until(dsn, NO_STREAM)


async def test_a_query_that_waits_can_be_cancelled(store: Store, market: Market, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE trade")
        task = asyncio.ensure_future(anext(store.fetch(TradeQuery(market))))
        await asyncio.to_thread(wait_until, dsn, BLOCKED)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wait_until(dsn, NO_STREAM)


async def test_many_streams_at_once(market: Market, collect: Collect) -> None:
    found = await asyncio.gather(*(collect(market, batch_rows=500) for _ in range(12)))
    assert all((rows == expected()).all() for rows in found)


async def test_streams_are_limited(dsn: str, market: Market) -> None:
    async with Store.open(dsn, streams_max=2) as store:
        open_streams = [store.fetch(TradeQuery(market), batch_rows=10) for _ in range(2)]
        for stream in open_streams:
            await anext(stream)
        with pytest.raises(TooManyStreams, match="2 streams are open") as caught:
            await anext(store.fetch(TradeQuery(market)))
        assert caught.value.retriable
        await open_streams[0].aclose()
        assert len(await anext(store.fetch(TradeQuery(market)))) > 0


async def test_a_stream_left_open_does_not_keep_the_store_open(dsn: str, market: Market) -> None:
    async with Store.open(dsn) as store:
        stream = store.fetch(TradeQuery(market), batch_rows=10)
        await anext(stream)
    await stream.aclose()
    wait_until(dsn, NO_STREAM)


@pytest.mark.parametrize("batch_rows", [0, -1, 2**40])
async def test_a_batch_has_a_size(store: Store, market: Market, batch_rows: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        store.fetch(TradeQuery(market), batch_rows=batch_rows)


async def test_rows_imported_while_streaming_do_not_show(
    store: Store, market: Market, importer: Importer, tmp_path: Path, collect: Collect
) -> None:
    stream = store.fetch(TradeQuery(market), batch_rows=10)
    parts = [await anext(stream)]
    path = tmp_path / "new" / "XBTEUR.csv"
    path.parent.mkdir()
    path.write_text(f"{START + COUNT * 3000},5,1\n")
    await asyncio.to_thread(importer, path)
    parts += [rows async for rows in stream]
    assert len(np.concatenate(parts)) == COUNT
    assert len(await collect(market)) == COUNT + 1


async def test_a_database_without_tables(dsn: str) -> None:
    async with Store.open(dsn) as store:
        with pytest.raises(SchemaMismatch, match="run `qd db migrate`"):
            await store.exchanges()


@pytest.mark.parametrize("bad", ["postgresql://127.0.0.1:1/x", "host=127.0.0.1 port=", "nonsense"])
async def test_no_database(bad: str) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        async with Store.open(bad):
            pass
    assert caught.value.retriable


async def test_a_refused_query_is_an_error(store: Store, market: Market, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("ALTER TABLE trade RENAME COLUMN volume TO amount")
    with pytest.raises(FetchFailed, match="volume"):
        await anext(store.fetch(TradeQuery(market)))


@contextlib.asynccontextmanager
async def waiting_query(store: Store, dsn: str) -> AsyncIterator[asyncio.Task[list[Exchange]]]:
    """A query that waits for a lock."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE exchange")
        query = asyncio.create_task(store.exchanges())
        await asyncio.to_thread(wait_until, dsn, BLOCKED)
        yield query


async def test_a_store_closed_under_a_query_leaves_nothing_behind(store: Store, dsn: str) -> None:
    """Nobody watches its socket any longer, whose number the next one has."""
    await store.exchanges()
    async with waiting_query(store, dsn) as query:
        await store.aclose()
        with pytest.raises(QueryFailed, match="the store was closed"):
            await query
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            received = asyncio.create_task(asyncio.get_running_loop().sock_recv(one, 1))
            await asyncio.sleep(0)
            other.sendall(b"x")
            assert await received == b"x"
    await asyncio.to_thread(wait_until, dsn, ONE)


async def test_a_closed_store_stays_closed(market: Market, dsn: str) -> None:
    """Also for whoever was about to connect."""
    store = Store(dsn)
    begun: list[Awaitable[object]] = [
        anext(store.fetch(TradeQuery(market))),
        store.exchanges(),
    ]
    tasks = [asyncio.ensure_future(each) for each in begun]
    await asyncio.sleep(0)
    await store.aclose()
    tasks.append(asyncio.ensure_future(store.exchanges()))
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [FetchFailed, QueryFailed, QueryFailed]
    await asyncio.to_thread(wait_until, dsn, "2 = (SELECT count(*) {own})")  # `market` has one


async def test_a_query_that_takes_too_long_leaves_no_connection(
    store: Store, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "QUERY_SECONDS_MAX", 0.5)
    async with waiting_query(store, dsn) as query:
        with pytest.raises(QueryTimedOut):
            await query
    await asyncio.to_thread(wait_until, dsn, ONE)


async def test_nobody_waits_for_ever_for_the_tables_version(
    store: Store, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "QUERY_SECONDS_MAX", 0.1)
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE schema_version")
        with pytest.raises(QueryTimedOut):
            await store.check_version()
