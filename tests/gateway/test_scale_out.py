"""Several gateways serve one control topic: nobody is answered twice, and nobody is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from qd_gateway.core.saved import SavedSession
from qd_schemas.enums import EndReason
from qd_schemas.messages import Heartbeat, LastTradeBar
from qd_schemas.wire import NO_COUNT
from qd_store.connections import connect
from qd_store.gateway_state import SLOTS, gateways, sessions, slot_of
from support.gateways import GatewayStarter
from support.markets import Markets
from support.processes import STOP_SECONDS_MAX, Process
from support.talker import Talker, is_interrupted

CLIENTS = 6


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds; each look takes a while."""
    give_up_at = time.monotonic() + STOP_SECONDS_MAX
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < give_up_at


def shares(dsn: str, group: str) -> dict[str, int]:
    """How many slots each living gateway of a group has."""
    return {each.name: len(each.slots) for each in gateways(dsn, group) if each.is_alive}


def holder_of(dsn: str, group: str, client_id: int) -> str:
    return next(each.name for each in gateways(dsn, group) if slot_of(client_id) in each.slots)


class Pair:
    """Two gateways, "a" and "b", with even shares of a group of their own."""

    def __init__(self, start: GatewayStarter, dsn: str, group: str) -> None:
        self.dsn, self.group = dsn, group
        self._start = start
        self.running: dict[str, Process] = {}

    def start(self, name: str) -> Process:
        self.running[name] = self._start(QD_GATEWAY_NAME=name, QD_GATEWAY_GROUP=self.group)
        return self.running[name]

    async def even(self) -> None:
        half = SLOTS // 2
        await until(lambda: shares(self.dsn, self.group) == {"a": half, "b": half})

    def of(self, client_id: int) -> str:
        return holder_of(self.dsn, self.group, client_id)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.stop()


def saved_streams(dsn: str) -> int:
    """How many streams the database knows to run."""
    saved = [SavedSession.from_json(each.state) for each in sessions(dsn)]
    return sum(stream.running for session in saved for stream in session.streams)


async def check_whole(client: Talker, symbol: int) -> list[int]:
    await client.start(symbol, 9)
    return (await client.rows(9))[0]


