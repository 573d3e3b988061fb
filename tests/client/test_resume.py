"""Streams go on across real gateways and brokers that are killed, stopped, paused and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qd_client import GatewayLost, QDClient, TokenMissing, TokenRefused
from qd_schemas.arrays import Rows
from qd_schemas.identity import key_of, new_token
from qd_schemas.specs import ClientKind, FluvioSettings
from qd_store.gateway_state import add_token
from support.client_log import logged
from support.gateways import wait_logged
from support.layer import Broker
from support.markets import Markets
from support.processes import Process

SYMBOL = "XBTEUR"
PACE = 4e6  # its three months in two seconds, so that a stream is still running
LEASE_MS = 1_000


def native(endpoint: str) -> FluvioSettings:
    return FluvioSettings(endpoint, ClientKind.NATIVE)


async def read(
    stream: AsyncGenerator[Rows, None], meanwhile: Callable[[], Awaitable[object]]
) -> Rows:
    """Read a stream to its end; `meanwhile` happens after its first rows."""
    parts = [await anext(stream)]
    await meanwhile()
    parts += [rows async for rows in stream]
    return np.concatenate(parts)


@contextlib.contextmanager
def gateway_of(folder: Path, endpoint: str, dsn: str) -> Iterator[Process]:
    process = Process("qd_gateway", folder=folder, env={"QD_FLUVIO": endpoint, "QD_DATABASE": dsn})
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


class Gateways:
    """One gateway at a time, as a pod is: the next one has the name of the one before."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._launch()

    def _launch(self) -> None:
        """Not in a thread, with which the process would end."""
        self.current = Process("qd_gateway", folder=self._folder, env=self._env)

    async def kill(self) -> None:
        await asyncio.to_thread(self.current.kill)

    async def serve(self) -> Process:
        """Have one run."""
        if self.current.popen.poll() is not None:
            self._launch()
        await asyncio.to_thread(self.current.wait_ready)
        return self.current

    async def restart_killed(self) -> None:
        await self.kill()
        await self.serve()

    async def restart_stopped(self) -> None:
        assert await asyncio.to_thread(self.current.stop) == 0
        await self.serve()


@pytest.fixture(scope="module")
def gateways(
    fluvio_endpoint: str, markets: Markets, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateways]:
    env = {"QD_FLUVIO": fluvio_endpoint, "QD_DATABASE": markets.dsn, "QD_FLUVIO_CLIENT": "native"}
    found = Gateways(tmp_path_factory.mktemp("gateways"), env)
    yield found
    assert found.current.stop() == 0


async def test_a_gateway_may_be_killed_and_stopped(
    fluvio_endpoint: str, markets: Markets, gateways: Gateways
) -> None:
    """Trades and bars at once; the second gateway is stopped as by `qd down`."""
    await gateways.serve()
    symbol, rows = markets.ids[SYMBOL], markets.trades[SYMBOL]
    async with QDClient(endpoint=native(fluvio_endpoint), lease_ms=LEASE_MS) as qd:
        expected = np.concatenate([part async for part in qd.bars(symbol, "1h")])
        trades, bars = qd.trades(symbol, pace=PACE), qd.bars(symbol, "1h", pace=PACE)
        got, got_bars = await asyncio.gather(
            read(trades, gateways.restart_killed), read(bars, gateways.serve)
        )
        np.testing.assert_array_equal(got, rows)
        np.testing.assert_array_equal(got_bars, expected)
        assert min(trades.resumed, bars.resumed) >= 1
        assert (trades.rows, trades.next_sequence) == (len(rows), len(rows) + 1)
        assert (bars.rows, bars.next_sequence) == (len(expected), len(expected) + 1)
    async with QDClient(endpoint=native(fluvio_endpoint), lease_ms=60_000) as qd:
        trades = qd.trades(symbol, pace=PACE)
        parts = [await anext(trades)]
        restarting = asyncio.create_task(gateways.restart_stopped())
        parts += [part async for part in trades]  # so it is seen at once that it is interrupted
        await restarting
        np.testing.assert_array_equal(np.concatenate(parts), rows)
        assert trades.resumed == 1, "it is asked for when the next gateway serves, and then once"


async def test_patience_ends(fluvio_endpoint: str, markets: Markets, gateways: Gateways) -> None:
    await gateways.serve()
    endpoint = native(fluvio_endpoint)
    async with QDClient(endpoint=endpoint, lease_ms=500, patience_s=0.5) as qd:
        stream = qd.trades(markets.ids[SYMBOL], pace=1.0)
        with pytest.raises(GatewayLost, match="fell silent") as caught:
            await read(stream, gateways.kill)
    assert f"ask again from sequence {stream.next_sequence}" in str(caught.value)


