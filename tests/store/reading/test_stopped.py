"""Fetches that end early: what they say, and that fetching the rest repeats and misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import psycopg
import pytest

from qd_schemas.arrays import Rows
from qd_schemas.enums import Resolution
from qd_schemas.frames import read_frame
from qd_store import Market, Store
from qd_store.errors import (
    DatabaseUnreachable,
    FetchCancelled,
    FetchFailed,
    FetchLost,
    FetchStopped,
    QueryTimedOut,
)
from qd_store.reading import BarQuery, Fetch, MergedQuery, Query, TradeQuery, Unfinished
from qd_store.tables import refresh_bars
from support.stored_trades import Statement, Write, trades_of

COUNT = 150_000
BATCH_ROWS = 777
OWN_STREAMS = (
    "FROM pg_stat_activity WHERE application_name = current_setting('application_name') "
    "AND query LIKE 'COPY%%'"
)
KILL = f"SELECT pg_terminate_backend(pid, 5000) {OWN_STREAMS}"
CANCEL = f"SELECT pg_cancel_backend(pid) {OWN_STREAMS}"


@pytest.fixture
async def queries(write: Write, dsn: str) -> dict[str, Query]:
    """One of each kind, each of more bytes than any buffers hold."""
    dense = await write("XBTEUR", trades_of(np.full(COUNT, 61_000_000)))
    sparse = await write("XBTUSD", trades_of(np.full(COUNT // 3, 183_000_000)))
    await asyncio.to_thread(refresh_bars, dsn)
    return {
        "trades": TradeQuery(dense, first_sequence=5),
        "bars": BarQuery(dense, Resolution.M1, unfinished=Unfinished.INCLUDED),
        "merged": MergedQuery((TradeQuery(sparse), TradeQuery(dense))),
    }


KINDS = pytest.mark.parametrize("kind", ["trades", "bars", "merged"])


async def some_of(fetch: Fetch[Query, Rows], batches: int) -> list[Rows]:
    return [await anext(fetch) for _ in range(batches)]


async def read_killed(
    fetch: Fetch[Query, Rows], batches: int, kill: Callable[[], object], parts: list[Rows]
) -> FetchStopped | None:
    """Read to the end, and kill the connection after so many batches; what it ended with."""
    try:
        async for rows in fetch:
            parts.append(rows)
            batches -= 1
            if batches == 0:
                await asyncio.to_thread(kill)
    except FetchStopped as error:
        return error
    return None


@pytest.fixture(params=["socket", "libpq"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading: that of plain connections, and that of encrypted ones."""
    if request.param == "libpq":
        monkeypatch.setattr("qd_store.reading.connection.is_plain", lambda _: False)


BY_BOTH_WAYS = pytest.mark.usefixtures("way")


@KINDS
@BY_BOTH_WAYS
@pytest.mark.parametrize("batches", [1, 30])
async def test_a_killed_connection(
    store: Store, queries: dict[str, Query], statement: Statement, kind: str, batches: int
) -> None:
    """Killed again and again, each time after what has come is read, up to the end."""
    whole = await store.query(queries[kind])
    parts: list[Rows] = []
    stopped: list[FetchStopped] = []
    rest = queries[kind]
    while True:
        fetch = store.fetch(rest, batch_rows=BATCH_ROWS)
        error = await read_killed(fetch, batches, lambda: statement(KILL), parts)
        if error is None:
            break
        stopped.append(error)
        rest = error.rest
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert stopped
    assert all(isinstance(error, FetchLost) and error.retriable for error in stopped)
    assert all(str(error.rest) in str(error) for error in stopped)


@KINDS
async def test_a_cancelled_fetch(store: Store, queries: dict[str, Query], kind: str) -> None:
    whole = await store.query(queries[kind])
    fetch = store.fetch(queries[kind], batch_rows=BATCH_ROWS)
    parts = await some_of(fetch, 3)
    fetch.cancel()
    with pytest.raises(FetchCancelled) as caught:
        await anext(fetch)
    assert fetch.rest == caught.value.rest
    parts.append(await store.query(caught.value.rest))
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    with pytest.raises(FetchCancelled):
        await anext(fetch)


BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND application_name = current_setting('application_name')"
)


async def wait_blocked(statement: Statement) -> None:
    while await asyncio.to_thread(statement, BLOCKED) != [(1,)]:
        pass


async def test_a_fetch_that_waits_is_cancelled_by_another_task(
    store: Store, queries: dict[str, Query], statement: Statement, dsn: str
) -> None:
    fetch = store.fetch(queries["trades"])
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE trade")
        reading = asyncio.ensure_future(anext(fetch))
        await wait_blocked(statement)
        for _ in range(2):  # who cancels, and who does so as well
            fetch.cancel()
        with pytest.raises(FetchCancelled) as caught:
            await reading
        assert caught.value.rest == queries["trades"]
        assert statement(BLOCKED) == [(0,)]


