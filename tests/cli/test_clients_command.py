"""``qd clients`` over what gateways keep in the database, and on a stack with tokens."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qd_cli.clients_ending import NotEnded, Outcome, end
from qd_gateway.core.plans import StreamPlan
from qd_gateway.core.saved import SavedSession, SavedStream
from qd_schemas.enums import DataType, Resolution
from qd_schemas.identity import key_of
from qd_schemas.wire import NO_STREAM
from qd_store.connections import connect
from qd_store.gateway_state import SLOTS, GatewayState, Member, Saving
from qd_store.imports import import_paths
from support.commands import Qd
from support.databases import fresh_database
from support.markets import generated, write_csv

GROUP = "sc.example:9003"
PLAN = StreamPlan(
    ticket=7,
    client_id=21,
    version=2,
    exchange_id=1,
    symbol_id=1,
    data_type=DataType.TRADES_EXACT,
    resolution=Resolution.NONE,
    stream_id=5,
    first_sequence=1,
    start_time=None,
    end_time=None,
    pace=0.0,
)
BARS = dataclasses.replace(
    PLAN,
    ticket=8,
    stream_id=NO_STREAM,
    symbol_id=999,
    data_type=DataType.OHLCV_EXACT,
    resolution=Resolution.parse("1d"),
    start_time=1_000_000,
)
BUSY = SavedSession(
    client_id=21,
    version=2,
    lease_ms=6_000,
    login_id=77,
    key=bytes(range(32)),
    counter=3,
    offset=9,
    streams=(SavedStream(PLAN, running=True, sent=1_234_567), SavedStream(BARS, running=False)),
    since_s=1_700_000_000,
)
IDLE = SavedSession(22, 1, 0, 0, None, -1, 10)


@pytest.fixture(scope="module")
def tables(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with one market and no gateway."""
    folder = tmp_path_factory.mktemp("csv")
    write_csv(generated(1, 50), folder / "XBTUSD.csv")
    with fresh_database(database_dsn) as found:
        import_paths(found, [folder], rejects_folder=folder / "rejects", parallel=1)
        yield found