async def test_a_broker_may_be_killed(markets: Markets, tmp_path: Path) -> None:
    symbol, rows = markets.ids[SYMBOL], markets.trades[SYMBOL]
    with (
        contextlib.closing(Broker(tmp_path)) as broker,
        gateway_of(tmp_path, broker.endpoint, markets.dsn) as gateway,
    ):

        async def restart() -> None:
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)

        async with QDClient(endpoint=native(broker.endpoint), lease_ms=LEASE_MS) as qd:
            stream = qd.trades(symbol, pace=PACE)
            np.testing.assert_array_equal(await read(stream, restart), rows)
            assert stream.resumed >= 1
        assert gateway.popen.poll() is None


async def test_a_client_that_comes_back_is_closed_like_any_other(
    markets: Markets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its cluster is gone while it is cancelled; one step may wait for it, and no more."""
    with (
        contextlib.closing(Broker(tmp_path)) as broker,
        gateway_of(tmp_path, broker.endpoint, markets.dsn),
    ):
        resuming = asyncio.Event()

        async def stream() -> None:
            async with QDClient(endpoint=native(broker.endpoint), lease_ms=300) as qd:
                trades = qd.trades(markets.ids[SYMBOL], pace=1.0)
                await anext(trades)
                with logged("asking again") as again:
                    broker.kill()
                    reading = asyncio.ensure_future(anext(trades))
                    await again.wait()
                resuming.set()
                await reading

        task = asyncio.create_task(stream())
        task.add_done_callback(lambda _: resuming.set())
        await resuming.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waited = [text for text in caplog.messages if "did not answer within" in text]
        assert len(waited) <= 1, caplog.messages


async def test_a_gateway_may_be_paused(
    fluvio_endpoint: str, markets: Markets, gateways: Gateways
) -> None:
    gateway = await gateways.serve()
    symbol, rows = markets.ids[SYMBOL], markets.trades[SYMBOL]
    async with QDClient(endpoint=native(fluvio_endpoint), lease_ms=LEASE_MS) as qd:
        stream = qd.trades(symbol, pace=PACE)
        parts = [await anext(stream)]
        with logged("fell silent") as silent:
            gateway.popen.send_signal(signal.SIGSTOP)
            reading = asyncio.ensure_future(anext(stream))
            await silent.wait()
            assert isinstance(qd.trouble, GatewayLost)
            gateway.popen.send_signal(signal.SIGCONT)
        parts += [await reading]
        parts += [part async for part in stream]
        assert qd.trouble is None
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert stream.resumed >= 1


async def test_a_program_that_keeps_its_loop_busy_loses_its_session_and_no_row(
    fluvio_endpoint: str, markets: Markets, gateways: Gateways, client_id: int
) -> None:
    gateway = await gateways.serve()
    symbol, rows = markets.ids[SYMBOL], markets.trades[SYMBOL]
    async with QDClient(client_id, endpoint=native(fluvio_endpoint), lease_ms=500) as qd:
        stream = qd.trades(symbol, pace=PACE)
        parts = [await anext(stream)]
        # On this very thread, which is the point: nobody sends heartbeats meanwhile.
        wait_logged(gateway, rf"ended: lease expired client={client_id} ")
        parts += [part async for part in stream]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert stream.resumed >= 1


async def test_a_session_with_a_proof_outlives_its_gateway(
    fluvio_endpoint: str, markets: Markets, gateways: Gateways, client_id: int
) -> None:
    symbol, rows, token = markets.ids[SYMBOL], markets.trades[SYMBOL], new_token()
    add_token(markets.dsn, client_id, key_of(token), "a test")
    await gateways.serve()
    endpoint = native(fluvio_endpoint)
    with pytest.raises(TokenMissing, match="token="):
        await QDClient(client_id, endpoint=endpoint).__aenter__()
    with pytest.raises(TokenRefused):
        await QDClient(client_id, endpoint=endpoint, token="another").__aenter__()
    async with QDClient(client_id, endpoint=endpoint, lease_ms=LEASE_MS, token=token) as qd:
        stream = qd.trades(symbol, pace=PACE)
        np.testing.assert_array_equal(await read(stream, gateways.restart_killed), rows)
        assert stream.resumed >= 1
    assert "ignored" not in gateways.current.log(), "nothing that was signed was wrong"