async def test_a_task_that_is_cancelled_is_cancelled(
    store: Store, queries: dict[str, Query], statement: Statement, dsn: str
) -> None:
    """Also where somebody cancels the fetch besides; `rest` is then the fetch's own."""
    fetch = store.fetch(queries["trades"], batch_rows=BATCH_ROWS)
    parts = await some_of(fetch, 2)
    await fetch.aclose()
    fetch = store.fetch(fetch.rest)
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE trade")
        reading = asyncio.ensure_future(anext(fetch))
        await wait_blocked(statement)
        fetch.cancel()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    parts.append(await store.query(fetch.rest))
    whole = await store.query(queries["trades"])
    assert np.concatenate(parts).tobytes() == whole.tobytes()


async def test_a_fetch_within_a_time_limit_goes_on_after_it(
    store: Store, queries: dict[str, Query], statement: Statement, dsn: str
) -> None:
    fetch = store.fetch(queries["bars"])
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE bar_1m" if is_plain(statement) else "LOCK TABLE trade")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(fetch), 0.05)
    assert len(await store.query(fetch.rest)) > 0


def is_plain(statement: Statement) -> bool:
    return statement("SELECT kind FROM table_kind") == [("plain",)]


@BY_BOTH_WAYS
@KINDS
async def test_a_query_that_the_server_ends(
    store: Store, queries: dict[str, Query], statement: Statement, kind: str
) -> None:
    whole = await store.query(queries[kind])
    parts: list[Rows] = []
    fetch = store.fetch(queries[kind], batch_rows=BATCH_ROWS)
    error = await read_killed(fetch, 2, lambda: statement(CANCEL), parts)
    if kind == "merged":  # no statement runs between two pages
        assert error is None
    else:
        assert isinstance(error, FetchFailed)
        assert not error.retriable
        assert "due to user request" in str(error)
        parts.append(await store.query(error.rest))
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@BY_BOTH_WAYS
async def test_a_server_that_says_nothing(
    store: Store, queries: dict[str, Query], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(dsn) as connection, monkeypatch.context() as patch:
        patch.setattr("qd_store.reading.connection.SILENCE_SECONDS_MAX", 0.05)
        connection.execute("LOCK TABLE trade")
        with pytest.raises(FetchLost, match="sent nothing") as caught:
            await store.query(queries["trades"])
    assert isinstance(caught.value.__cause__, QueryTimedOut)
    assert len(await store.query(caught.value.rest)) == COUNT - 4


async def test_frames_go_on_where_they_stopped(
    store: Store, queries: dict[str, Query], statement: Statement
) -> None:
    query = queries["bars"]
    assert isinstance(query, BarQuery)
    fetch = store.fetch_frames(query, stream_id=1, batch_rows=BATCH_ROWS)
    frames = [*await anext(fetch), *await anext(fetch)]
    await asyncio.to_thread(statement, KILL)
    with pytest.raises(FetchLost) as caught:
        await read_all(fetch, frames)
    rest = caught.value.rest
    assert isinstance(rest, BarQuery)
    await read_all(store.fetch_frames(rest, stream_id=1), frames)
    found = [read_frame(frame) for frame in frames]
    whole = await store.query(query)
    assert np.concatenate([frame.rows for frame in found]).tobytes() == whole.tobytes()
    counts = [len(frame.rows) for frame in found]
    numbers = [frame.header.first_sequence for frame in found]
    assert numbers == np.cumsum([1, *counts[:-1]]).tolist()


async def read_all(fetch: Fetch[TradeQuery | BarQuery, list[bytes]], into: list[bytes]) -> None:
    async for frames in fetch:
        into += frames


@pytest.mark.parametrize("use", [lambda s, q: s.query(q), lambda s, q: anext(s.fetch(q))])
async def test_a_database_that_is_not_there(use: Callable[..., object]) -> None:
    query = TradeQuery(Market(1, 1, "XBTEUR", 1, 0, 0))
    store = Store("postgresql://127.0.0.1:1/x")
    with pytest.raises(DatabaseUnreachable) as caught:
        await use(store, query)  # type: ignore[misc]  # both are awaitable
    assert caught.value.retriable
    await store.aclose()


@BY_BOTH_WAYS
async def test_a_store_that_is_closed_while_it_is_read_from(
    queries: dict[str, Query], statement: Statement, dsn: str
) -> None:
    async with Store.open(dsn) as other:
        fetch = other.fetch(queries["trades"])
        with psycopg.connect(dsn) as connection:
            connection.execute("LOCK TABLE trade")
            reading = asyncio.ensure_future(anext(fetch))
            await wait_blocked(statement)
            await other.aclose()
            with pytest.raises(FetchFailed, match="was closed"):
                await reading


@BY_BOTH_WAYS
async def test_a_store_that_is_closed_amid_a_fetch(queries: dict[str, Query], dsn: str) -> None:
    async with Store.open(dsn) as other:
        fetch = other.fetch(queries["trades"], batch_rows=BATCH_ROWS)
        await anext(fetch)
    with pytest.raises(FetchFailed, match="was closed"):
        await read_on(fetch)


async def read_on(fetch: Fetch[Query, Rows]) -> None:
    async for _ in fetch:
        pass