def backends_of(dsn: str, pid: int) -> list[int]:
    """The server processes that a process is connected to; none where they are elsewhere."""
    if "QD_DATABASE" in os.environ:
        return []
    ports = [each.laddr.port for each in psutil.Process(pid).net_connections()]
    with connect(dsn) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE client_port = ANY(%s)", [ports]
        )
        return [pid for (pid,) in found]


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Processes that stand still while the block runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def talkers(endpoint: str, first: int) -> AsyncIterator[list[Talker]]:
    """Logged-in clients, half of whom each of two gateways serves."""
    async with AsyncExitStack() as stack:
        ids = [first + number * SLOTS // 2 for number in range(CLIENTS)]
        found = [await stack.enter_async_context(Talker(endpoint, each)) for each in ids]
        for client in found:
            await client.login()
        yield found


async def check_answered_once(clients: list[Talker], beats: int = 3) -> None:
    """Each heartbeat has one answer, and nothing else comes."""
    for client in clients:
        for _ in range(beats):
            await client.beat()
        before = client.beats
        while client.beats < before + beats:
            assert isinstance(await client.next(), Heartbeat)
        assert await client.fluvio.end_offset(client.topics.data) == client.read


async def check_moved(clients: list[Talker], stream_id: int) -> None:
    """Their gateway ended the stream, and another one says that it is there."""
    for client in clients:
        epoch = client.epoch
        assert is_interrupted((await client.rest(stream_id))[1])
        assert isinstance(await client.next(), Heartbeat)
        assert client.epoch != epoch


async def check_taken_over(clients: list[Talker], symbol: int, stream_id: int) -> None:
    """Their gateway died or fell silent; another one says so for it."""
    for client in clients:
        epoch = client.epoch
        assert isinstance(await client.next(), Heartbeat)
        assert client.epoch != epoch
        lost = LastTradeBar(symbol, stream_id, EndReason.INTERRUPTED, NO_COUNT)
        assert await client.next() == lost


async def test_clients_are_shared_handed_over_and_taken_over(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter
) -> None:
    symbol = markets.ids["XBTUSD"]
    with Pair(start_gateway, markets.dsn, "shared") as pair:
        await check_share(pair, fluvio_endpoint, symbol, markets)


async def check_share(pair: Pair, endpoint: str, symbol: int, markets: Markets) -> None:
    pair.start("a")
    async with talkers(endpoint, 20_000) as clients:
        for client in clients:
            await client.begin(symbol, 1)
        pair.start("b")
        await pair.even()
        moved = [client for client in clients if pair.of(client.client_id) == "b"]
        stayed = [client for client in clients if client not in moved]
        assert len(moved) == len(stayed)
        await check_moved(moved, 1)
        await check_answered_once(clients)

        assert await asyncio.to_thread(pair.running["a"].stop) == 0
        await check_moved(stayed, 1)
        for client in stayed:
            await client.begin(symbol, 2)
        pair.start("a")
        await pair.even()
        assert {pair.of(client.client_id) for client in stayed} == {"b"}
        for client in moved:  # once more: they had no stream
            assert isinstance(await client.next(), Heartbeat)

        await until(lambda: saved_streams(markets.dsn) == len(stayed))
        pair.running["b"].kill()
        await check_taken_over(stayed, symbol, 2)
        assert shares(markets.dsn, "shared") == {"a": SLOTS}
        await check_answered_once(clients)
        for client in clients:
            assert len(await check_whole(client, symbol)) == len(markets.trades["XBTUSD"])


async def test_a_gateway_that_was_paused_does_no_harm(
    fluvio_endpoint: str, markets: Markets, start_gateway: GatewayStarter
) -> None:
    symbol = markets.ids["XBTUSD"]
    with Pair(start_gateway, markets.dsn, "paused") as pair:
        await check_pause(pair, fluvio_endpoint, symbol, markets.dsn)


async def check_pause(pair: Pair, endpoint: str, symbol: int, dsn: str) -> None:
    pair.start("a")
    pair.start("b")
    await pair.even()
    async with talkers(endpoint, 21_000) as clients:
        for client in clients:
            await client.begin(symbol, 1)
        of_a = [client for client in clients if pair.of(client.client_id) == "a"]
        await until(lambda: saved_streams(dsn) == CLIENTS)
        os.kill(pair.running["a"].pid, signal.SIGSTOP)
        for client in of_a:
            await client.beat()  # it has this before it when it wakes up
        for client in of_a:
            await check_taken_over([client], symbol, 1)
            assert isinstance(await client.next(), Heartbeat)  # the answer, of the other one
            await client.begin(symbol, 2)
        backends = await asyncio.to_thread(backends_of, dsn, pair.running["a"].pid)
        with stopped(backends):  # the clock alone must tell it, whatever the database says
            os.kill(pair.running["a"].pid, signal.SIGCONT)
            await until(lambda: pair.running["a"].log().count("serving no more") == 2)
        await pair.even()
        for client in clients:
            if pair.of(client.client_id) == "a":
                await check_moved([client], 2 if client in of_a else 1)
        await check_answered_once(clients)


async def test_a_process_of_the_same_name_takes_over_at_once(
    fluvio_endpoint: str, markets: Markets, tmp_path: Path
) -> None:
    environment = {
        "QD_FLUVIO": fluvio_endpoint,
        "QD_DATABASE": markets.dsn,
        "QD_GATEWAY_NAME": "same",
        "QD_GATEWAY_GROUP": "same",
    }
    old = Process("qd_gateway", folder=tmp_path / "old", env=environment)
    old.wait_ready()
    async with Talker(fluvio_endpoint, 22_000) as client:
        await client.login()
        new = Process("qd_gateway", folder=tmp_path / "new", env=environment)
        new.wait_ready()
        assert await asyncio.to_thread(old.popen.wait, STOP_SECONDS_MAX) == 1
        assert "give each its own QD_GATEWAY_NAME" in old.log()
        assert isinstance(await client.next(), Heartbeat)
        await check_answered_once([client])
    assert new.stop() == 0