@pytest.fixture
def dsn(tables: str, nowhere: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same with nobody logged in and no tokens."""
    with connect(tables) as connection:
        connection.execute("TRUNCATE gateway_member, gateway_slot, gateway_session, gateway_token")
        connection.execute("TRUNCATE gateway_order")
    monkeypatch.setenv("QD_DATABASE", tables)
    return tables


async def save(dsn: str, saving: Saving) -> None:
    async with GatewayState.open(dsn, Member(GROUP, "one", 1, 60.0), first=True) as state:
        await state.take(SLOTS)
        await state.renew(saving)


@pytest.fixture
def served(dsn: str) -> str:
    """A database of a gateway that serves two clients, and has just lost its connection."""
    sessions = {one.client_id: one.to_json() for one in (BUSY, IDLE)}
    asyncio.run(save(dsn, Saving(sessions=sessions)))
    return dsn


def test_who_is_logged_in(bare_qd: Qd, served: str) -> None:
    busy, idle = bare_qd.json("clients")
    assert busy.pop("changed") == idle.pop("changed")
    assert idle == {
        "client": 22,
        "name": None,
        "version": 1,
        "is_proven": False,
        "lease_ms": 0,
        "group": GROUP,
        "gateway": "one",
        "since": None,
        "streams": [],
    }
    trades, bars = busy.pop("streams")
    assert (busy["client"], busy["is_proven"]) == (21, True)
    assert busy["since"] == "2023-11-14T22:13:20Z"
    assert trades == {
        "stream": 7,
        "stream_id": 5,
        "exchange": "kraken",
        "market": "XBTUSD",
        "rows": "trades",
        "first_sequence": 1,
        "start": None,
        "end": None,
        "pace": 0.0,
        "state": "running",
        "sent": 1_234_567,
    }
    assert (bars["stream_id"], bars["market"], bars["rows"]) == (None, "999", "1d")
    assert (bars["start"], bars["state"]) == ("1970-01-01T00:00:01Z", "waiting")
    assert bare_qd.json("clients", "--group", "another:1") == []
    done = bare_qd("clients")
    lines = [line.split() for line in done.lines]
    assert [line[0] for line in lines] == ["CLIENT", "21", "8", "22"]
    assert lines[1][-4:] == ["XBTUSD", "trades", "1,234,567", "running"]
    assert BUSY.key is not None
    assert BUSY.key.hex() not in done.out + json.dumps(busy)


async def test_a_session_and_a_stream_are_ended(served: str) -> None:
    async def obey(gateway: GatewayState) -> None:
        """As a gateway does with what operators ask for."""
        while not (orders := await gateway.orders()):
            await gateway.wait(asyncio.Event(), 1.0)
        (order,) = orders
        if order.ticket is None:
            await gateway.renew(Saving(ended=[order.client_id], done=[order.number]))
            return
        streams = tuple(one for one in BUSY.streams if one.plan.ticket != order.ticket)
        left = dataclasses.replace(BUSY, streams=streams)
        await gateway.renew(Saving(sessions={21: left.to_json()}, done=[order.number]))

    async with GatewayState.open(served, Member(GROUP, "one", 1, 60.0), first=True) as gateway:
        await gateway.take(SLOTS)
        for stream in (7, None):
            ended, _ = await asyncio.gather(end(served, 21, stream, None), obey(gateway))
            assert ended is Outcome.ENDED


async def test_a_client_that_logs_in_again_at_once_was_ended(served: str) -> None:
    async def obey(gateway: GatewayState) -> None:
        while not (orders := await gateway.orders()):
            await gateway.wait(asyncio.Event(), 1.0)
        anew = dataclasses.replace(BUSY, login_id=78)
        await gateway.renew(Saving(sessions={21: anew.to_json()}, done=[orders[0].number]))

    async with GatewayState.open(served, Member(GROUP, "one", 1, 60.0), first=True) as gateway:
        await gateway.take(SLOTS)
        ended, _ = await asyncio.gather(end(served, 21, None, None), obey(gateway))
        assert ended is Outcome.ENDED


def test_what_cannot_be_ended(bare_qd: Qd, served: str) -> None:
    for arguments, said in (
        (("23",), "client 23 is not logged in"),
        (("21", "--group", "another:1"), "client 21 is not logged in"),
        (("21", "--stream", "9"), "client 21 has no stream 9: it has 7, 8"),
        (("22", "--stream", "7"), "client 22 has no stream 7: it has none"),
    ):
        done = bare_qd("clients", "end", *arguments)
        assert (done.code, said in done.err) == (1, True), done.err
    assert bare_qd("clients", "end", "20").code == 2
    with connect(served) as connection:
        assert connection.execute("SELECT * FROM gateway_order").fetchall() == []


async def test_a_gateway_that_does_not_end_it(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qd_cli.clients_ending.WAIT_SECONDS_MAX", 0.0)
    with pytest.raises(NotEnded, match="stream 7 of client 21 was asked to end, but goes on"):
        await end(served, 21, 7, None)


def test_a_client_whom_no_gateway_serves(bare_qd: Qd, served: str) -> None:
    asyncio.run(save(served, Saving(released=frozenset(range(SLOTS)), leaving=True)))
    (done,) = bare_qd.json("clients", "end", "22")
    assert done == {"event": "end", "client": 22, "stream": None, "outcome": "asked"}
    assert [row["gateway"] for row in bare_qd.json("clients")] == [None, None]
    told = bare_qd("clients", "end", "22")
    assert told.err.startswith("no gateway serves client 22 now")


def test_gateways(bare_qd: Qd, served: str) -> None:
    (found,) = bare_qd.json("clients", "gateways")
    assert (found["gateway"], found["group"], found["alive"]) == ("one", GROUP, True)
    assert found["slots"] == list(range(SLOTS))
    done = bare_qd("clients", "gateways")
    assert "64 of 64" in done.out
    none = bare_qd("clients", "gateways", "--group", "x")
    assert (none.code, none.out, none.err) == (0, "", "no gateway has used this database\n")


def test_tokens(bare_qd: Qd, dsn: str) -> None:
    assert bare_qd("clients", "tokens").err.startswith("no client has a token")
    done = bare_qd("clients", "add", "21", "--name", "Anna's")
    token = done.out.strip()
    assert len(token) == 43
    assert "QD_CLIENT_ID=21" in done.err
    assert token not in done.err
    with connect(dsn) as connection:
        row = connection.execute("SELECT key, name FROM gateway_token").fetchone()
    assert row == (key_of(token), "Anna's")
    again = bare_qd("clients", "add", "21")
    assert (again.code, "client 21 has a token (Anna's)" in again.err) == (1, True)
    (other,) = bare_qd.json("clients", "add", "21", "--replace")
    assert other["token"] != token
    (listed,) = bare_qd.json("clients", "tokens")
    assert (listed["client"], listed["name"]) == (21, "")
    assert "21" in bare_qd("clients", "tokens").out
    assert "give --yes" in bare_qd("clients", "remove", "21").err
    assert bare_qd.json("clients", "remove", "21", "--yes") == [{"event": "remove", "client": 21}]
    gone = bare_qd("clients", "remove", "21", "--yes")
    assert (gone.code, "client 21 has no token" in gone.err) == (1, True)


def test_a_database_without_tables(
    bare_qd: Qd, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(database_dsn) as empty:
        monkeypatch.setenv("QD_DATABASE", empty)
        done = bare_qd("clients")
    assert done.code == 1
    assert "qd db migrate" in done.err


def test_nobody_is_logged_in(bare_qd: Qd, dsn: str) -> None:
    done = bare_qd("clients")
    assert (done.code, done.out, done.err) == (0, "", "no client is logged in\n")


def test_client_settings_of_a_stream(bare_qd: Qd, tmp_path: Path) -> None:
    for option in ("--unfinished", "--stamp=close"):
        done = bare_qd("stream", "XBTUSD", option)
        assert (done.code, "are about bars: give --bars" in done.err) == (1, True)
    done = bare_qd("stream", "XBTUSD", "--bars", "1d", "--stamp", "noon")
    assert "--stamp is 'noon'; expected start or close" in done.err
